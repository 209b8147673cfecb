"""The queue of what has landed in the bucket."""

from __future__ import annotations

from understudy.settings import settings
from understudy.store.clients import sqs


def postpone_upload(receipt_handle: str, seconds: int) -> None:
    """Make the queue deliver the event of an upload again after `seconds` seconds."""
    sqs().change_message_visibility(
        QueueUrl=settings().upload_queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
    )

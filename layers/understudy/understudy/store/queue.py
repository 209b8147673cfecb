"""Messages to `run_job`, and the delay of an upload's event."""

from __future__ import annotations

import json
import math
from typing import Any

from understudy.settings import settings
from understudy.store.clients import sqs

MAX_DELAY = 900  # SQS


def look_at_job(team: str, job: str, tick: int, delay: float) -> None:
    """Send the message that makes `run_job` look at the job after `delay` seconds."""
    _send({"team": team, "video": job, "tick": tick}, delay)


def delete_video(deployment: str, model: str, reference: str) -> None:
    """Send the message that makes `run_job` delete a video at the provider."""
    _send({"delete": "video", "deployment": deployment, "model": model, "reference": reference}, 0)


def delete_character(deployment: str, reference: str, *, pending: bool = False) -> None:
    """Send the message that makes `run_job` delete a native character at the provider.

    `pending`: the provider is still making the character, and `reference` is what it is polled by.
    """
    message = {"delete": "character", "deployment": deployment, "reference": reference}
    _send(message | ({"pending": True} if pending else {}), 0)


def postpone_upload(receipt_handle: str, seconds: int) -> None:
    """Make the queue deliver the event of an upload again after `seconds` seconds."""
    sqs().change_message_visibility(
        QueueUrl=settings().upload_queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
    )


def _send(message: dict[str, Any], delay: float) -> None:
    seconds = min(max(math.ceil(delay), 0), MAX_DELAY)
    sqs().send_message(QueueUrl=settings().job_queue_url, MessageBody=json.dumps(message), DelaySeconds=seconds)

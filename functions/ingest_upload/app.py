"""S3 ObjectCreated -> SQS -> what the object was uploaded for."""

from __future__ import annotations

import json
import time
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from understudy.background import ingest_upload
from understudy.files import s3_event
from understudy.telemetry import logger, needs_attention

MARGIN_SECONDS = 15.0
MAX_RECEIVES = 5  # maxReceiveCount of the queue: the last delivery before the dead-letter queue


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Process each object. A failure that may pass is retried after a growing pause.

    After five deliveries the message goes to the dead-letter queue. The caller of the upload has been told by then.
    """
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS

    def take(record: SQSRecord) -> None:
        received = int(record.attributes.approximate_receive_count or 1)
        last = received >= MAX_RECEIVES
        try:
            for one in json.loads(record.body).get("Records", []):  # s3:TestEvent has none
                ingest_upload.take(s3_event.read(one), deadline, last=last)
        except s3_event.Passing as passing:
            logger.warning("object given up" if last else "object left for later", extra={"reason": str(passing)})
            if not last:
                ingest_upload.pause(record.receipt_handle, received, passing.seconds)
            raise
        except Exception:
            needs_attention("upload_died", "object not taken")  # the batch processor would only count it
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, take, processor, context)

"""The worker: each SQS message is one step of a job."""

from __future__ import annotations

import json
import time
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from understudy.background import run_job
from understudy.jobs import transitions
from understudy.telemetry import logger, needs_attention

MARGIN_SECONDS = 15.0  # time to record the result before the function times out


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Process each message. After a failure the message is delivered again.

    After five deliveries the message goes to the dead-letter queue.
    """
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS

    def work(record: SQSRecord) -> None:
        try:
            run_job.work(json.loads(record.body), deadline)
        except transitions.Busy as busy:
            logger.info("step left for later", extra={"reason": str(busy)})
            raise
        except Exception:
            needs_attention("step_died", "job step died")  # the batch processor would only count it
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, work, processor, context)

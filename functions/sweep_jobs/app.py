"""Looks after jobs that no execution drives: when an execution has ended, and once an hour."""

from __future__ import annotations

import json
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from understudy.background import sweep_jobs
from understudy.store import table

MARGIN_SECONDS = 15.0


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Look after the job of the execution that has ended, or after all jobs if the event is the schedule's."""
    detail = event.get("detail") or {}
    if "executionArn" not in detail:
        deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        sweep_jobs.all_jobs(deadline)
        return
    begun = json.loads(detail["input"])
    if "video" not in begun:
        return  # a deletion: run_job has told the operator
    try:
        sweep_jobs.one(begun["team"], begun["video"])
    except table.RowChanged:  # somebody else ended the job
        return

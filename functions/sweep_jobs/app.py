"""Looks after jobs that no execution drives, when an execution has ended, and once an hour, with what teams store."""

from __future__ import annotations

import json
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from understudy.background import sweep_jobs, sweep_storage

MARGIN_SECONDS = 15.0
GIVEN_UP = "GivenUp"  # the error of an execution whose last step was told (template.yaml)


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Look after the job of the execution that has ended, or after everything if the event is the schedule's."""
    detail = event.get("detail") or {}
    if "executionArn" not in detail:
        deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        sweep_jobs.all_jobs(deadline)
        sweep_storage.all_teams(deadline)
        return
    begun, status = json.loads(detail["input"]), detail["status"]
    if "video" in begun:
        sweep_jobs.one(begun["team"], begun["video"], detail["name"], status)
    elif status != "ABORTED" and detail.get("error") != GIVEN_UP:
        from understudy.background import delete_upstream  # seldom needed: it loads the providers

        delete_upstream.close(begun)

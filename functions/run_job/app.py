"""One step of an execution: of a job, or of a deletion at a provider."""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from understudy.background import delete_upstream, run_job
from understudy.store import executions

MARGIN_SECONDS = 15.0  # time to record the result before the function times out


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a job or a deletion one step further. Return whether it is `done`, and the `seconds` until the next step.

    The state machine calls this again if it raises. If that does not help, its last call has the execution's state
    under `close`.
    """
    if "close" in event:
        _close(event["close"])
        return {"done": True, "seconds": 0}
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    if "delete" in event:
        seconds = delete_upstream.step(event, deadline)
    else:
        seconds = run_job.step(event["team"], event["video"], deadline)
    return {"done": seconds is None, "seconds": 0 if seconds is None else executions.wait(seconds)}


def _close(begun: dict[str, Any]) -> None:
    if "delete" in begun:
        delete_upstream.close(begun)
    else:
        run_job.close(begun["team"], begun["video"])

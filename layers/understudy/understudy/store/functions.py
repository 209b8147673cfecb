"""Calls to other Lambda functions."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from understudy.store.clients import lambda_

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

LONGEST = 130  # seconds: longer than any function runs that is called here
STEP = 5  # each time-out is a client of its own, so there are only a few


class FunctionFailed(Exception):
    """The function returned no result: its concurrency limit was reached, it crashed, or it was not ready in time."""


def invoke(name: str, event: dict[str, Any], deadline: float, *, idempotent: bool = False) -> Any:
    """Call the function with this event and return its result. Raises FunctionFailed.

    The call ends by the `deadline` of the caller, in `time.monotonic()` seconds. Otherwise the caller's own function
    would time out, and nobody would be told what happened.

    A call that got no connection is repeated once. So is a call of an `idempotent` function whose connection closed
    without an answer, because a kept connection can die while Lambda has frozen this environment.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ConnectTimeoutError

    def call() -> InvocationResponseTypeDef:
        return lambda_(_seconds_until(deadline)).invoke(FunctionName=name, Payload=json.dumps(event).encode())

    try:
        try:
            answer = call()
        except (ConnectTimeoutError, ConnectionClosedError) as error:
            if isinstance(error, ConnectionClosedError) and not idempotent:
                raise
            answer = call()
        result = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        raise FunctionFailed(name) from error
    if answer.get("FunctionError"):
        raise FunctionFailed(name)
    return result


def _seconds_until(deadline: float) -> int:
    """Return a time-out that ends by the deadline, in steps of STEP seconds but at least one second."""
    left = min(deadline - time.monotonic(), LONGEST)
    return max(int(left // STEP) * STEP, 1)

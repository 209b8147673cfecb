"""Calls to other Lambda functions."""

from __future__ import annotations

import json
from typing import Any

from understudy.store.clients import lambda_


class FunctionFailed(Exception):
    """The function returned no result: its concurrency limit was reached, it timed out, or it crashed."""


def invoke(name: str, event: dict[str, Any]) -> Any:
    """Call the function with this event and return its result. Raises FunctionFailed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = lambda_().invoke(FunctionName=name, Payload=json.dumps(event).encode())
        result = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        raise FunctionFailed(name) from error
    if answer.get("FunctionError"):
        raise FunctionFailed(name)
    return result

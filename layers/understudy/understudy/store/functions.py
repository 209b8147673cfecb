"""Calls to other functions."""

from __future__ import annotations

import json
from typing import Any

from understudy.store.clients import lambda_


class FunctionFailed(Exception):
    """The function gave no answer: its few places are taken, it took too long, or it died."""


def invoke(name: str, event: dict[str, Any]) -> Any:
    """What the function answers. Raises FunctionFailed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = lambda_().invoke(FunctionName=name, Payload=json.dumps(event).encode())
        result = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        raise FunctionFailed(name) from error
    if answer.get("FunctionError"):
        raise FunctionFailed(name)
    return result

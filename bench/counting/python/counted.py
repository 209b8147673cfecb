"""A handler around a function's handler that counts its calls to the table. growth.py adds this module as a layer.

It answers {"answer": the function's answer, "asked": [[operation, items evaluated, capacity units], ...]}.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from botocore.client import BaseClient
from capacity import units  # type: ignore[import-not-found]  # lies beside this file, in a layer of its own

_asked: list[list[Any]] = []
_counts = True


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Run the function's handler with the event. Return its answer and its calls to the table."""
    _asked.clear()
    answer = importlib.import_module("app").handler(event, context)
    return {"answer": answer, "asked": list(_asked)}


def _note(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["request"] = dict(params)


def _count(model: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if _counts and "Error" not in parsed:
        items, read, written = units(model.name, context["request"], parsed, _now)
        _asked.append([model.name, items, read + written])


def _now(key: dict[str, Any]) -> dict[str, Any]:
    """Read the row with a key. This call is not counted."""
    global _counts
    from understudy.store import clients

    _counts = False
    try:
        found = clients.dynamodb().get_item(TableName=os.environ["TABLE_NAME"], Key=key, ConsistentRead=True)
        return dict(found.get("Item", {}))
    finally:
        _counts = True


_init = BaseClient.__init__


def _watched(self: Any, *arguments: Any, **named: Any) -> None:
    _init(self, *arguments, **named)
    self.meta.events.register("before-parameter-build.dynamodb", _note)
    self.meta.events.register("after-call.dynamodb", _count)


BaseClient.__init__ = _watched  # type: ignore[method-assign]

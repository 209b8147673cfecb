"""A handler around a function's own that tells what it asked of the table: growth.py lays it beside the function.

It answers {"answer": what the function answered, "asked": [[operation, items evaluated, capacity units], ...]}.
Capacity follows DynamoDB's own rules, for the local table does not know them: what is read is counted by 4 KB and what
is written by 1 KB, half for a read that need not be consistent, double in a transaction.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-unit-calculations.html (2026-11)
"""

from __future__ import annotations

import importlib
import math
import os
from typing import Any

from botocore.client import BaseClient

_asked: list[list[Any]] = []
_counts = True


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Have the function handle the event."""
    _asked.clear()
    answer = importlib.import_module("app").handler(event, context)
    return {"answer": answer, "asked": list(_asked)}


def _note(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["request"] = dict(params)


def _count(model: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if _counts and "Error" not in parsed:
        items, units = _evaluated(model.name, context["request"], parsed)
        _asked.append([model.name, items, units])


def _evaluated(operation: str, request: dict[str, Any], answer: dict[str, Any]) -> tuple[int, float]:
    """How many items were looked at, and the capacity units that takes."""
    if operation == "GetItem":
        return 1, _read([answer.get("Item", {})], request)
    if operation == "Query":
        return answer["ScannedCount"], _read(answer["Items"], request)
    if operation == "BatchGetItem":
        (asked,) = request["RequestItems"].values()
        (found,) = answer["Responses"].values()
        missing = len(asked["Keys"]) - len(found)
        return len(asked["Keys"]), sum(_read([item], asked) for item in [*found, *[{}] * missing])
    if operation == "TransactWriteItems":
        writes = [write for item in request["TransactItems"] for write in item.values()]
        return len(writes), sum(2 * _written(write) for write in writes)
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        return 1, _written(request)
    raise NotImplementedError(operation)


def _read(items: list[dict[str, Any]], request: dict[str, Any]) -> float:
    blocks = max(1, math.ceil(sum(map(_size, items)) / 4096))
    return blocks * (1.0 if request.get("ConsistentRead") else 0.5)


def _written(request: dict[str, Any]) -> int:
    """A changed item counts as large as it has become."""
    item = request["Item"] if "Item" in request else _now(request)
    return max(1, math.ceil(_size(item) / 1024))


def _now(request: dict[str, Any]) -> dict[str, Any]:
    global _counts
    from understudy import aws

    _counts = False
    try:
        found = aws.dynamodb().get_item(TableName=os.environ["TABLE_NAME"], Key=request["Key"], ConsistentRead=True)
        return dict(found.get("Item", {}))
    finally:
        _counts = True


def _size(item: dict[str, Any]) -> int:
    return sum(len(name.encode()) + _size_of_value(value) for name, value in item.items())


def _size_of_value(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content) // 2 + 1
    if kind == "M":
        return 3 + len(content) + _size(content)
    if kind == "L":
        return 3 + len(content) + sum(map(_size_of_value, content))
    return 1  # BOOL, NULL; nothing else is in the table


_init = BaseClient.__init__


def _watched(self: Any, *arguments: Any, **named: Any) -> None:
    _init(self, *arguments, **named)
    self.meta.events.register("before-parameter-build.dynamodb", _note)
    self.meta.events.register("after-call.dynamodb", _count)


BaseClient.__init__ = _watched  # type: ignore[method-assign]

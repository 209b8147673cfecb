"""Capacity units of a call to DynamoDB by its own rules, for the local table does not know them.

What is read is counted by 4 KB and what is written by 1 KB; half for a read that need not be consistent, double in a
transaction.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-unit-calculations.html (2026-11)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

Item = dict[str, Any]


class Units(NamedTuple):
    """How many items a call looked at, and the units that took."""

    items: int = 0
    read: float = 0.0
    written: float = 0.0


def units(operation: str, request: dict[str, Any], answer: dict[str, Any], now: Callable[[Item], Item]) -> Units:
    """Of one call. `now` says how the row with a key looks after it; {} counts as one of 1 KB at most."""
    if operation == "GetItem":
        return Units(1, read=_read([answer.get("Item", {})], request))
    if operation == "Query":
        return Units(answer["ScannedCount"], read=_read(answer["Items"], request))
    if operation == "BatchGetItem":
        (asked,) = request["RequestItems"].values()
        (found,) = answer["Responses"].values()
        missing = len(asked["Keys"]) - len(found)
        return Units(len(asked["Keys"]), read=sum(_read([item], asked) for item in [*found, *[{}] * missing]))
    if operation == "TransactWriteItems":
        writes = [write for item in request["TransactItems"] for write in item.values()]
        return Units(len(writes), written=sum(2.0 * _written(write, {}, now) for write in writes))
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        return Units(1, written=float(_written(request, answer, now)))
    raise NotImplementedError(operation)


def _read(items: list[Item], request: dict[str, Any]) -> float:
    blocks = max(1, math.ceil(sum(map(_size, items)) / 4096))
    return blocks * (1.0 if request.get("ConsistentRead") else 0.5)


def _written(request: dict[str, Any], answer: dict[str, Any], now: Callable[[Item], Item]) -> int:
    """A changed item counts as large as it has become."""
    item = request.get("Item") or answer.get("Attributes") or now(request["Key"])
    return max(1, math.ceil(_size(item) / 1024))


def _size(item: Item) -> int:
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

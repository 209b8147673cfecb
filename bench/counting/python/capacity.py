"""Capacity units of a call to DynamoDB by DynamoDB's rules, because the local table does not count them.

A read unit is 4 KB, a write unit is 1 KB. An eventually consistent read counts half. A write in a transaction counts
double.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-unit-calculations.html (2026-11)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

Item = dict[str, Any]


class Units(NamedTuple):
    """The number of items that a call evaluated, and the read and write units of the call."""

    items: int = 0
    read: float = 0.0
    written: float = 0.0


def units(operation: str, request: dict[str, Any], answer: dict[str, Any], now: Callable[[Item], Item]) -> Units:
    """Compute the units of one call. Raises NotImplementedError for an unknown operation.

    `now` returns the row with a key as it is after the call; {} counts as a row of at most 1 KB.
    """
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
    """Compute the write units of a call from the size of the item after the change."""
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

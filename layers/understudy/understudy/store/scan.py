"""Scans of the whole table. Only operators need them, so functions do not load this module."""

from __future__ import annotations

from collections.abc import Iterator

from understudy.settings import settings
from understudy.store import attributes
from understudy.store.clients import dynamodb
from understudy.store.table import MARK, PARTITION, SORT, Row


def rows(prefix: str, sort: str) -> Iterator[Row]:
    """Yield every row whose partition key begins with `prefix` and whose sort key is `sort`."""
    pages = (
        dynamodb()
        .get_paginator("scan")
        .paginate(
            TableName=settings().table_name,
            FilterExpression=f"begins_with({PARTITION}, :prefix) AND {SORT} = :sort",
            ExpressionAttributeValues={":prefix": attributes.spell(prefix), ":sort": attributes.spell(sort)},
        )
    )
    for found in pages:
        for item in found["Items"]:
            yield {name: attributes.read(value) for name, value in item.items() if name != MARK}

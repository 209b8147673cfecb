"""The backend in one process, as in the unit tests, and the fixture `rows` that records the requested rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.stage import Stage
from tests.unit.conftest import *  # noqa: F403  # its fixtures are found by their names
from understudy.store import clients

Row = tuple[str, str]  # operation, partition key


@pytest.fixture
def rows(stage: Stage) -> Iterator[list[Row]]:
    """Every row that DynamoDB is asked for, in order: (operation, partition key)."""
    asked: list[Row] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked.extend((model.name, key) for key in _partitions(params))

    events = clients.dynamodb().meta.events
    events.register("provide-client-params.dynamodb", note)
    yield asked
    events.unregister("provide-client-params.dynamodb", note)


def _partitions(params: dict[str, Any]) -> Iterator[str]:
    """Yield the partition keys in a request, one for each row or query that the request names."""
    if "TransactItems" in params:
        for item in params["TransactItems"]:
            for one in item.values():
                yield from _partitions(one)
    elif "KeyConditionExpression" in params:
        yield params["ExpressionAttributeValues"][":pk"]["S"]
    else:
        yield (params.get("Key") or params.get("Item"))["pk"]["S"]

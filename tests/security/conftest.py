"""The backend in one process, as the unit tests have it, and a look at which rows are asked for."""

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
    """Every row that DynamoDB is asked about, in order: (operation, partition key)."""
    asked: list[Row] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked.extend((model.name, key) for key in _partitions(params))

    events = clients.dynamodb().meta.events
    events.register("provide-client-params.dynamodb", note)
    yield asked
    events.unregister("provide-client-params.dynamodb", note)


def _partitions(params: dict[str, Any]) -> Iterator[str]:
    """The partition keys in a request, one for each row or query that it names."""
    if "TransactItems" in params:
        for item in params["TransactItems"]:
            for one in item.values():
                yield from _partitions(one)
    elif "KeyConditionExpression" in params:
        yield params["ExpressionAttributeValues"][":pk"]["S"]
    else:
        yield (params.get("Key") or params.get("Item"))["pk"]["S"]

"""The settings of the AWS clients: which parameters they check."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from understudy.store import clients

CACHED = (clients.dynamodb, clients.sqs, clients.s3, clients.lambda_, clients._session)
MAKERS = (clients.dynamodb, clients.sqs, clients.s3, partial(clients.lambda_, 20))


class Sent(Exception):
    """A request was about to be sent."""


def _sent(**_: Any) -> None:
    raise Sent


@pytest.fixture(autouse=True)
def fresh_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    variables = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for cached in CACHED:
        cached.cache_clear()
    for make in MAKERS:
        make().meta.events.register("before-send", _sent)
    yield
    for cached in CACHED:
        cached.cache_clear()


def test_what_is_sent_in_a_body_goes_unchecked() -> None:
    with pytest.raises(Sent):
        clients.dynamodb().get_item(TableName="table")  # type: ignore[call-arg]
    with pytest.raises(Sent):
        clients.sqs().send_message(QueueUrl="https://queue")  # type: ignore[call-arg]


def test_what_is_part_of_a_path_is_checked() -> None:
    """An empty parameter in a path is refused: without it the path would name another operation."""
    with pytest.raises(ParamValidationError):
        clients.s3().get_object(Bucket="bucket", Key="")
    with pytest.raises(ParamValidationError):
        clients.lambda_(20).invoke(FunctionName="")

from __future__ import annotations

import pytest

from tests.fakes.clock import Clock
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.providers.base import Account
from understudy.store import clients

pytestmark = pytest.mark.usefixtures("aws_stack", "clock")

DEPLOYMENT = Deployment(
    "a", "openai", "https://a.example/v1", {}, secret="secretsmanager:understudy/a", options={"x": 1}
)


def call(clock: Clock, *answers: object) -> tuple[object, list[str | None]]:
    """Return the result or the error, and the keys that were used."""
    keys: list[str | None] = []
    left = list(answers)

    def ask(account: Account) -> object:
        keys.append(account.key)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    try:
        return call_provider(DEPLOYMENT, clock.now + 10, ask), keys
    except Exception as error:
        return error, keys


def rotate() -> None:
    clients.secretsmanager().put_secret_value(SecretId="understudy/a", SecretString="new")


WRONG_KEY = Refused(Reason.CREDENTIALS, "wrong key", status=401)


def test_it_speaks_for_the_deployment(clock: Clock) -> None:
    account = call_provider(DEPLOYMENT, clock.now + 10, lambda account: account)
    assert (account.base_url, account.key, account.options) == ("https://a.example/v1", "key-a", {"x": 1})
    assert "key-a" not in repr(account)


def test_a_401_gets_one_more_try_with_a_fresh_key(clock: Clock) -> None:
    call(clock, "warm")
    rotate()
    assert call(clock, WRONG_KEY, "made") == ("made", ["key-a", "new"])


def test_with_the_same_key_there_is_no_second_try(clock: Clock) -> None:
    assert call(clock, WRONG_KEY) == (WRONG_KEY, ["key-a"])


def test_there_is_no_third_try(clock: Clock) -> None:
    call(clock, "warm")
    rotate()
    assert call(clock, WRONG_KEY, WRONG_KEY) == (WRONG_KEY, ["key-a", "new"])


@pytest.mark.parametrize(
    "error",
    [
        Refused(Reason.CREDENTIALS, "forbidden", status=403),
        Refused(Reason.BUSY, "busy", status=429),
        Refused(Reason.MODERATION, "no", status=400),
        OutcomeUnknown("lost"),
    ],
)
def test_nothing_else_is_tried_again(clock: Clock, error: Exception) -> None:
    call(clock, "warm")
    rotate()
    assert call(clock, error) == (error, ["key-a"])


def test_a_server_without_a_key(clock: Clock) -> None:
    bare = Deployment("b", "openai", "https://b.example", {})
    assert call_provider(bare, clock.now + 10, lambda account: account.key) is None
    with pytest.raises(Refused):
        call_provider(bare, clock.now + 10, _refuse)


def _refuse(account: Account) -> None:
    raise WRONG_KEY

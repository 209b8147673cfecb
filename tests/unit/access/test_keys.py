from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.fakes.clock import Clock
from tests.fakes.stage import load
from understudy.access import keys
from understudy.access.keys import Caller, Limits
from understudy.errors import Unauthenticated
from understudy.store import clients, table

pytestmark = pytest.mark.usefixtures("aws_stack")

ARN = "arn:aws:execute-api:eu-central-1:123456789012:abc123/v1/GET/videos"


class TestKeys:
    def test_a_key_leads_to_its_caller(self) -> None:
        key, caller = keys.mint("blue", scopes=("raw_ids:solo",), models=("sora-2",))
        assert (
            keys.find(key)
            == caller
            == Caller("blue", caller.key_id, frozenset({"raw_ids:solo"}), frozenset({"sora-2"}))
        )

    def test_keys_are_long_random_and_never_stored(self) -> None:
        found = {keys.mint("blue")[0] for _ in range(20)}
        assert len(found) == 20
        assert all(key.startswith("us-") and len(key) > 40 for key in found)
        key, caller = keys.mint("blue")
        rows = json.dumps(clients.dynamodb().get_item(TableName="t", Key=_row_key(caller.key_id)))
        assert key not in rows
        assert key.removeprefix("us-") not in rows
        assert hashlib.sha256(key.encode()).hexdigest() not in rows

    @pytest.mark.parametrize("key", ["", "us-", "us-unknown", "sk-abc", "us-" + "x" * 500, " ", "us-\0", "us-é"])
    def test_another_key_leads_nowhere(self, key: str) -> None:
        keys.mint("blue")
        assert keys.find(key) is None

    def test_a_changed_key_leads_nowhere(self) -> None:
        key, _ = keys.mint("blue")
        for other in (key[:-1], key + "A", key.upper(), key.removeprefix("us-"), f" {key}"):
            assert keys.find(other) is None

    def test_a_revoked_key_leads_nowhere(self, clock: Clock) -> None:
        key, caller = keys.mint("blue")
        keys.revoke(caller.key_id)
        assert keys.find(key) is None
        with pytest.raises(table.RowChanged):
            keys.revoke("unknown")

    @pytest.mark.parametrize("team", ["", "a/b", "..", ".a", "a b", "é", "a" * 65, "a\n", "#", "-a"])
    def test_a_team_has_a_name_that_can_stand_in_a_bucket_key(self, team: str) -> None:
        with pytest.raises(ValueError, match="team name"):
            keys.mint(team)

    def test_limits_stand_in_the_row(self) -> None:
        _, caller = keys.mint("blue", limits=Limits(requests_per_minute=6, concurrent=2, budget=5))
        row = table.get(table.api_key_key(caller.key_id)) or {}
        assert (row["make_limit"], row["touch_limit"], row["concurrent"], row["budget"]) == (6, 60, 2, 5)


def _row_key(key_id: str) -> Any:
    key = table.api_key_key(key_id)
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


class TestContext:
    def test_a_caller_survives_the_authorizers_context(self) -> None:
        caller = Caller("blue", "k", frozenset({"a", "b"}), frozenset({"x y", "z"}))
        assert all(isinstance(value, str) for value in caller.context().values())
        assert keys.from_authorizer(caller.context()) == caller
        bare = Caller("blue", "k")
        assert keys.from_authorizer(bare.context()) == bare

    @pytest.mark.parametrize(
        "context", [{}, {"team": "blue"}, {"key_id": "k"}, {"team": "", "key_id": "k"}, {"team": 5, "key_id": "k"}]
    )
    def test_without_a_team_or_key_there_is_no_caller(self, context: dict[str, Any]) -> None:
        with pytest.raises(Unauthenticated):
            keys.from_authorizer(context)


class TestAuthorizer:
    def ask(self, **event: Any) -> dict[str, Any]:
        answer: dict[str, Any] = load("authorizer").handler({"methodArn": ARN, **event}, None)
        return answer

    def effect(self, answer: dict[str, Any]) -> str:
        (statement,) = answer["policyDocument"]["Statement"]
        assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:123456789012:abc123/v1/*"
        return str(statement["Effect"])

    def test_a_good_key(self) -> None:
        key, caller = keys.mint("blue", scopes=("raw_ids:solo", "raw_ids:one"))
        for event in (
            {"authorizationToken": f"Bearer {key}"},
            {"headers": {"Authorization": f"Bearer {key}"}},
            {"headers": {"authorization": f"bearer  {key} "}},
        ):
            answer = self.ask(**event)
            assert self.effect(answer) == "Allow"
            assert keys.from_authorizer(answer["context"]) == caller
            assert key not in json.dumps(answer)

    @pytest.mark.parametrize(
        "token",
        ["", "Bearer", "Bearer ", "Bearer us-unknown", "Basic {key}", "{key}", "Bearer {key}x", "Bearer {key} {key}"],
    )
    def test_a_bad_one(self, token: str) -> None:
        key, _ = keys.mint("blue")
        answer = self.ask(authorizationToken=token.format(key=key))
        assert self.effect(answer) == "Deny"
        assert answer["context"] == {}

    def test_none(self) -> None:
        assert self.effect(self.ask()) == "Deny"
        assert self.effect(self.ask(headers=None)) == "Deny"

    def test_a_key_in_the_query_or_another_header_counts_for_nothing(self) -> None:
        key, _ = keys.mint("blue")
        answer = self.ask(
            headers={"api-key": key, "host": key, "x-api-key": key}, queryStringParameters={"key": key, "api_key": key}
        )
        assert self.effect(answer) == "Deny"

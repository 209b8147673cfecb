from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core.models import botocore_stubber

from tests.fakes.clock import Clock
from tests.fakes.stage import NAMES
from understudy.store import clients, table
from understudy.store.table import Key, Put, RowChanged

pytestmark = pytest.mark.usefixtures("aws_stack")

KEY = Key("team#blue", "video#1")


@pytest.fixture(params=["fakes", "moto"])
def table_engine(request: pytest.FixtureRequest) -> str:
    """Both stand-ins: the tests compare ours with moto's understanding of DynamoDB."""
    return str(request.param)


@pytest.mark.parametrize(
    "value",
    ["", "text", "ünïcode 😀", 0, -5, 10**30, True, False, None, [], ["a", 1, None], {}, {"a": {"b": [1]}}],
)
def test_values_come_back_as_they_were(value: object) -> None:
    table.put(KEY, {"value": value})
    row = table.get(KEY)
    assert row == {"pk": KEY.pk, "sk": KEY.sk, "value": value}
    assert type(row["value"]) is type(value)


def test_a_float_is_refused_rather_than_cut() -> None:
    with pytest.raises(TypeError):
        table.put(KEY, {"value": 1.5})


def test_an_absent_row_is_none() -> None:
    assert table.get(KEY) is None


def test_a_row_is_not_overwritten_unless_asked() -> None:
    table.put(KEY, {"n": 1})
    with pytest.raises(RowChanged):
        table.put(KEY, {"n": 2})
    assert table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "n": 1}
    table.put(KEY, {"n": 3}, replace=True)
    assert table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "n": 3}


class TestTogether:
    OTHER = Key("team#blue", "once#create#hash")

    def test_all_rows_are_written(self) -> None:
        table.write_together(Put(KEY, {"n": 1}), Put(self.OTHER, {"n": 2}))
        assert table.get(KEY)
        assert table.get(self.OTHER)

    def test_none_is_written_when_one_exists(self) -> None:
        table.put(self.OTHER, {"n": 1})
        with pytest.raises(RowChanged):
            table.write_together(Put(KEY, {"n": 2}), Put(self.OTHER, {"n": 2}))
        assert table.get(KEY) is None

    def test_a_row_that_may_be_replaced_is_no_obstacle(self) -> None:
        table.put(self.OTHER, {"n": 1})
        table.write_together(Put(KEY, {"n": 2}), Put(self.OTHER, {"n": 2}, replace=True))
        row = table.get(self.OTHER)
        assert row is not None
        assert row["n"] == 2

    def test_two_writes_that_meet_are_not_two_of_the_same_call(self, clock: Clock) -> None:
        """A write that DynamoDB cancels because of a conflict is retried.

        This happens if two calls with the same prompt both replace the caller's last row at the same moment.
        """
        with Stubber(clients.dynamodb()) as dynamodb:
            for _ in range(2):
                dynamodb.add_client_error("transact_write_items", **cancelled("None", "TransactionConflict"))
            dynamodb.add_response("transact_write_items", {})
            table.write_together(Put(KEY, {"n": 1}), Put(self.OTHER, {"n": 2}, replace=True))
            dynamodb.assert_no_pending_responses()

    def test_writes_that_keep_meeting_are_an_error_of_ours(self, clock: Clock) -> None:
        with Stubber(clients.dynamodb()) as dynamodb:
            for _ in range(10):
                dynamodb.add_client_error("transact_write_items", **cancelled("TransactionConflict"))
            with pytest.raises(ClientError):
                table.write_together(Put(KEY, {"n": 1}))

    @pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded"])
    def test_a_new_table_that_is_busy_is_asked_again(self, clock: Clock, reason: str) -> None:
        with Stubber(clients.dynamodb()) as dynamodb:
            dynamodb.add_client_error("transact_write_items", **cancelled("TransactionConflict", reason))
            dynamodb.add_response("transact_write_items", {})
            table.write_together(Put(KEY, {"n": 1}), Put(self.OTHER, {"n": 2}))
            dynamodb.assert_no_pending_responses()

    @pytest.mark.parametrize("operation", ["update_item", "put_item", "delete_item"])
    def test_a_single_write_that_meets_a_transaction_waits_too(self, clock: Clock, operation: str) -> None:
        with Stubber(clients.dynamodb()) as dynamodb:
            dynamodb.add_client_error(operation, "TransactionConflictException")
            dynamodb.add_response(operation, {"Attributes": {}} if operation == "update_item" else {})
            if operation == "update_item":
                table.update(KEY, {"seen": True}, expect={})
            elif operation == "put_item":
                table.put(KEY, {"n": 1})
            else:
                table.delete(KEY)
            dynamodb.assert_no_pending_responses()

    def test_a_condition_that_failed_beside_a_conflict_is_final(self, clock: Clock) -> None:
        with Stubber(clients.dynamodb()) as dynamodb:
            reasons = cancelled("ConditionalCheckFailed", "TransactionConflict")
            dynamodb.add_client_error("transact_write_items", **reasons)
            with pytest.raises(RowChanged):
                table.write_together(Put(KEY, {"n": 1}), Put(self.OTHER, {"n": 2}))


def cancelled(*codes: str) -> dict[str, object]:
    return {
        "service_error_code": "TransactionCanceledException",
        "modeled_fields": {"CancellationReasons": [{"Code": code} for code in codes]},
    }


class TestExpired:
    """DynamoDB deletes an expired row within a few days. Until then the row counts as absent."""

    def test_it_is_not_read(self, clock: Clock) -> None:
        table.put(KEY, {"ttl": int(clock.now) + 60})
        clock.advance(59)
        assert table.get(KEY)
        clock.advance(1)
        assert table.get(KEY) is None

    @pytest.mark.parametrize("together", [False, True])
    def test_it_is_replaced_as_a_whole(self, clock: Clock, together: bool) -> None:
        def write(**row: int) -> None:
            row |= {"ttl": int(clock.now) + 60}
            table.write_together(Put(KEY, row)) if together else table.put(KEY, row)

        write(old=1)
        clock.advance(59)
        with pytest.raises(RowChanged):
            write(new=1)
        clock.advance(1)
        write(new=1)
        row = table.get(KEY)
        assert row is not None
        assert "old" not in row


class Losing:
    """Carries out the first requests of an operation, and loses their responses. Then botocore repeats the request."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.tokens = 0, list[str]()
        monkeypatch.setattr(time, "sleep", lambda _: None)  # botocore's pauses
        clients.dynamodb().meta.events.register_first("before-send", self._answer)

    def stop(self) -> None:
        clients.dynamodb().meta.events.unregister("before-send", self._answer)

    def _answer(self, event_name: str, request: Any, **_: Any) -> Any:
        self.tokens.append(json.loads(request.body).get("ClientRequestToken"))
        answer = botocore_stubber(event_name, request)
        if self.left > 0:
            self.left -= 1
            raise ReadTimeoutError(endpoint_url=request.url)
        return answer


class TestLostResponses:
    """A write whose response was lost is repeated. The repeat fails its own condition, and that is a success."""

    @pytest.fixture
    def table_engine(self) -> str:
        """Moto: our stand-in answers before botocore would repeat anything."""
        return "moto"

    @pytest.fixture
    def losing(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Losing]:
        table.put(KEY, {"state": "running", "n": 1})
        losing = Losing(monkeypatch)
        losing.left = 2
        yield losing
        losing.stop()

    def test_a_new_row(self, losing: Losing) -> None:
        other = Key("team#blue", "video#2")
        table.put(other, {"n": 1})
        assert table.get(other) == {"pk": other.pk, "sk": other.sk, "n": 1}

    def test_a_change(self, losing: Losing) -> None:
        row = table.update(KEY, {"state": "completed"}, expect={"state": "running"})
        assert row == table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "state": "completed", "n": 1}

    def test_a_delete(self, losing: Losing) -> None:
        table.delete(KEY, expect={"state": "running"})
        assert table.get(KEY) is None

    def test_a_transaction_says_that_it_is_the_same(self, losing: Losing) -> None:
        with contextlib.suppress(RowChanged):  # moto does not know the token
            table.write_together(Put(Key("team#blue", "video#2"), {}))
        assert len(losing.tokens) == 3
        assert len(set(losing.tokens)) == 1
        assert losing.tokens[0]

    def test_the_same_values_by_somebody_else_are_no_success(self, losing: Losing) -> None:
        """Two copies of a step may make the same move in the same second."""
        losing.left = 0
        claim = {"state": "claimed", "n": 2}
        table.update(KEY, claim, expect={"n": 1})
        with pytest.raises(RowChanged):
            table.update(KEY, claim, expect={"n": 1})
        with pytest.raises(RowChanged):
            table.put(KEY, claim)
        with pytest.raises(RowChanged):
            table.delete(KEY, expect={"n": 1})


class TestUpdate:
    def test_it_answers_the_whole_new_row(self) -> None:
        table.put(KEY, {"state": "running", "size": "a", "name": None})
        row = table.update(KEY, {"state": "completed"}, expect={"state": "running"})
        assert row == {"pk": KEY.pk, "sk": KEY.sk, "state": "completed", "size": "a", "name": None}
        assert table.get(KEY) == row

    def test_an_attribute_may_be_both_changed_and_expected(self) -> None:
        table.put(KEY, {"n": 1, "ttl": 5})
        assert table.update(KEY, {"n": 2, "ttl": 6}, expect={"n": 1, "ttl": 5})["n"] == 2

    @pytest.mark.parametrize(
        ("value", "expected", "fits"),
        [
            ("a", "a", True),
            ("a", "b", False),
            ("a", ["b", "a"], True),
            ("a", ("b", "c"), False),
            (None, None, True),
            ("a", None, False),
            (0, 0, True),
            (0, None, False),
            (None, "a", False),
        ],
    )
    def test_expectations(self, value: object, expected: object, fits: bool) -> None:
        table.put(KEY, {"value": value})
        if fits:
            assert table.update(KEY, {"n": 1}, expect={"value": expected})["n"] == 1
        else:
            with pytest.raises(RowChanged):
                table.update(KEY, {"n": 1}, expect={"value": expected})
            assert table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "value": value}

    def test_an_expected_none_also_fits_an_absent_attribute(self) -> None:
        table.put(KEY, {})
        assert table.update(KEY, {"n": 1}, expect={"value": None})["n"] == 1

    def test_every_expectation_has_to_fit(self) -> None:
        table.put(KEY, {"a": 1, "b": 2})
        with pytest.raises(RowChanged):
            table.update(KEY, {"a": 3}, expect={"a": 1, "b": 1})

    def test_a_row_is_never_made_by_it(self) -> None:
        with pytest.raises(RowChanged):
            table.update(KEY, {"n": 1}, expect={})
        assert table.get(KEY) is None

    def test_attributes_may_be_removed_by_the_same_change(self) -> None:
        table.put(KEY, {"state": "running", "unfinished": "job", "x": 1, "y": None})
        row = table.change(
            table.swap(KEY, {"state": "failed"}, expect={"state": "running"}, remove=["unfinished", "y"])
        )
        assert row == table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "state": "failed", "x": 1}

    def test_an_attribute_to_remove_may_be_absent(self) -> None:
        table.put(KEY, {"n": 1})
        assert table.change(table.swap(KEY, {"n": 2}, expect={}, remove=["unfinished"]))["n"] == 2

    def test_an_attribute_may_be_both_expected_and_removed(self) -> None:
        table.put(KEY, {"n": 1, "old": 1})
        table.change(table.swap(KEY, {"n": 2}, expect={"old": 1}, remove=["old"]))
        assert table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "n": 2}

    def test_nothing_is_removed_if_the_expectation_fails(self) -> None:
        table.put(KEY, {"n": 1, "old": 1})
        with pytest.raises(RowChanged):
            table.change(table.swap(KEY, {"n": 2}, expect={"n": 2}, remove=["old"]))
        assert table.get(KEY) == {"pk": KEY.pk, "sk": KEY.sk, "n": 1, "old": 1}

    def test_a_transaction_removes_attributes_too(self) -> None:
        other = Key("team#blue", "entry#1#settlement")
        table.put(KEY, {"n": 1, "old": 1})
        table.write_together(table.swap(KEY, {"n": 2}, expect={"n": 1}, remove=["old"]), Put(other, {}))
        row = table.get(KEY)
        assert row is not None
        assert (row["n"], "old" in row) == (2, False)


class TestDelete:
    def test_it_is_gone_and_may_be_gone_before(self) -> None:
        table.put(KEY, {})
        table.delete(KEY)
        table.delete(KEY)
        assert table.get(KEY) is None

    def test_only_in_the_expected_state(self) -> None:
        table.put(KEY, {"state": "completed"})
        with pytest.raises(RowChanged):
            table.delete(KEY, expect={"state": "failed"})
        table.delete(KEY, expect={"state": "completed"})
        with pytest.raises(RowChanged):
            table.delete(KEY, expect={"state": "completed"})


START = Key("team#blue", "video#")


class TestPage:
    teams = itertools.count()

    def put(self, *ids: str, team: str = "blue", family: str = "video") -> None:
        for one in ids:
            table.put(Key(f"team#{team}", f"{family}#{one}"), {"id": one})

    def ids(self, *, limit: int = 100, newest_first: bool = True, after: str | None = None) -> list[str]:
        rows = table.page(START, START.sk, limit=limit, newest_first=newest_first, after=after)
        return [row["id"] for row in rows]

    def test_order_limit_and_after(self) -> None:
        self.put(*"abcde")
        assert self.ids() == list("edcba")
        assert self.ids(newest_first=False) == list("abcde")
        assert self.ids(limit=2) == ["e", "d"]
        assert self.ids(limit=2, after="d") == ["c", "b"]
        assert self.ids(limit=2, newest_first=False, after="d") == ["e"]
        assert self.ids(after="a") == []

    def test_after_a_row_that_is_gone(self) -> None:
        self.put("a", "c")
        assert self.ids(after="b") == ["a"]
        assert self.ids(after="b", newest_first=False) == ["c"]
        assert self.ids(limit=1, after="d") == ["c"]

    def test_neighbours_are_not_seen(self) -> None:
        self.put("a")
        self.put("b", team="red")
        self.put("c", family="videos")
        self.put("d", family="character")
        self.put("e", family="vide")
        assert self.ids() == ["a"]

    def test_a_page_may_take_several_queries(self) -> None:
        for n in range(30):
            table.put(Key("team#blue", f"video#{n:02}"), {"id": f"{n:02}", "prompt": "x" * 60_000})
        assert self.ids(limit=25, newest_first=False) == [f"{n:02}" for n in range(25)]

    def test_each_goes_through_all(self) -> None:
        ids = [f"{n:03}" for n in range(205)]
        for start in range(0, len(ids), 50):
            table.write_together(
                *(Put(Key("team#blue", f"video#{one}"), {"id": one}) for one in ids[start : start + 50])
            )
        assert [row["id"] for row in table.each(START, START.sk)] == ids

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
    @given(
        chosen=st.sets(st.integers(0, 30), max_size=12),
        limit=st.integers(1, 13),
        newest_first=st.booleans(),
        after=st.none() | st.integers(0, 30),
    )
    def test_it_is_a_slice(self, chosen: set[int], limit: int, newest_first: bool, after: int | None) -> None:
        team = next(self.teams)
        for n in chosen:
            table.put(Key(f"team#{team}", f"video#{n:02}"), {"n": n})
        start = Key(f"team#{team}", "video#")
        cut = None if after is None else f"{after:02}"
        rows = table.page(start, start.sk, limit=limit, newest_first=newest_first, after=cut)
        ordered = sorted(chosen, reverse=newest_first)
        beyond = [n for n in ordered if after is None or (n < after if newest_first else n > after)]
        assert [row["n"] for row in rows] == beyond[:limit]


class TestUnfinished:
    """The index has the rows that have the attribute `unfinished`, by their creation time."""

    def put(self, team: str, name: str, created_at: int, **row: Any) -> Key:
        key = Key(f"team#{team}", f"video#{name}")
        table.put(key, {"created_at": created_at, **table.UNFINISHED, **row})
        return key

    def test_the_oldest_comes_first_whoevers_it_is(self) -> None:
        b, a, c = self.put("blue", "b", 20), self.put("red", "a", 10), self.put("blue", "c", 30)
        assert list(table.unfinished(100)) == [a, b, c]

    def test_only_those_that_were_created_before_the_time(self) -> None:
        a, b = self.put("blue", "a", 10), self.put("blue", "b", 20)
        self.put("blue", "c", 30)
        assert list(table.unfinished(30)) == [a, b]
        assert list(table.unfinished(20)) == [a]
        assert list(table.unfinished(10)) == []

    def test_two_of_the_same_second_both_come(self) -> None:
        keys = {self.put(team, name, 10) for team in ("blue", "red") for name in ("a", "b")}
        assert set(table.unfinished(11)) == keys

    def test_rows_without_the_attribute_do_not_come(self) -> None:
        job = self.put("blue", "a", 10)
        table.put(Key("team#blue", "video#b"), {"created_at": 10})
        table.put(Key("team#blue", "character#c"), {"created_at": 10})
        assert list(table.unfinished(100)) == [job]

    @pytest.mark.parametrize("together", [False, True])
    def test_a_row_that_loses_the_attribute_leaves_the_index(self, together: bool) -> None:
        a, b = self.put("blue", "a", 10), self.put("blue", "b", 20)
        ended = table.swap(a, {"state": "failed"}, expect={}, remove=table.UNFINISHED)
        if together:
            table.write_together(ended, Put(Key("team#blue", "entry#a#settlement"), {}))
        else:
            table.change(ended)
        assert list(table.unfinished(100)) == [b]
        assert table.get(a)

    def test_a_row_that_is_deleted_leaves_the_index(self) -> None:
        table.delete(self.put("blue", "a", 10))
        assert list(table.unfinished(100)) == []

    def test_the_index_has_keys_only(self) -> None:
        """A sweep reads nothing of a job that it does not need, such as its prompt."""
        self.put("blue", "a", 10, prompt="x")
        (item,) = clients.dynamodb().query(
            TableName=NAMES["table"],
            IndexName="unfinished",
            KeyConditionExpression="unfinished = :job",
            ExpressionAttributeValues={":job": {"S": "job"}},
        )["Items"]
        assert set(item) == {"pk", "sk", "unfinished", "created_at"}

    def test_all_pages_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page ends after two rows here. Amazon's ends after 1 MB, which are some 5,000 keys."""
        keys = [self.put("blue", f"{n}", 10 + n // 2) for n in range(7)]
        query, queries = clients.dynamodb().query, list[Any]()

        def short(**request: Any) -> Any:
            queries.append(request.get("ExclusiveStartKey"))
            return query(**request, Limit=2)

        monkeypatch.setattr(clients.dynamodb(), "query", short)
        assert list(table.unfinished(100)) == keys
        assert len(queries) == 4
        assert set(queries[-1]) == {"pk", "sk", "unfinished", "created_at"}

    def test_a_row_that_ends_while_the_index_is_read_hides_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = [self.put("blue", f"{n}", 10 + n) for n in range(4)]
        query = clients.dynamodb().query
        monkeypatch.setattr(clients.dynamodb(), "query", lambda **request: query(**request, Limit=1))
        found = []
        for key in table.unfinished(100):
            found.append(key)
            table.change(table.swap(key, {}, expect={}, remove=table.UNFINISHED))
        assert found == keys

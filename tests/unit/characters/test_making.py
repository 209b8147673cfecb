"""A character that is being made is known from its first object on, and has one maker at a time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.clock import Clock
from tests.fakes.edges import Killed
from understudy.characters import making
from understudy.characters.making import DEAD_SECONDS, LATE_SECONDS, PREFIX, Busy
from understudy.errors import ApiError, StorageFull
from understudy.files import storage
from understudy.settings import settings
from understudy.store import bucket, table

DEADLINE = 25.0
ROW = table.Key("team#blue", "character#1")


@pytest.fixture(params=["fakes", "moto"])
def table_engine(request: pytest.FixtureRequest) -> str:
    """Each test runs on both stand-ins: these expressions are the longest that we have."""
    return str(request.param)


@pytest.fixture(autouse=True)
def stored(aws_stack: None, clock: Clock) -> None:
    """A backend without limits and without objects."""


def row() -> dict[str, Any]:
    return table.get(table.storage_key("blue")) or {}


def counted() -> tuple[int, int]:
    """Return the characters and bytes that count, without bytes that are deleted and still count for some days."""
    kept = sum(count for name, count in row().items() if name.startswith("bytes_until_"))
    return row().get("characters", 0), row().get("bytes", 0) - kept


def begin(clock: Clock, byte_count: int = 100) -> making.Making:
    """Begin like a maker that dies: nothing is given up."""
    return making._begin("blue", "1", byte_count, clock.now + DEADLINE, False)


def put() -> str:
    key = bucket.character_prefix("blue", "1") + "clip"
    bucket.put(key, b"clip", "video/mp4")
    return key


def test_the_end_counts_what_was_stored_and_forgets_the_maker(clock: Clock) -> None:
    with making.begun("blue", "1", 100, clock.now + DEADLINE) as begun:
        assert PREFIX + "1" in row()
        table.write_together(table.Put(ROW, {}), begun.end(130))
    assert counted() == (1, 130)
    assert PREFIX + "1" not in row()


def test_an_error_before_anything_was_stored_gives_all_back(clock: Clock) -> None:
    with pytest.raises(ApiError), making.begun("blue", "1", 100, clock.now + DEADLINE):
        raise ApiError("No.")
    assert counted() == (0, 0)
    assert row()["bytes"] == 0
    assert PREFIX + "1" not in row()


def test_an_error_after_that_deletes_the_objects_whose_bytes_count_until_they_are_gone(clock: Clock) -> None:
    with pytest.raises(ApiError), making.begun("blue", "1", 100, clock.now + DEADLINE):
        key = put()
        raise ApiError("No.")
    assert not bucket.exists(key)
    assert counted() == (0, 0)
    assert row()["bytes"] == 100


def test_after_the_end_nothing_is_given_up(clock: Clock) -> None:
    """DynamoDB has written the row, and its answer was lost."""
    with pytest.raises(ApiError), making.begun("blue", "1", 100, clock.now + DEADLINE) as begun:
        key = put()
        table.write_together(table.Put(ROW, {}), begun.end(100))
        raise ApiError("No.")
    assert bucket.exists(key)
    assert counted() == (1, 100)


def test_a_making_that_was_given_up_cannot_end(clock: Clock) -> None:
    begun = begin(clock)
    begun.give_up()
    with pytest.raises(table.RowChanged):
        table.write_together(table.Put(ROW, {}), begun.end(100))
    assert table.get(ROW) is None
    begun.give_up()
    assert counted() == (0, 0)


def test_while_a_maker_is_at_work_there_is_no_other(clock: Clock) -> None:
    begin(clock)
    clock.advance(DEADLINE)
    with pytest.raises(Busy) as caught:
        begin(clock)
    assert caught.value.seconds == DEAD_SECONDS
    assert counted() == (1, 100)


def test_the_next_maker_takes_over_from_a_dead_one(clock: Clock) -> None:
    dead = begin(clock)
    clock.advance(DEADLINE + DEAD_SECONDS + 1)
    with making.begun("blue", "1", 100, clock.now + DEADLINE) as begun:
        dead.give_up()  # it was only slow
        with pytest.raises(table.RowChanged):
            table.write_together(table.Put(ROW, {}), dead.end(100))
        table.write_together(table.Put(ROW, {}), begun.end(100))
    assert counted() == (1, 100)


def test_of_two_that_take_over_one_is_first(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(clock)
    clock.advance(DEADLINE + DEAD_SECONDS + 1)
    claim = making._claim

    def late(*given: Any) -> Any:
        monkeypatch.setattr(making, "_claim", claim)
        begin(clock)
        return claim(*given)

    monkeypatch.setattr(making, "_claim", late)
    with pytest.raises(Busy):
        begin(clock)
    assert counted() == (1, 100)


def test_what_a_dead_maker_left_is_cleared_when_it_is_certainly_dead(clock: Clock) -> None:
    with pytest.raises(Killed), making.begun("blue", "1", 100, clock.now + DEADLINE):
        key = put()
        raise Killed
    making.clear(row())
    assert bucket.exists(key)
    clock.advance(DEADLINE + DEAD_SECONDS + 1)
    making.clear(row())
    assert bucket.exists(key)  # S3 may still be copying
    clock.advance(LATE_SECONDS)
    making.clear(row())
    assert not bucket.exists(key)
    assert counted() == (0, 0)
    assert PREFIX + "1" not in row()


def test_a_copy_that_goes_on_after_an_error_is_cleared_or_overwritten(clock: Clock) -> None:
    """The answer of S3 was lost: the object may come after everything that this maker could delete."""
    with pytest.raises(OSError), making.begun("blue", "1", 100, clock.now + DEADLINE):
        raise OSError
    key = put()
    with making.begun("blue", "1", 100, clock.now + DEADLINE):  # the next delivery, at once
        pass
    clock.advance(DEADLINE + DEAD_SECONDS + LATE_SECONDS + 1)
    making.clear(row())
    assert not bucket.exists(key)
    assert counted() == (0, 0)


def test_the_objects_of_a_character_that_has_a_row_stay(clock: Clock) -> None:
    """Of two deliveries of a file, the second began when the first had just ended, and died at once."""
    with making.begun("blue", "1", 100, clock.now + DEADLINE) as begun:
        key = put()
        table.write_together(table.Put(ROW, {}), begun.end(100))
    begin(clock)
    assert counted() == (2, 200)
    clock.advance(DEADLINE + DEAD_SECONDS + LATE_SECONDS + 1)
    making.clear(row())
    assert bucket.exists(key)
    assert counted() == (1, 100)


def test_the_clearing_gives_way_to_a_maker_that_came_first(clock: Clock) -> None:
    begin(clock)
    clock.advance(DEADLINE + DEAD_SECONDS + LATE_SECONDS + 1)
    seen = row()
    with making.begun("blue", "1", 100, clock.now + DEADLINE) as begun:
        key = put()
        making.clear(seen)
        table.write_together(table.Put(ROW, {}), begun.end(100))
    assert bucket.exists(key)
    assert counted() == (1, 100)


class TestLimits:
    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAX_CHARACTERS", "2")
        monkeypatch.setenv("MAX_STORAGE", "1")
        settings.cache_clear()

    def test_what_is_being_made_counts(self, clock: Clock) -> None:
        for record in ("1", "2"):
            making._begin("blue", record, 100, clock.now + DEADLINE, False)
        with pytest.raises(StorageFull, match="2 of at most 2 characters"):
            making._begin("blue", "3", 100, clock.now + DEADLINE, False)

    def test_what_was_admitted_gets_room(self, clock: Clock) -> None:
        storage.take("blue", {"bytes": 1024**3})
        with pytest.raises(StorageFull, match=r"1\.0 GiB of at most 1\.0 GiB"):
            making._begin("blue", "1", 100, clock.now + DEADLINE, False)
        with making.begun("blue", "1", 100, clock.now + DEADLINE, admitted=True) as begun:
            table.write_together(table.Put(ROW, {}), begun.end(130))
        assert counted() == (1, 1024**3 + 130)

"""The counts of what a team stores: exact side by side, given back once, and never kept up by what has died."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes.clock import START, Clock
from tests.fakes.dynamodb import DynamoDB
from tests.fakes.stage import Stage
from understudy.errors import StorageFull
from understudy.files import storage
from understudy.files.storage import DAY, GRACE, HOUR, Usage
from understudy.settings import settings
from understudy.store import table

GIBIBYTE = 1024**3


@pytest.fixture(autouse=True)
def limits(aws_stack: None, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 3 characters, 4 open uploads and 12 GiB."""
    for name, value in {"MAX_CHARACTERS": "3", "MAX_UPLOADS": "4", "MAX_STORAGE": "12"}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def row(team: str = "blue") -> dict[str, Any]:
    return table.get(table.storage_key(team)) or {}


def used(team: str = "blue") -> Usage:
    return next(one for one in map(storage.usage, storage.rows()) if one.team == team)


def upload(end: int, byte_count: int = 1) -> storage.Counts:
    return storage.ending("uploads", 1, end) | storage.ending("bytes", byte_count, end + DAY)


class TestTheEnd:
    def test_of_an_upload_is_the_next_full_hour(self) -> None:
        assert storage.end_of_upload(int(START)) == START
        assert storage.end_of_upload(int(START) + 1) == START + HOUR

    @pytest.mark.parametrize("days", [4, 7, 9])
    def test_of_bytes_is_never_before_that_of_s3(self, clock: Clock, days: int) -> None:
        """S3 rounds to the next midnight in UTC."""
        for hours in range(25):
            clock.now = START + hours * HOUR
            end = storage.end_of_bytes(days * DAY)
            assert end % DAY == 0
            assert clock.now + days * DAY <= end < clock.now + (days + 1) * DAY

    def test_days_are_those_of_the_template(self) -> None:
        """What is deleted by one rule is an old version for the days of another, each counted up to midnight."""
        from scripts import translate

        rules = translate.source()["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        current: dict[str, int] = {}
        old: dict[str, int] = {}
        for rule in rules:
            if "ExpirationInDays" in rule:
                current[rule["Prefix"]] = rule["ExpirationInDays"]
            if "NoncurrentVersionExpiration" in rule:
                old[rule.get("Prefix", "")] = rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for prefix, seconds in {"uploads/": storage.UPLOAD_SECONDS, "media/inputs/": storage.INPUT_SECONDS}.items():
            assert seconds == (current[prefix] + old[prefix] + 1) * DAY
        assert old[""] * DAY == storage.DELETED_SECONDS
        assert not any("media/characters/".startswith(prefix) for prefix in current)


class TestTake:
    def test_what_fits_is_counted(self) -> None:
        for _ in range(4):
            storage.take("blue", upload(int(START) + HOUR, 3 * GIBIBYTE))
        assert used() == Usage("blue", 0, 4, 12 * GIBIBYTE)

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            ({"characters": 4}, "0 of at most 3 characters"),
            ({"uploads": 5}, "0 of at most 4 open uploads"),
            ({"bytes": 12 * GIBIBYTE + 1}, "0 bytes of at most 12.0 GiB, and this needs 12.0 GiB more"),
        ],
    )
    def test_what_never_fits_is_refused_by_an_empty_row(self, counts: dict[str, int], words: str) -> None:
        with pytest.raises(StorageFull, match=words):
            storage.take("blue", counts)
        assert row() == {}

    @pytest.mark.parametrize("name", ["characters", "uploads", "bytes"])
    def test_at_the_limit_one_more_is_refused(self, name: str) -> None:
        limit = {"characters": 3, "uploads": 4, "bytes": 12 * GIBIBYTE}[name]
        storage.take("blue", {name: limit})
        with pytest.raises(StorageFull) as caught:
            storage.take("blue", {name: 1})
        assert caught.value.status == 429
        assert not caught.value.retried
        assert not caught.value.passing
        assert row()[name] == limit

    def test_without_limits_everything_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("MAX_CHARACTERS", "MAX_UPLOADS", "MAX_STORAGE"):
            monkeypatch.setenv(name, "0")
        settings.cache_clear()
        storage.take("blue", {"characters": 10**6, "uploads": 10**6, "bytes": 10**15})
        assert used() == Usage("blue", 10**6, 10**6, 10**15)

    def test_nothing_is_counted_if_a_row_is_there_already(self) -> None:
        key = table.upload_key("blue", "1")
        storage.take("blue", {"uploads": 1}, table.Put(key, {}))
        with pytest.raises(table.RowChanged):
            storage.take("blue", {"uploads": 1}, table.Put(key, {}))
        assert used().uploads == 1

    def test_side_by_side_exactly_as_many_as_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lock, write = threading.Lock(), DynamoDB._TransactWriteItems

        def alone(self: DynamoDB, request: dict[str, Any]) -> dict[str, Any]:
            with lock:
                return write(self, request)

        def take(_: int) -> bool:
            try:
                storage.take("blue", upload(int(START) + HOUR, GIBIBYTE))
            except StorageFull:
                return False
            return True

        monkeypatch.setattr(DynamoDB, "_TransactWriteItems", alone)
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(40))) == 4
        assert used() == Usage("blue", 0, 4, 4 * GIBIBYTE)


class TestWhatEnds:
    def test_is_given_back_once(self, clock: Clock) -> None:
        end = int(START) + HOUR
        storage.take("blue", upload(end))
        back = storage.given_back("uploads", 1, end)
        table.write_together(*storage.changes("blue", back))
        assert used().uploads == 0
        clock.now = end + GRACE + 1
        assert storage.drop_ended(row())
        assert row()["uploads"] == 0
        assert storage.given_back("uploads", 1, end) == {}

    def test_does_not_show_any_more(self, clock: Clock) -> None:
        storage.take("blue", upload(int(START) + HOUR))
        clock.advance(HOUR)
        assert (used().uploads, used().bytes) == (0, 1)
        clock.advance(DAY)
        assert used() == Usage("blue", 0, 0, 0)

    def test_makes_room_for_the_next_call(self, clock: Clock) -> None:
        for _ in range(4):
            storage.take("blue", upload(int(START) + HOUR, 3 * GIBIBYTE))
        clock.advance(HOUR + GRACE + 1)
        with pytest.raises(StorageFull, match=r"12\.0 GiB of at most"):  # the uploads are over, their bytes are not
            storage.take("blue", upload(int(clock.now) + HOUR))
        clock.advance(DAY)
        storage.take("blue", upload(int(clock.now) + HOUR))
        assert used() == Usage("blue", 0, 1, 1)

    def test_is_taken_off_once_by_two_at_the_same_moment(self, clock: Clock) -> None:
        storage.take("blue", {"bytes": 5} | storage.ending("uploads", 2, int(START)))
        clock.advance(GRACE + 1)
        seen = row()
        assert storage.drop_ended(seen)
        assert storage.drop_ended(seen)  # the other one has read the same row
        assert (row()["uploads"], row()["bytes"]) == (0, 5)
        assert not storage.drop_ended(row())

    def test_of_many_days_is_taken_off_at_once(self, clock: Clock) -> None:
        """A team whose row nobody has swept for a month: the expression stays within DynamoDB's limits."""
        for hour in range(26):
            table.write_together(*storage.changes("blue", storage.ending("uploads", 1, int(START) + hour * HOUR)))
        for day in range(31):
            table.write_together(*storage.changes("blue", storage.ending("bytes", 7, int(START) + day * DAY)))
        clock.advance(32 * DAY)
        assert storage.drop_ended(row())
        assert (row()["uploads"], row()["bytes"]) == (0, 0)
        assert not any("_until_" in name for name in row())

    def test_deleted_bytes_count_as_long_as_the_bucket_keeps_them(self, clock: Clock) -> None:
        table.write_together(*storage.changes("blue", {"characters": 1, "bytes": 100}))
        table.write_together(*storage.changes("blue", {"characters": -1}, storage.deleted(100)))
        assert used() == Usage("blue", 0, 0, 100)
        clock.advance(8 * DAY)
        assert used() == Usage("blue", 0, 0, 0)


def test_each_team_is_found_and_no_job(stage: Stage) -> None:
    stage.create()
    for team in ("blue", "red", "green"):
        storage.take(team, {"bytes": 1})
    assert {one.team for one in map(storage.usage, storage.rows())} == {"blue", "red", "green"}
    assert len(list(table.unfinished(int(stage.clock.now) + 60))) == 1


@pytest.mark.parametrize(
    ("byte_count", "words"), [(0, "0 bytes"), (7, "7 bytes"), (3 * 1024**2 // 2, "1.5 MiB"), (GIBIBYTE, "1.0 GiB")]
)
def test_bytes_in_words(byte_count: int, words: str) -> None:
    assert storage.spell(byte_count) == words

"""The making of a character: from the first object in the bucket until the character has its row.

Nothing deletes the objects of characters, and before its row is written nothing knows them. So the row that counts what
the team stores (files/storage.py) names a character that is being made, with its maker and the time until the maker is
dead. The transaction that writes the character's row ends the making. What a dead maker has left is deleted by the next
maker of the same character, or by the hourly sweep.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from understudy.errors import ApiError, StorageFull
from understudy.files import storage
from understudy.store import bucket, table
from understudy.store.table import Change, Row
from understudy.telemetry import logger

DEAD_SECONDS = 60  # after its deadline, a maker is certainly dead: its function times out 15 s after it, at most
CLEAR_SECONDS = 300
LATE_SECONDS = 900  # after a maker is dead, until the sweep deletes: S3 may finish a copy that nobody waits for
PREFIX = "making_"  # of the attribute; the character's record follows


class Busy(Exception):
    """Another maker makes this character. It is finished or dead in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__("another maker makes this character")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Making:
    """A character that is being made. Only its maker knows the `token`, and `byte_count` bytes are counted by now."""

    team: str
    record: str
    token: str
    byte_count: int

    def end(self, byte_count: int) -> Change:
        """Return the write that ends the making, for the transaction that writes the character's row.

        `byte_count` is all that the character has stored. It counts even beyond the limit. The write fails if the
        making was given up.
        """
        return self._ended({"bytes": byte_count - self.byte_count})

    def give_up(self) -> None:
        """Delete what was stored of the character, and give its count back.

        Does nothing if the making has ended, or if another maker has taken over.
        """
        with contextlib.suppress(table.RowChanged):
            _claim(self, time.time() + CLEAR_SECONDS)  # if the answer of the last write was lost, it may be over
            # Another delivery may have written the character before this making began: then its objects stay.
            has_row = table.get(table.character_key(self.team, self.record)) is not None
            stored = 0 if has_row else bucket.delete_all(bucket.character_prefix(self.team, self.record))
            bytes_back = storage.deleted(self.byte_count) if stored else {"bytes": -self.byte_count}
            table.write_together(self._ended({"characters": -1}, bytes_back))

    def leave(self) -> None:
        """Leave the character to the next maker, or to the sweep: it is unknown what the bucket still does."""
        with contextlib.suppress(table.RowChanged):
            _claim(self, time.time())

    def _ended(self, *counts: storage.Counts) -> Change:
        names = {"making": PREFIX + self.record}
        change = storage.change(self.team, storage.total(*counts), remove=names)
        return storage.on(change, "#making.#token = :token", {"token": "token"}, token=self.token)


@contextlib.contextmanager
def begun(team: str, record: str, byte_count: int, deadline: float, *, admitted: bool = False) -> Iterator[Making]:
    """Count a character of some bytes, and make it by the `deadline`, in `time.monotonic()` seconds.

    After an ApiError nothing of the character is kept. After another exception the next maker goes on, or the sweep
    deletes what was stored. `admitted` bytes are counted elsewhere, too, and get room in any case. Raises StorageFull,
    and Busy if another maker makes the same character.
    """
    making = _begin(team, record, byte_count, deadline, admitted)
    try:
        yield making
    except Exception as error:
        try:
            if isinstance(error, ApiError):
                making.give_up()
            else:
                making.leave()
        except Exception:  # noqa: BLE001 - the sweep does it, and the caller is told what went wrong first
            logger.warning("a character was not given up", extra={"character": record}, exc_info=True)
        raise


def clear(row: Row) -> None:
    """Delete what dead makers have left of characters, by the row that counts what their team stores."""
    for name, value in row.items():
        if name.startswith(PREFIX) and value["until"] + LATE_SECONDS <= time.time():
            dead = _made(storage.team_of(row[table.PARTITION]), name.removeprefix(PREFIX), value)
            logger.warning("the maker of a character died", extra={"character": dead.record})
            with contextlib.suppress(table.RowChanged):  # another delivery makes the character after all
                _claim(dead, time.time() + CLEAR_SECONDS, secrets.token_hex(8)).give_up()


def _begin(team: str, record: str, byte_count: int, deadline: float, admitted: bool) -> Making:
    until = time.time() + max(deadline - time.monotonic(), 0) + DEAD_SECONDS
    making = Making(team, record, secrets.token_hex(8), byte_count)
    counts = storage.total({"characters": 1, "bytes": byte_count})
    limited = {"characters": 1} if admitted else counts
    value = {"token": making.token, "until": math.ceil(until), "bytes": byte_count}
    change = storage.change(team, counts, limited, sets=", #making = :making")
    change = storage.on(change, "attribute_not_exists(#making)", {"making": PREFIX + record}, making=value)
    try:
        storage.take_by(change, limited)
    except StorageFull:
        found = (table.get(table.storage_key(team)) or {}).get(PREFIX + record)
        if found is None:
            raise
        return _take_over(making, found, until)
    return making


def _take_over(making: Making, found: dict[str, Any], until: float) -> Making:
    """Go on with a making whose maker has died. Raises Busy if it has not, or if another one was first."""
    if found["until"] > time.time():
        raise Busy(math.ceil(found["until"] - time.time())) from None
    try:
        return _claim(_made(making.team, making.record, found), until, making.token)
    except table.RowChanged:
        raise Busy(math.ceil(until - time.time())) from None


def _claim(held: Making, until: float, token: str | None = None) -> Making:
    """Keep a making until some time, or take it over with a new token. Raises table.RowChanged if it has ended."""
    mine = replace(held, token=token or held.token)
    change = Change(
        table.storage_key(held.team),
        "SET #making.#until = :until, #making.#token = :mine",
        {"until": math.ceil(until), "mine": mine.token, "token": held.token},
        {"making": PREFIX + held.record, "until": "until", "token": "token"},
        "#making.#token = :token",
    )
    table.write_together(change)
    return mine


def _made(team: str, record: str, value: dict[str, Any]) -> Making:
    return Making(team, record, value["token"], value["bytes"])

"""Record the outcome of a row of the fault table, and check that the outcome is what the table says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.integration.fault_servers import Json
from tests.integration.fault_table import Row

STATUSES = {"queued", "in_progress", "completed", "failed"}
SECONDS = 4


@dataclass
class Told:
    """What caller, provider and ledger report about a row; money is in micro-dollars, `polls` are times in seconds."""

    tries: int = 0  # how often the caller had to send the call, with one Idempotency-Key
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    video: Json | None = None  # as it was at the end
    listed: list[Json] = field(default_factory=list)
    film_seconds: float | None = None
    submits: int = 0
    made: int = 0
    orders: list[float] = field(default_factory=list)  # moments, as of the polls
    polls: list[float] = field(default_factory=list)
    open: int = 0  # slots in use
    committed: int = 0
    spent: int = 0
    fired: list[tuple[int, int | None]] = field(default_factory=list)  # how often each fault struck, and should have

    def hear(self, row: Row, requests: list[Json], faults: list[Json]) -> None:
        """Store the provider's records for the row: its orders, the polls of their jobs, the faults that struck."""
        numbers = {fault["id"] for fault in faults}
        orders = [one for one in requests if one["method"] == "POST"]
        mine = [one for one in orders if row.mark in json.dumps(one) or one["fault"] in numbers]
        names = {name for one in mine for name in one["names"]}
        self.orders = [one["time"] for one in mine]
        self.submits, self.made = len(mine), sum(one["created"] is not None for one in mine)
        asked = [one for one in requests if one["method"] == "GET"]
        self.polls = [one["time"] for one in asked if any(name in one["path"] + one["query"] for name in names)]
        self.fired = [(fault["fired"], fault["times"]) for fault in faults]


def judge(row: Row, told: Told) -> None:
    """Raise AssertionError if the outcome differs from the table's row."""
    for fired, times in told.fired:
        assert fired and times in {fired, None}, f"a fault of the row struck {fired} times: {told}"
    assert told.seen <= STATUSES, told.seen
    if isinstance(row.sees.status, int):
        _refused(row, told) if told.status != 200 else _told_by_its_job(row, told)
    else:
        _ended(row, told)
    _once(row, told)
    assert told.open == 0, f"a slot was not given back: {told}"
    assert (told.committed, told.spent) == (row.micro_dollars, row.micro_dollars), told
    assert "sim-" not in json.dumps([told.body, told.video, told.listed]), "our key got out"
    if row.pause:
        first, second, *_ = told.orders if row.refusals else told.polls
        assert second - first >= 0.9 * row.pause, told


def _once(row: Row, told: Told) -> None:
    """Check that nothing is ordered twice; after a definite refusal, each try of the caller may send one order."""
    assert told.made == row.ordered, told
    if not row.connects:
        assert told.submits == 0, told
    elif isinstance(row.sees.status, int) and row.sees.code != "outcome_unknown":
        assert 1 <= told.submits <= told.tries, told
    else:
        assert told.submits == 1 + row.refusals, told


def _refused(row: Row, told: Told) -> None:
    """Check that the error is in OpenAI's envelope, and that no job is left, or one whose outcome is unknown."""
    assert told.status == row.sees.status, told
    assert set(told.body) == {"error"}, told.body
    _useful(told.body["error"], row.sees.code)
    assert set(told.body["error"]) == {"message", "type", "param", "code"}
    assert told.headers.get("retry-after") == row.sees.retry_after, told.headers
    left = [(video["status"], video["error"]["code"]) for video in told.listed]
    if row.sees.code == "outcome_unknown":
        assert told.headers["x-should-retry"] == "false"
        assert left == [("failed", "outcome_unknown")]
    else:
        assert left == []


def _told_by_its_job(row: Row, told: Told) -> None:
    """Check the case that the first try's answer was lost on its way to the caller.

    The next try, with the same idempotency key, then returns the failed job.
    """
    assert told.tries > 1, told
    assert row.sees.code == "outcome_unknown", told
    assert told.video is not None
    assert told.video["status"] == "failed", told
    _useful(told.video["error"], "outcome_unknown")


def _ended(row: Row, told: Told) -> None:
    assert told.status == 200, told
    assert told.video is not None
    assert [video["id"] for video in told.listed] == [told.video["id"]]
    assert told.video["status"] == row.sees.status, told.video
    if row.sees.status == "completed":
        assert told.video["error"] is None
        assert told.video["progress"] == 100
        assert told.film_seconds is not None
        assert round(told.film_seconds) == SECONDS
    else:
        _useful(told.video["error"], row.sees.code)
        assert told.video["completed_at"]


def _useful(error: Any, code: str | None) -> None:
    assert error["code"] == code, error
    assert len(error["message"].split()) > 1, error

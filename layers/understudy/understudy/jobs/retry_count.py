"""Attempts without an idempotency key, which the official clients count in `x-stainless-retry-count`.

The clients retry a POST twice on lost connections, 408, 409, 429 and 5xx. Nothing else says to which call a retry
belongs. So a call has a row with the count of its latest attempt, and with the state `made` or `refused`. A retry
belongs to a call of the same API key, operation and body whose latest attempt has a lower count: to a refused call, or
to a call that has made something whose id the API key has not used yet.

Attempts may run side by side, and an early one may arrive late. So the calls of one API key, operation and body share a
row whose `version` grows with each of their writes. A retry writes only if the version is still the one that it has
read. A first attempt need not read: it writes unless a retry came before it, which `late` says.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

from understudy.errors import ApiError, Conflict
from understudy.jobs.attempt import Attempt, Busy, running
from understudy.store import table
from understudy.store.entity import Entity
from understudy.store.table import Change, Key, Put, Row

T = TypeVar("T", bound=Entity)

MADE_SECONDS = 15 * 60
REFUSED_SECONDS = 120  # the official clients wait at most 60 s before a retry (openai-python 3.54.0, openai-node 6)
LATE_SECONDS = 60  # how long a first attempt may arrive after its retry; the gateway ends a request after 29 s
TRIES = 5  # at recording a refusal while other attempts write
MAX_CALLS = 100  # the latest calls among which a retry finds its own


@dataclass(slots=True)
class CountedAttempt(Attempt[T]):
    """An attempt after `count` others. `counted` is whether the client has said so; other clients do not retry."""

    count: int
    counted: bool
    _looks: bool = field(default=False, init=False)  # a first attempt looks only after another one was first
    _version: int | None = field(default=None, init=False)  # as it was read; None: not read
    _call: Row | None = field(default=None, init=False)  # the refused call to which this attempt belongs
    _missing: list[int] = field(default_factory=list, init=False)  # counts of the call's attempts that did not arrive

    def refused(self, error: ApiError | None, *, for_good: bool = False) -> None:
        self.settled = True
        if not self.counted or error is None or not error.retried:
            self._forget(self._row)
        elif self.made:
            row = {"state": "refused", table.TTL: int(time.time()) + REFUSED_SECONDS}
            mine = {"attempt": self.id, "count": self.count}
            table.write_together(table.swap(self._row, row, expect=mine), self._next_version(checked=False))
        else:
            self._owe()

    def _owe(self) -> None:
        """Record that the client sends this call again, and that nothing was made for it. Raises table.RowChanged."""
        self._looks = True
        for left in reversed(range(TRIES)):
            try:
                if self._earlier() is None:
                    table.write_together(*self._writes("refused", "", REFUSED_SECONDS))
                return
            except (Busy, Conflict):  # the call is another attempt's to end
                return
            except table.RowChanged:
                if not left:
                    raise

    def _earlier(self) -> T | None:
        self._call, self._missing = None, []
        if self.count == 0 and not self._looks:
            return None
        same = table.get(self._same)
        self._version = same["version"] if same else 0
        calls = self._calls()
        before = [call for call in calls if call["count"] < self.count]
        refused = [call for call in before if call["state"] == "refused"]
        own = next((call for call in refused if call["count"] == self.count - 1), None)
        if own is None:
            late = next((call for call in calls if self.count in call["missing"]), None)
            if late is not None:
                return self._too_late(late)
            made = self._lost([call for call in before if call["state"] == "made"])
            if made is not None:
                return made
        self._call = own or next(iter(refused), None)
        self._missing = self._missing_from(self._call)
        return None

    def _calls(self) -> list[Row]:
        """Return the latest calls with the same body, the newest first."""
        start = self._call_key("")
        rows = table.page(start, start.sk, limit=MAX_CALLS, newest_first=True)
        return [row for row in rows if row[table.TTL] > time.time()]

    def _lost(self, calls: list[Row]) -> T | None:
        """Return what the newest of these calls has made whose response may be lost. This attempt then belongs to it.

        Raises Busy if that call is under way: its client may have lost the connection before the response.
        """
        for call in calls:
            made = self._find(call)
            if made is not None and not made.answered:
                self._change(call, {"count": self.count, "missing": self._missing_from(call)})
                return made
        return None

    def _too_late(self, call: Row) -> T:
        """Return what the call has made of which a later attempt came before this one. Nobody awaits this response.

        Raises Conflict if the call has made nothing, or nothing any more: this attempt must not make it.
        """
        made = self._find(call) if call["state"] == "made" else None
        self._change(call, {"missing": [count for count in call["missing"] if count != self.count]})
        if made is None:
            raise running()
        return made

    def _change(self, call: Row, changes: dict[str, Any]) -> None:
        table.update(_key(call), changes, expect={"state": call["state"], "count": call["count"]})
        self.settled = True

    def _missing_from(self, call: Row | None) -> list[int]:
        """Return the counts of the call's attempts that have not arrived before this one."""
        if call is None:
            return list(range(self.count))
        return [*call["missing"], *range(call["count"] + 1, self.count)]

    def _rows(self, record: str) -> list[Put | Change]:
        return self._writes("made", record, MADE_SECONDS)

    def _writes(self, state: str, record: str, seconds: int) -> list[Put | Change]:
        """Return the writes of the call's row and of the version of the calls with the same body."""
        now = int(time.time())
        row = {"state": state, "record": record, "count": self.count, "missing": self._missing, "attempt": self.id}
        return [Put(self._row, {**row, "at": now, table.TTL: now + seconds}, replace=True), self._next_version()]

    def _next_version(self, *, checked: bool = True) -> Change:
        """Return the write of the next version. If `checked`, it fails if another attempt was first."""
        now = int(time.time())
        sets, condition = ["#ttl = :ttl"], ""
        names = {"version": "version", "ttl": table.TTL}
        values: dict[str, Any] = {"one": 1, "ttl": now + MADE_SECONDS}
        if 0 in self._missing:
            sets.append("#late = :late")
            names["late"], values["late"] = "late", now + LATE_SECONDS
        if checked and self._version is None:
            condition, names["late"], values["now"] = "attribute_not_exists(#late) OR #late < :now", "late", now
        elif checked and self._version == 0:
            condition, values["now"] = "attribute_not_exists(#version) OR #ttl <= :now", now
        elif checked:
            condition, values["version"] = "#version = :version", self._version
        return Change(self._same, f"SET {', '.join(sets)} ADD #version :one", values, names, condition)

    def _was_overtaken(self) -> None:
        self._looks = True

    @property
    def _row(self) -> Key:
        return _key(self._call) if self._call is not None else self._call_key(self.id)

    @property
    def _same(self) -> Key:
        return table.same_key(self.caller.team, self.caller.key_id, self.operation, self.digest)

    def _call_key(self, name: str) -> Key:
        return table.call_key(self.caller.team, self.caller.key_id, self.operation, self.digest, name)


def _key(row: Row) -> Key:
    return Key(row[table.PARTITION], row[table.SORT])

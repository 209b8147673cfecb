"""An attempt of a call: what an idempotency key and a retry count have in common.

A call is what a client wants once. An attempt is one request for it: the first request, or a retry. The rules are in
docs/idempotency.md, and their reasons in docs/adr/0028.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from understudy.access.keys import Caller
from understudy.errors import ApiError, Conflict
from understudy.ids import new_record
from understudy.store import table
from understudy.store.entity import Entity
from understudy.store.table import Change, Key, Put, Row

T = TypeVar("T", bound=Entity)

PAUSE = 0.3  # seconds between two looks at a call that another attempt is making
WAIT_SECONDS = 15  # for another attempt: enough for an order, and the response comes well before the gateway's end


class Busy(Exception):
    """Another attempt of the call is sending the order."""


@dataclass(slots=True)
class Attempt(Generic[T]):
    """One attempt of a call that makes a `kind`. `digest` is the hash of the body."""

    kind: type[T]
    caller: Caller
    operation: str
    digest: str
    id: str = field(default_factory=new_record, init=False)
    made: bool = field(default=False, init=False)  # the row of the call says that this attempt has made something
    settled: bool = field(default=False, init=False)  # it is recorded how this attempt ended

    def earlier(self, deadline: float) -> T | None:
        """Return what an earlier attempt of this call has made, or None if this attempt has to make it.

        Waits while an earlier attempt is sending the order. Raises KeyReused if the key was used with another body,
        Replayed for a call that had an error, and Conflict if what was made is deleted, or if the wait takes too long.
        """
        until = min(deadline, time.monotonic() + WAIT_SECONDS)
        while True:
            try:
                return self._earlier()
            except table.RowChanged:
                pause = 0.0  # another attempt has taken the call
            except Busy:
                pause = PAUSE
            if time.monotonic() + pause > until:
                self.settled = True  # the other attempt decides how the call ends
                raise running()
            time.sleep(pause)

    def write_together(self, record: str, deadline: float, *writes: Put | Change) -> T | None:
        """Write what the call makes, and the row of the call, all or nothing. `record` names what the call makes.

        Returns what another attempt of the call has made meanwhile, or None after the write. Raises what `earlier`
        raises, and table.RowChanged, with the positions among `writes`, if one of them failed.
        """
        while True:
            try:
                table.write_together(*writes, *self._rows(record))
            except table.RowChanged as changed:
                if all(place < len(writes) for place in changed.failed):
                    raise
            else:
                self.made = self.settled = True
                return None
            self._was_overtaken()
            if made := self.earlier(deadline):
                return made

    def refused(self, error: ApiError | None, *, for_good: bool = False) -> None:
        """Record that the call has made nothing, or nothing any more, because of this error.

        If the client sends the request again after this error, that retry belongs to this call, whatever other calls
        have made. `for_good`: the same key gets the same error again.
        """
        raise NotImplementedError

    def answered(self, error: ApiError) -> None:
        """Remember the error of a call after which something may exist: the same key gets the same error again."""

    def ended(self, error: ApiError) -> None:
        """Record the error that the client gets, unless it is recorded already how this attempt ended."""
        if not self.settled:
            self.refused(error)

    def _earlier(self) -> T | None:
        """Do what `earlier` does, once. Raises Busy, and table.RowChanged if another attempt has taken the call."""
        raise NotImplementedError

    def _rows(self, record: str) -> list[Put | Change]:
        """Return the writes that make the call have made this record."""
        raise NotImplementedError

    def _was_overtaken(self) -> None:
        """Note that another attempt was first."""

    def _find(self, call: Row) -> T | None:
        """Return what the call has made, or None if it was deleted. Raises Busy while it may still be refused."""
        made = self.kind.find(self.caller.team, call["record"])
        if made is not None and made.undecided:
            raise Busy
        return made

    def _forget(self, row: Key) -> None:
        """Delete the row of the call, if this attempt has written it."""
        if self.made:
            table.delete(row, expect={"attempt": self.id})


def running() -> Conflict:
    """Return the error for an attempt while another attempt of its call is under way. The client has to ask again."""
    message = "An earlier attempt of this request is still running. Send this one again in a few seconds."
    return Conflict(message, code="request_in_progress", headers={"x-should-retry": "true", "retry-after": "5"})

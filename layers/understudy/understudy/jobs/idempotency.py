"""Paying once: which calls are one and the same, and what was made for them.

With an `Idempotency-Key`, same key and same body is the same call for a day. Without one, the official clients repeat a
POST twice on lost connections, 408, 409, 429 and 5xx, and say so in `x-stainless-retry-count`; a call with a count of
1 or more is the caller's last one with that operation and body, within 15 minutes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.access.keys import Caller
from understudy.errors import Conflict, InvalidRequest, KeyReused
from understudy.store import table
from understudy.store.table import Put, Row

KEY_SECONDS = 24 * 3600
REPEAT_SECONDS = 15 * 60
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Attempt:
    """One arrival of a call. `digest` is over the body as understood, so that a new multipart boundary changes
    nothing."""

    caller: Caller
    operation: str
    digest: str
    key: str | None
    repeats: int

    @property
    def _once(self) -> table.Key | None:
        if self.key is None:
            return None
        return table.once_key(self.caller.team, self.operation, hashlib.sha256(self.key.encode()).hexdigest())

    @property
    def _last(self) -> table.Key:
        return table.last_key(self.caller.team, self.caller.key_id, self.operation, self.digest)

    def earlier(self) -> Row | None:
        """What an earlier arrival of this call left: {"record", and "error" if it was answered with one}.

        Raises KeyReused when the key came with another body before.
        """
        if self._once is not None:
            row = table.get(self._once)
            if row is not None and row["digest"] != self.digest:
                message = "This Idempotency-Key was used with another request. Use a new key for a new request."
                raise KeyReused(message, param="Idempotency-Key")
            return row
        if self.repeats:
            row = table.get(self._last)
            if row is not None and row["at"] > time.time() - REPEAT_SECONDS:
                return row
        return None

    def rows(self, record: str) -> list[Put]:
        """What has to be written together with the record; the write fails if another arrival was first."""
        now = int(time.time())
        row = {"record": record, "digest": self.digest, "at": now}
        puts = [Put(self._last, row | {table.TTL: now + REPEAT_SECONDS}, replace=True)]
        if self._once is not None:
            puts.append(Put(self._once, row | {table.TTL: now + KEY_SECONDS}))
        return puts

    def answered(self, error: Mapping[str, Any]) -> None:
        """Remember the error that was answered: the same key gets it again."""
        if self._once is not None:
            table.update(self._once, {"error": error}, expect={"digest": self.digest})

    def forget(self) -> None:
        """Nothing was made and trying again is right: the same key may be used for it."""
        table.delete(self._last)
        if self._once is not None:
            table.delete(self._once)


def running() -> Conflict:
    """What a key is told while the first arrival of its call is still being worked on."""
    message = "The first request with this Idempotency-Key is still running."
    return Conflict(message, code="request_in_progress")


def gone() -> Conflict:
    """What a key is told whose video or character was deleted: made once, and not made again by the same call."""
    message = "What was made with this Idempotency-Key has been deleted. Use a new key to make another."
    return Conflict(message, code="idempotency_key_used")


def attempt(caller: Caller, operation: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Attempt:
    """This arrival of a call; `headers` have lower-case names. Raises InvalidRequest for an unusable key."""
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise InvalidRequest(f"An Idempotency-Key has 1 to {MAX_KEY} characters.", param="Idempotency-Key")
    count = headers.get("x-stainless-retry-count", "0")
    repeats = int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0
    return Attempt(caller, operation, digest(body), key, repeats)


def digest(body: Mapping[str, Any]) -> str:
    """A hash over a parsed body; files count by their bytes."""

    def plain(value: Any) -> Any:
        return {"sha256": hashlib.sha256(value.data).hexdigest()}

    return hashlib.sha256(json.dumps(body, sort_keys=True, default=plain).encode()).hexdigest()

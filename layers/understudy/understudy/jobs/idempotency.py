"""Idempotency: which calls are attempts of the same call, and what was made for them.

With an `Idempotency-Key`, a team's calls with the same key, operation and body are the same call for 24 hours. Without
a key, the official clients retry a POST twice on lost connections, 408, 409, 429 and 5xx, and say so in
`x-stainless-retry-count`. If that count is 1 or more, the call is a retry of the last call that the API key made within
15 minutes with the same operation and body.
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
    """One attempt of a call. `digest` is over the parsed body, so a new multipart boundary does not change it."""

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
        """Return the row that an earlier attempt of this call left, or None.

        The row has "record", and "error" if the response was an error. Raises KeyReused if the key was used with
        another body.
        """
        if self._once is not None:
            row = table.get(self._once)
            if row is not None and row["digest"] != self.digest:
                message = "This Idempotency-Key was used with a different request. Use a new key for a new request."
                raise KeyReused(message, param="Idempotency-Key")
            return row
        return table.get(self._last) if self.repeats else None

    def rows(self, record: str) -> list[Put]:
        """Return the rows to write together with the record.

        The write fails if another attempt with the same key was first, within the last 24 hours.
        """
        now = int(time.time())
        row = {"record": record, "digest": self.digest, "at": now}
        puts = [Put(self._last, row | {table.TTL: now + REPEAT_SECONDS}, replace=True)]
        if self._once is not None:
            puts.append(Put(self._once, row | {table.TTL: now + KEY_SECONDS}))
        return puts

    def answered(self, error: Mapping[str, Any]) -> None:
        """Remember the error of the response, so that the same key gets the same error again."""
        if self._once is not None:
            table.update(self._once, {"error": error}, expect={"digest": self.digest})

    def forget(self) -> None:
        """Forget this attempt, because nothing was made and a retry with the same key is right."""
        table.delete(self._last)
        if self._once is not None:
            table.delete(self._once)


def running() -> Conflict:
    """Return the error for an attempt while the first attempt of its call is still running."""
    message = "The first of these requests is still running. Send this one again in a few seconds."
    return Conflict(message, code="request_in_progress")


def gone() -> Conflict:
    """Return the error for a key whose video or character was deleted. The same call does not make it again."""
    message = "The object created with this Idempotency-Key was deleted. Use a new key to create another."
    return Conflict(message, code="idempotency_key_used")


def attempt(caller: Caller, operation: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Attempt:
    """Return this attempt of a call. `headers` have lower-case names. Raises InvalidRequest for an unusable key."""
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise InvalidRequest(f"An Idempotency-Key has 1 to {MAX_KEY} characters.", param="Idempotency-Key")
    count = headers.get("x-stainless-retry-count", "0")
    repeats = int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0
    return Attempt(caller, operation, digest(body), key, repeats)


def digest(body: Mapping[str, Any]) -> str:
    """Return a hash of a parsed body. Files are hashed by their bytes."""

    def plain(value: Any) -> Any:
        return {"sha256": hashlib.sha256(value.data).hexdigest()}

    return hashlib.sha256(json.dumps(body, sort_keys=True, default=plain).encode()).hexdigest()

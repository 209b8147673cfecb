"""Idempotency: which requests are attempts of the same call.

With an `Idempotency-Key`, a team's requests with the same key, operation and body are one call for 24 hours. The call's
row is written together with what the call makes. Without a key, the retry count of the official clients decides
(retry_count.py).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from understudy.access.keys import Caller
from understudy.errors import NO_RETRY, ApiError, Conflict, InvalidRequest, KeyReused
from understudy.jobs.attempt import Attempt
from understudy.jobs.retry_count import CountedAttempt
from understudy.store import table
from understudy.store.entity import Entity
from understudy.store.table import Change, Key, Put

T = TypeVar("T", bound=Entity)

KEY_SECONDS = 24 * 3600
MAX_KEY = 255


class Replayed(ApiError):
    """The error of the first response, sent again."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        headers = {**NO_RETRY, "idempotent-replayed": "true"}
        super().__init__(kept["message"], param=kept["param"], code=kept["code"], headers=headers)
        self.status, self.type = kept["status"], kept["type"]


@dataclass(slots=True)
class KeyedAttempt(Attempt[T]):
    """An attempt with an `Idempotency-Key`."""

    key: str

    def refused(self, error: ApiError | None, *, for_good: bool = False) -> None:
        self.settled = True
        if for_good and error is not None:
            self.answered(error)
        else:
            self._forget(self._row)

    def answered(self, error: ApiError) -> None:
        kept = {name: getattr(error, name) for name in ("status", "type", "message", "param", "code")}
        table.update(self._row, {"error": kept}, expect={"attempt": self.id})

    def _earlier(self) -> T | None:
        row = table.get(self._row)
        if row is None:
            return None
        if row["digest"] != self.digest:
            message = "This Idempotency-Key was used with a different request. Use a new key for a new request."
            raise KeyReused(message, param="Idempotency-Key")
        if row.get("error"):
            raise Replayed(row["error"])
        made = self._find(row)
        if made is None:
            message = "The object created with this Idempotency-Key was deleted. Use a new key to create another."
            raise Conflict(message, code="idempotency_key_used")
        return made

    def _rows(self, record: str) -> list[Put | Change]:
        now = int(time.time())
        row = {"record": record, "digest": self.digest, "at": now, "attempt": self.id, table.TTL: now + KEY_SECONDS}
        return [Put(self._row, row)]

    @property
    def _row(self) -> Key:
        return table.once_key(self.caller.team, self.operation, hashlib.sha256(self.key.encode()).hexdigest())


def attempt(
    kind: type[T], caller: Caller, operation: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> Attempt[T]:
    """Return this attempt of a call that makes a `kind`.

    `headers` have lower-case names. Raises InvalidRequest for an unusable key.
    """
    key = headers.get("idempotency-key")
    if key is not None:
        if not 0 < len(key) <= MAX_KEY:
            raise InvalidRequest(f"An Idempotency-Key has 1 to {MAX_KEY} characters.", param="Idempotency-Key")
        return KeyedAttempt(kind, caller, operation, digest(body), key)
    count = headers.get("x-stainless-retry-count", "")
    counted = count.isascii() and count.isdigit() and len(count) < 3
    return CountedAttempt(kind, caller, operation, digest(body), int(count) if counted else 0, counted)


def digest(body: Mapping[str, Any]) -> str:
    """Return a hash of a parsed body. Files are hashed by their bytes, so a new multipart boundary changes nothing."""

    def plain(value: Any) -> Any:
        return {"sha256": hashlib.sha256(value.data).hexdigest()}

    return hashlib.sha256(json.dumps(body, sort_keys=True, default=plain).encode()).hexdigest()

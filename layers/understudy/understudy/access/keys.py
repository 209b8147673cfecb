"""API keys and callers: who is asking, for which team, and how much is allowed.

A key is `us-` and 32 random bytes. The key's id is half of the key's SHA-256 and names the row. So finding a key
compares no secrets, and the row does not reveal the key.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from understudy.errors import Unauthenticated
from understudy.store import table

PREFIX = "us-"
RAW_IDS = "raw_ids:"  # prefix of the scope; the deployment's id follows
SCOPE = re.compile(RAW_IDS + r"[a-z0-9][a-z0-9._-]{0,39}")
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TOUCHES = 10  # allowed calls that change or sign something, for each allowed call that creates something


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request. `key_id` names the key without revealing it; an empty `models` means every model."""

    team: str
    key_id: str
    scopes: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    @property
    def raw_ids(self) -> frozenset[str]:
        """The deployments whose own ids the key may use, also as wrapped by LiteLLM."""
        return frozenset(scope.removeprefix(RAW_IDS) for scope in self.scopes if scope.startswith(RAW_IDS))

    def may_use(self, model: str) -> bool:
        """Return True if the key may use this model."""
        return not self.models or model in self.models

    def context(self) -> dict[str, str]:
        """Return the caller as the authorizer's context, in which every value is a string."""
        return {
            "team": self.team,
            "key_id": self.key_id,
            "scopes": " ".join(sorted(self.scopes)),
            "models": "\n".join(sorted(self.models)),
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a key; None means no limit. `budget` is in micro-dollars for each calendar month (UTC)."""

    requests_per_minute: int | None = None
    concurrent: int | None = None
    budget: int | None = None


def mint(
    team: str,
    *,
    scopes: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    limits: Limits | None = None,
    payer: str | None = None,
) -> tuple[str, Caller]:
    """Create a key for a team and store its row. Return the key, which is never returned again, and its caller.

    `payer` is the id of the key whose slots and budget the new key uses; without it, the new key uses its own. Raises
    ValueError for a team name that cannot be part of a bucket key, an unknown scope, or a limit below its minimum.
    """
    if not TEAM.fullmatch(team):
        raise ValueError("a team name has 1 to 64 letters, digits, dots, dashes or underscores")
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise ValueError(f"there is no scope {scope!r}; there is {RAW_IDS}DEPLOYMENT")
    limits = limits or Limits()
    if any(value is not None and value < 1 for value in (limits.requests_per_minute, limits.concurrent)):
        raise ValueError("a rate limit and a concurrency limit are at least 1; revoke a key that must not do anything")
    if limits.budget is not None and limits.budget < 0:
        raise ValueError("a budget is at least 0")
    key = PREFIX + secrets.token_urlsafe(32)
    caller = Caller(team, _key_id(key), frozenset(scopes), frozenset(models))
    row: dict[str, Any] = {
        "team": team,
        "key_id": caller.key_id,
        "scopes": sorted(scopes),
        "models": sorted(models),
        "created_at": int(time.time()),
        "payer": payer or caller.key_id,
    }
    if limits.requests_per_minute is not None:
        row["make_limit"] = limits.requests_per_minute
        row["touch_limit"] = limits.requests_per_minute * TOUCHES
    if limits.concurrent is not None:
        row["concurrent"] = limits.concurrent
    if limits.budget is not None:
        row["budget"] = limits.budget
    writes = [table.Put(table.api_key_key(caller.key_id), row)]
    if payer is None:
        writes.append(table.Put(table.slots_key(caller.key_id), {"open": {}}))
    table.write_together(*writes)
    return key, caller


def rotate(key_id: str) -> tuple[str, Caller]:
    """Create a key's successor, then revoke the key.

    The payer stays the same: what the old key has open and has spent counts for the new key. Raises table.RowChanged if
    there is no such key, and ValueError if it was revoked: its successor would give back what was taken away.
    """
    row = table.get(table.api_key_key(key_id))
    if row is None:
        raise table.RowChanged(f"there is no key {key_id}")
    if row.get("revoked_at"):
        raise ValueError(f"The key {key_id} is revoked and gets no successor. Make a new key: understudy keys create.")
    successor = mint(
        row["team"],
        scopes=tuple(row["scopes"]),
        models=tuple(row["models"]),
        limits=Limits(row.get("make_limit"), row.get("concurrent"), row.get("budget")),
        payer=row.get("payer", key_id),
    )
    revoke(key_id, successor=successor[1].key_id)
    return successor


def revoke(key_id: str, *, successor: str | None = None) -> None:
    """Revoke a key: immediately for writes and downloads, within a minute (the authorizer's cache) for reads.

    `successor` is the id of the key that replaces it. Raises table.RowChanged if there is no such key.
    """
    table.update(table.api_key_key(key_id), {"revoked_at": int(time.time()), "successor": successor}, expect={})


def is_revoked(key_id: str) -> bool:
    """Return whether the key was revoked, so that what waits for it is not ordered.

    A rotated key works on as its successor: what waits for it is ordered until the successor is revoked.
    """
    row = table.get(table.api_key_key(key_id))
    while row is not None and row.get("successor"):
        row = table.get(table.api_key_key(row["successor"]))
    return row is None or bool(row.get("revoked_at"))


def every() -> Iterator[table.Row]:
    """Yield the rows of all keys, for operators. This is the only scan of the table."""
    from understudy.store import scan

    return scan.rows("key#", "key")


def find(key: str) -> Caller | None:
    """Return the caller behind a key, or None. The read is consistent, so a new key works at once."""
    if not key.startswith(PREFIX) or len(key) > 100 or not key.isascii():
        return None
    row = table.get(table.api_key_key(_key_id(key)))
    if row is None or row.get("revoked_at"):
        return None
    return Caller(row["team"], row["key_id"], frozenset(row["scopes"]), frozenset(row.get("models", ())))


def from_authorizer(context: dict[str, Any]) -> Caller:
    """Return the caller that the authorizer put into the request. Raises Unauthenticated if there is none."""
    team, key_id = context.get("team"), context.get("key_id")
    if not isinstance(team, str) or not isinstance(key_id, str) or not team:
        raise Unauthenticated("No API key was checked for this request.")
    models = filter(None, str(context.get("models") or "").split("\n"))
    return Caller(team, key_id, frozenset(str(context.get("scopes") or "").split()), frozenset(models))


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]

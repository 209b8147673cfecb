"""API keys and callers: who is asking, on whose behalf, and how much of it is allowed.

A key is `us-` and 32 random bytes. Its id is half of its SHA-256 and names its row, so that finding a key compares
nothing and the row tells nothing.
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
RAW_IDS = "raw_ids:"  # the scope, before the deployment that it holds for
SCOPE = re.compile(RAW_IDS + r"[a-z0-9][a-z0-9._-]{0,39}")
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TOUCHES = 10  # calls that change or sign something, for each call that makes something


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `key_id` names the key without being it; `models` empty means every model."""

    team: str
    key_id: str
    scopes: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    @property
    def raw_ids(self) -> frozenset[str]:
        """The deployments whose own ids, and LiteLLM's of them, the key may use."""
        return frozenset(scope.removeprefix(RAW_IDS) for scope in self.scopes if scope.startswith(RAW_IDS))

    def may_use(self, model: str) -> bool:
        """Whether the key is good for a model of this name."""
        return not self.models or model in self.models

    def context(self) -> dict[str, str]:
        """The caller as an authorizer hands it on: strings only."""
        return {
            "team": self.team,
            "key_id": self.key_id,
            "scopes": " ".join(sorted(self.scopes)),
            "models": "\n".join(sorted(self.models)),
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may do; None is no limit. Money is in micro-dollars a calendar month (UTC)."""

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
    """Make a key for a team and store its row. The key is returned here and never again.

    `payer` is the id of the key whose slots and budget this one uses; its own, if none is given.
    Raises ValueError for a team name that could not stand in a bucket key, for scopes that there are not, and for
    limits that cannot be meant.
    """
    if not TEAM.fullmatch(team):
        raise ValueError("a team name has up to 64 letters, digits, dots, dashes or underscores")
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise ValueError(f"there is no scope {scope!r}; there is {RAW_IDS}DEPLOYMENT")
    limits = limits or Limits()
    if any(value is not None and value < 1 for value in (limits.requests_per_minute, limits.concurrent)):
        raise ValueError("calls a minute and videos at once are at least 1; revoke a key that may do nothing")
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
    """Make a key's successor, then stop the key. Whoever pays stays the same: what the old key has open and has spent
    counts for the new one, for as long as it does.

    Raises table.RowChanged when there is no such key.
    """
    row = table.get(table.api_key_key(key_id))
    if row is None:
        raise table.RowChanged(f"there is no key {key_id}")
    successor = mint(
        row["team"],
        scopes=tuple(row["scopes"]),
        models=tuple(row["models"]),
        limits=Limits(row.get("make_limit"), row.get("concurrent"), row.get("budget")),
        payer=row.get("payer", key_id),
    )
    revoke(key_id)
    return successor


def revoke(key_id: str) -> None:
    """Stop a key: at once for what writes or spends, within the authorizer's minute for plain reads.

    Raises table.RowChanged when there is no such key.
    """
    table.update(table.api_key_key(key_id), {"revoked_at": int(time.time())}, expect={})


def every() -> Iterator[table.Row]:
    """The rows of all keys, for operators: the one scan there is."""
    from understudy.store import scan

    return scan.rows("key#", "key")


def find(key: str) -> Caller | None:
    """The caller behind a key, or None. Read consistently: a new key works at once."""
    if not key.startswith(PREFIX) or len(key) > 100 or not key.isascii():
        return None
    row = table.get(table.api_key_key(_key_id(key)))
    if row is None or row.get("revoked_at"):
        return None
    return Caller(row["team"], row["key_id"], frozenset(row["scopes"]), frozenset(row.get("models", ())))


def from_authorizer(context: dict[str, Any]) -> Caller:
    """The caller as the authorizer put it into the request. Raises Unauthenticated when there is none."""
    team, key_id = context.get("team"), context.get("key_id")
    if not isinstance(team, str) or not isinstance(key_id, str) or not team:
        raise Unauthenticated("No API key was checked for this request.")
    models = filter(None, str(context.get("models") or "").split("\n"))
    return Caller(team, key_id, frozenset(str(context.get("scopes") or "").split()), frozenset(models))


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]

"""API keys and callers: who is asking, on whose behalf.

A key is `us-` and 32 random bytes; only its SHA-256 is stored, as the row's own key, so that finding it compares
nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from understudy import table
from understudy.errors import Unauthenticated

PREFIX = "us-"
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `key_id` names the key without being it."""

    team: str
    key_id: str
    scopes: frozenset[str] = frozenset()


def mint(team: str, *, scopes: tuple[str, ...] = ()) -> tuple[str, Caller]:
    """Make a key for a team and store its hash. The key is returned here and never again.

    Raises ValueError for a team name that could not stand in a bucket key.
    """
    if not TEAM.fullmatch(team):
        raise ValueError("a team name has up to 64 letters, digits, dots, dashes or underscores")
    key = PREFIX + secrets.token_urlsafe(32)
    caller = Caller(team=team, key_id=_hash(key)[:16], scopes=frozenset(scopes))
    row = {"team": team, "key_id": caller.key_id, "scopes": sorted(scopes), "created_at": int(time.time())}
    table.put(table.api_key_key(_hash(key)), row)
    return key, caller


def find(key: str) -> Caller | None:
    """The caller behind a key, or None. Read consistently: a key works, and stops, at once."""
    if not key.startswith(PREFIX) or len(key) > 100:
        return None
    row = table.get(table.api_key_key(_hash(key)))
    if row is None or row.get("revoked_at"):
        return None
    return Caller(team=row["team"], key_id=row["key_id"], scopes=frozenset(row["scopes"]))


def from_authorizer(context: dict[str, Any]) -> Caller:
    """The caller as the authorizer put it into the request. Raises Unauthenticated when there is none."""
    team, key_id = context.get("team"), context.get("key_id")
    if not isinstance(team, str) or not isinstance(key_id, str) or not team:
        raise Unauthenticated("No API key was checked for this request.")
    return Caller(team=team, key_id=key_id, scopes=frozenset(str(context.get("scopes") or "").split()))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

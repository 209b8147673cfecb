"""Rate limits that hold across execution environments: atomic counters for each key and minute, in the key's own row.

Counting also checks the row, so a revoked key is refused at once, whatever the authorizer has cached. Reads are not
counted: polling does not keep a client from creating videos. Calls that create something (`make`) and calls that only
change or sign something (`touch`) have separate counters.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from understudy.access.keys import Caller, Limits
from understudy.errors import RateLimited, Unauthenticated
from understudy.store import table

CallKind = Literal["make", "touch"]
WINDOW = 60  # seconds


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that was counted: its key's limits, and the key whose slots and budget it uses (keys.rotate)."""

    limits: Limits
    payer: str
    headers: dict[str, str]


def admit(caller: Caller, kind: CallKind) -> Admission:
    """Count the call against the key's rate limit.

    Raises RateLimited, with Retry-After, and Unauthenticated for a key that was revoked or does not exist.
    """
    now = time.time()
    key, minute = table.api_key_key(caller.key_id), int(now // WINDOW)
    names = {"minute": f"{kind}_minute", "count": f"{kind}_count", "limit": f"{kind}_limit", "revoked": "revoked_at"}
    alive = f"attribute_exists({table.PARTITION}) AND attribute_not_exists(#revoked)"
    # If our clock is a little behind, or the call was delayed, the call counts in the minute that others have begun.
    within = table.Change(
        key,
        "ADD #count :one",
        {"one": 1, "minute": minute},
        names,
        f"{alive} AND #minute >= :minute AND (attribute_not_exists(#limit) OR #count < #limit)",
    )
    first = table.Change(
        key,
        "SET #minute = :minute, #count = :one",
        {"one": 1, "minute": minute},
        {name: names[name] for name in ("minute", "count", "revoked")},
        f"{alive} AND (attribute_not_exists(#minute) OR #minute < :minute)",
    )
    for change in (within, first, within):  # the last: another call was first in this minute
        try:
            row = table.change(change)
        except table.RowChanged:
            continue
        return Admission(_limits(row), row.get("payer", caller.key_id), _headers(row, kind, now))
    row = table.get(key) or {"revoked_at": 0}
    if "revoked_at" in row:
        raise Unauthenticated("This API key is no longer valid.")
    left = str(_left(now))
    what = "create something" if kind == "make" else "change or sign something"
    limit = row.get(f"{kind}_limit")
    message = f"This API key may make {limit} calls a minute that {what}. Try again in {left} seconds."
    raise RateLimited(message, headers=_headers(row, kind, now) | {"retry-after": left})


def _limits(row: table.Row) -> Limits:
    return Limits(row.get("make_limit"), row.get("concurrent"), row.get("budget"))


def _headers(row: table.Row, kind: CallKind, now: float) -> dict[str, str]:
    limit = row.get(f"{kind}_limit")
    if limit is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(max(limit - row.get(f"{kind}_count", 0), 0)),
        "x-ratelimit-reset-requests": f"{_left(now)}s",
    }


def _left(now: float) -> int:
    """Return the seconds until the next window."""
    return WINDOW - int(now) % WINDOW

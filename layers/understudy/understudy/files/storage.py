"""What a team stores, with limits: its characters, its open uploads and its bytes, counted in one row.

The team owns the objects, and keys come and go: so the team has the limits. A character counts until it is deleted.
Everything else ends by itself, because the bucket's lifecycle rules delete it. So such a count has an end, and is also
added to an attribute that is named after this end, such as `bytes_until_1765324800`. A count whose end has passed is
taken off (`drop_ended`) before a call is refused, and once an hour. So a process that dies can only make a count too
high, and only until its end.

A count is taken in the transaction that writes the row of what is stored, before anything is stored. It is given back
in the transaction that ends or deletes that row. Deleted bytes count as long as the bucket keeps them. docs/uploads.md
says what is not counted.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from understudy.errors import StorageFull
from understudy.settings import settings
from understudy.store import bucket, table
from understudy.store.table import Change, Delete, Put, Row

HOUR, DAY = 3600, 86_400
GRACE = HOUR  # after an end, until its count is taken off: nobody gives back what has ended, not even a slow call
# Seconds until S3 has certainly deleted an object (template.yaml). S3 counts days from midnight to midnight, and keeps
# what it has deleted as an old version for the days of a second rule.
UPLOAD_SECONDS = 4 * DAY  # uploads/: 2 days, an old version 1 day
INPUT_SECONDS = (bucket.INPUT_DAYS + 2) * DAY  # media/inputs/: an old version 1 day
DELETED_SECONDS = 7 * DAY  # media/characters/, after its deletion
GIBIBYTE = 1024**3
KIND = "storage"  # in the index of what has to be looked after (table.unfinished)
_ENDING = re.compile(r"(uploads|bytes)_until_(\d+)")
_MORE = "or ask the operator of this gateway for a higher limit. Nothing was stored."

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a team stores. `uploads` are the open ones."""

    team: str
    characters: int
    uploads: int
    bytes: int


def end_of_upload(url_ends: int) -> int:
    """Return when an upload counts no more as open whose URL works until `url_ends`: at the next full hour."""
    return math.ceil(url_ends / HOUR) * HOUR


def end_of_bytes(seconds: float) -> int:
    """Return when bytes are gone that S3 deletes after some seconds from now: at the next midnight, in UTC."""
    return math.ceil((time.time() + seconds) / DAY) * DAY


def ending(name: str, count: int, end: int) -> Counts:
    """Return a count that ends by itself."""
    return {name: count, f"{name}_until_{end}": count}


def given_back(name: str, count: int, end: int) -> Counts:
    """Return the change that gives a count back before its end. After its end there is nothing to give back."""
    return ending(name, -count, end) if end > time.time() else {}


def deleted(byte_count: int) -> Counts:
    """Return the change when bytes of a character are deleted. They count as long as the bucket keeps them."""
    return {f"bytes_until_{end_of_bytes(DELETED_SECONDS)}": byte_count}


def changes(team: str, *counts: Counts) -> list[Change]:
    """Return the writes that add these counts, without a limit."""
    return [change(team, total(*counts))] if total(*counts) else []


def take(team: str, counts: Counts, *writes: Put | Change | Delete) -> None:
    """Add these counts, and write the rows of what is counted, all or nothing.

    Raises StorageFull if a limit does not allow it, and table.RowChanged if one of the `writes` fails.
    """
    take_by(change(team, counts, counts), counts, *writes)


def take_input(team: str, byte_count: int) -> None:
    """Count a file that is about to be stored under media/inputs/. Raises StorageFull."""
    take(team, ending("bytes", byte_count, end_of_bytes(INPUT_SECONDS)))


def take_by(first: Change, counts: Counts, *writes: Put | Change | Delete) -> None:
    """Make a change of `change`, which adds these counts, and the `writes`. Raises like `take`.

    If the change is not possible, what has ended is taken off, and the change is tried once more.
    """
    for last in (False, True):
        try:
            return table.write_together(first, *writes)
        except table.RowChanged as changed:
            if 0 not in changed.failed:
                raise
        row = table.get(first.key)
        if last or row is None or not drop_ended(row):
            raise _full(team_of(first.key.pk), counts)
    return None


def change(
    team: str, counts: Counts, limited: Counts | None = None, *, sets: str = "", remove: Mapping[str, str] | None = None
) -> Change:
    """Return the change of the team's row that adds the counts, within the limits of those that are `limited`.

    `sets` are further actions of SET, and `remove` has the attributes to remove by their placeholders. Raises
    StorageFull for a count that alone is over its limit.
    """
    numbered = dict(enumerate(counts))
    expression = "SET #kind = :kind, #created = if_not_exists(#created, :now)" + sets
    if counts:
        expression += " ADD " + ", ".join(f"#n{i} :n{i}" for i in numbered)
    if remove:
        expression += " REMOVE " + ", ".join(f"#{placeholder}" for placeholder in remove)
    names = {"kind": "unfinished", "created": "created_at"} | {f"n{i}": name for i, name in numbered.items()}
    values = {"kind": KIND, "now": int(time.time())} | {f"n{i}": counts[name] for i, name in numbered.items()}
    made = Change(table.storage_key(team), expression, values, names | dict(remove or {}))
    for name, room in _room(team, limited or {}).items():
        made = on(made, f"(attribute_not_exists(#{name}) OR #{name} <= :{name})", {name: name}, **{name: room})
    return made


def on(change: Change, condition: str, names: Mapping[str, str], **values: Any) -> Change:
    """Return the change on one more condition, which may also be the values of its further actions."""
    condition = f"{change.condition} AND {condition}" if change.condition else condition
    return replace(change, condition=condition, names={**change.names, **names}, values={**change.values, **values})


def total(*counts: Counts) -> Counts:
    """Return the sum of the counts, without zeros."""
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return {name: count for name, count in found.items() if count}


def drop_ended(row: Row) -> bool:
    """Take off the counts of a team's row whose end has passed. Return True if there were any."""
    over = [(name, kind) for name, kind, end in _endings(row) if end + GRACE < time.time()]
    if not over:
        return False
    names = {f"over{i}": name for i, (name, _) in enumerate(over)}
    counts = total(*({kind: -row[name]} for name, kind in over))
    one = change(team_of(row[table.PARTITION]), counts, remove=names)
    condition = " AND ".join(f"#{placeholder} = :{placeholder}" for placeholder in names)
    with contextlib.suppress(table.RowChanged):  # another process was first
        table.write_together(on(one, condition, {}, **{placeholder: row[name] for placeholder, name in names.items()}))
    return True


def usage(row: Row) -> Usage:
    """Return what a team's row counts, without the counts whose end has passed."""
    left = Counter({name: row.get(name, 0) for name in ("characters", "uploads", "bytes")})
    for name, kind, end in _endings(row):
        if end <= time.time():
            left[kind] -= row[name]
    return Usage(team_of(row[table.PARTITION]), left["characters"], left["uploads"], left["bytes"])


def rows() -> Iterator[Row]:
    """Yield the row of each team that has stored anything."""
    for key in table.unfinished(int(time.time()) + HOUR, KIND):
        if row := table.get(key):
            yield row


def team_of(partition: str) -> str:
    """Return the team that has this partition of the table."""
    return partition.removeprefix(table.storage_key("").pk)


def spell(byte_count: int) -> str:
    """Return a number of bytes for people."""
    for size, unit in ((GIBIBYTE, "GiB"), (1024**2, "MiB")):
        if byte_count >= size:
            return f"{byte_count / size:.1f} {unit}"
    return f"{byte_count} bytes"


def _limits() -> Counts:
    now = settings()
    limits = {"characters": now.max_characters, "uploads": now.max_uploads, "bytes": now.max_storage}
    return {name: limit for name, limit in limits.items() if limit}


def _room(team: str, counts: Counts) -> Counts:
    """Return how much may be counted before: {"bytes": 7}. Raises StorageFull if there is never enough room."""
    room = {name: limit - counts[name] for name, limit in _limits().items() if counts.get(name, 0) > 0}
    if any(left < 0 for left in room.values()):
        raise _full(team, counts)
    return room


def _full(team: str, counts: Counts) -> StorageFull:
    key, limits = table.storage_key(team), _limits()
    used = usage({table.PARTITION: key.pk} | (table.get(key) or {}))
    over = [name for name in limits if counts.get(name, 0) > 0 and getattr(used, name) + counts[name] > limits[name]]
    if "characters" in over:
        message = f"Your team has {used.characters} of at most {limits['characters']} characters. Delete some, {_MORE}"
    elif "uploads" in over:
        message = (
            f"Your team has {used.uploads} of at most {limits['uploads']} open uploads. "
            f"Cancel some, wait until some are completed, {_MORE}"
        )
    else:
        message = (
            f"Your team stores {spell(used.bytes)} of at most {spell(limits.get('bytes', 0))}, and this needs "
            f"{spell(counts.get('bytes', 0))} more. Delete characters, cancel uploads, wait until files expire, {_MORE}"
        )
    return StorageFull(message)


def _endings(row: Row) -> list[tuple[str, str, int]]:
    """Return the counts of a row that end by themselves: attribute, what it counts, and its end."""
    found = ((name, _ENDING.fullmatch(name)) for name in row)
    return [(name, match[1], int(match[2])) for name, match in found if match]

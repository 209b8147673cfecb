"""Maps a provider's id to the team that owns it. The row is kept after deletion, so no other team can claim the id.

There is a row for each id that a provider returned to us, and for each id that a caller brought.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from understudy.ids import Kind
from understudy.store import table
from understudy.store.table import Put


@dataclass(frozen=True, slots=True)
class Origin:
    """The team that owns a provider's id, and the record of the video or character behind the id."""

    team: str
    record: str


def made(kind: Kind, deployment: str, upstream_id: str, team: str, record: str) -> Put:
    """Return the write that maps an id which the provider returned, to be written together with its record.

    The write replaces a caller's earlier claim of the id, which was only a guess.
    """
    return Put(_key(kind, deployment, upstream_id), {"team": team, "record": record}, replace=True)


def brought(kind: Kind, deployment: str, upstream_id: str, team: str, record: str) -> Put:
    """Return the write that maps an id which a caller brought, to be written together with its record.

    The write fails if the id has an owner already.
    """
    return Put(_key(kind, deployment, upstream_id), {"team": team, "record": record})


def find(kind: Kind, deployment: str, upstream_id: str) -> Origin | None:
    """Return the origin of a provider's id, or None if the id has no owner."""
    row = table.get(_key(kind, deployment, upstream_id))
    return Origin(row["team"], row["record"]) if row else None


def free(kind: Kind, deployment: str, upstream_id: str, record: str) -> None:
    """Delete the row of an id that a caller brought and no provider knows. The id may be brought again."""
    with contextlib.suppress(table.RowChanged):  # the provider has returned this id meanwhile
        table.delete(_key(kind, deployment, upstream_id), expect={"record": record})


def _key(kind: Kind, deployment: str, upstream_id: str) -> table.Key:
    return table.upstream_key(deployment, upstream_id, kind)

"""Maps a provider's id to the team that owns it. The row is kept after deletion, so no other team can claim the id.

There is a row for each id that a provider gave us, and for each id that a caller brought.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from understudy.ids import Kind
from understudy.store import table
from understudy.store.table import Put


@dataclass(frozen=True, slots=True)
class Origin:
    """Who has what a provider calls by an id, and under which record."""

    team: str
    record: str


def made(kind: Kind, deployment: str, upstream_id: str, team: str, record: str) -> Put:
    """The provider gave us this id, to be written together with it. Who had brought it before has brought a guess."""
    return Put(_key(kind, deployment, upstream_id), {"team": team, "record": record}, replace=True)


def brought(kind: Kind, deployment: str, upstream_id: str, team: str, record: str) -> Put:
    """A caller brought this id, to be written together with the record; the write fails if it is somebody's already."""
    return Put(_key(kind, deployment, upstream_id), {"team": team, "record": record})


def find(kind: Kind, deployment: str, upstream_id: str) -> Origin | None:
    """Whose it is, or None."""
    row = table.get(_key(kind, deployment, upstream_id))
    return Origin(row["team"], row["record"]) if row else None


def free(kind: Kind, deployment: str, upstream_id: str, record: str) -> None:
    """Nothing was behind an id that a caller brought: it may be brought again."""
    with contextlib.suppress(table.RowChanged):  # the provider gave it out meanwhile
        table.delete(_key(kind, deployment, upstream_id), expect={"record": record})


def _key(kind: Kind, deployment: str, upstream_id: str) -> table.Key:
    return table.upstream_key(deployment, upstream_id, kind)

"""The portable character: a name, a clip and stills in the user's bucket.

A character exists when these exist, whatever a provider does. characters/handles.py makes it known to providers.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from understudy.files.media import media_at
from understudy.ids import new_record
from understudy.store import bucket, executions, table
from understudy.store.entity import Entity
from understudy.store.secrets import id_codec

if TYPE_CHECKING:
    from understudy.files.clips import Inspection
    from understudy.providers.base import CastMember, CharacterSupport, Media


@dataclass(frozen=True, slots=True)
class Character(Entity):
    """The row of a character.

    `home` is the deployment for which it was made. `original` is its id there, or our record. A character that a caller
    brought by a provider's id has no clip: its numbers are 0, and only its home can use it.
    """

    team: str
    id: str
    name: str
    created_at: int
    mime_type: str
    byte_count: int
    milliseconds: int
    width: int
    height: int
    stills: list[dict[str, Any]]
    home: str
    provider: str
    original: str
    signed_with: int | None = None  # the MAC key of its id, so that the id survives a key rotation
    stored: int | None = None  # bytes of clip and stills, which count for the team; None if nothing was counted

    @staticmethod
    def key_of(team: str, record: str) -> table.Key:
        return table.character_key(team, record)

    @property
    def has_clip(self) -> bool:
        """Whether the character can be given to another provider."""
        return self.byte_count > 0

    @property
    def clip(self) -> Media:
        """The clip, in the form for providers."""
        filename = f"clip.{bucket.EXTENSIONS.get(self.mime_type, 'mp4')}"
        return media_at(
            clip_key(self.team, self.id), filename=filename, mime_type=self.mime_type, byte_count=self.byte_count
        )

    @property
    def still_files(self) -> tuple[Media, ...]:
        """The stills, in the form for providers. The best still is first."""
        return tuple(
            media_at(still["key"], filename=f"still-{i}.jpg", mime_type="image/jpeg", byte_count=still["bytes"])
            for i, still in enumerate(self.stills)
        )

    def needs_trim(self, support: CharacterSupport) -> bool:
        """Return whether the provider gets the clip itself, and the clip is longer than the provider takes."""
        too_long = support.trim and self.milliseconds > support.clip_seconds[1] * 1000
        return too_long and support.form == "reference_video"

    def trimmed_key(self, support: CharacterSupport) -> str:
        """Return the bucket key of the shortened clip for such a provider."""
        return bucket.character_prefix(self.team, self.id) + f"clip-{support.clip_seconds[1]:g}s.mp4"

    def trim(self, support: CharacterSupport, deadline: float) -> None:
        """Make the shortened clip, if the provider needs one and it does not exist. Raises InvalidRequest."""
        from understudy.files import clips  # not needed to show a character

        key = self.trimmed_key(support)
        if self.needs_trim(support) and not bucket.exists(key):
            clips.trim(clip_key(self.team, self.id), key, support.clip_seconds[1], deadline)

    def cast(self, support: CharacterSupport, handle: str | None) -> CastMember:
        """Return the character in the one form that the provider takes."""
        from understudy.providers.base import CastMember

        if handle is not None:
            return CastMember(self.name, handle=handle)
        if support.form == "reference_video":
            return CastMember(self.name, clip=self._trimmed(support) if self.needs_trim(support) else self.clip)
        return CastMember(self.name, stills=self.still_files)

    def _trimmed(self, support: CharacterSupport) -> Media:
        key = self.trimmed_key(support)
        return media_at(key, filename="clip.mp4", mime_type="video/mp4", byte_count=bucket.size(key))

    @staticmethod
    def new(team: str, record: str, name: str, clip: Inspection, *, home: str, provider: str) -> Character:
        """Return a character made from this clip. It is not stored yet."""
        return Character(
            team=team,
            id=record,
            name=name,
            created_at=int(time.time()),
            mime_type=clip.mime_type,
            byte_count=clip.byte_count,
            milliseconds=clip.milliseconds,
            width=clip.width,
            height=clip.height,
            stills=clip.stills,
            home=home,
            provider=provider,
            original=record,
            signed_with=id_codec().key_id,
            stored=clip.byte_count + sum(still["bytes"] for still in clip.stills) if clip.byte_count else None,
        )

    @staticmethod
    def brought(team: str, name: str, original: str, *, home: str, provider: str) -> Character:
        """Return a new character for one that a provider made and calls `original`. It is not stored yet."""
        from understudy.files.clips import Inspection

        nothing = Inspection(mime_type="", byte_count=0, milliseconds=0, width=0, height=0, stills=[])
        character = Character.new(team, new_record(), name, nothing, home=home, provider=provider)
        return replace(character, original=original)

    def name_original(self, original: str) -> Character:
        """Store the provider's own id as `original`. Return the changed character."""
        return Character.of(table.update(self.key, {"original": original}, expect={"original": self.original}))

    def delete(self) -> None:
        """Delete the handles, the clip, the stills and, last, the row, so that an interrupted deletion can be repeated.

        `run_job` deletes the native characters at the providers. A handle that was begun meanwhile is deleted after the
        row: from then on its maker finds no character, and deletes what it makes (characters/handles.py).
        """
        from understudy.files import storage  # not needed to show a character

        self._delete_handles()
        bucket.delete_all(bucket.character_prefix(self.team, self.id))
        counts = () if self.stored is None else ({"characters": -1}, storage.deleted(self.stored))
        with contextlib.suppress(table.RowChanged):  # deleted twice at once
            table.write_together(table.Delete(self.key), *storage.changes(self.team, *counts))
        self._delete_handles()

    def _delete_handles(self) -> None:
        for row in table.each(self.key, f"handle#{self.id}#"):
            _delete_handle(row)


def _delete_handle(row: table.Row | None) -> None:
    """Delete the row of a handle, and have its native character deleted: also one that its maker writes just now."""
    while row is not None:
        key = table.Key(row[table.PARTITION], row[table.SORT])
        if row.get("reference"):
            executions.delete_character(row["deployment"], row["reference"], pending=row["state"] == "pending")
        seen = {name: row[name] for name in ("state", "reference") if row.get(name) is not None}
        try:
            return table.delete(key, expect=seen)
        except table.RowChanged:
            row = table.get(key)
    return None


def clip_key(team: str, record: str) -> str:
    return bucket.character_prefix(team, record) + "clip"

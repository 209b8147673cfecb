"""The portable character: a name, a clip and stills, in the user's bucket. It exists when they do, whatever a
provider says.

How a provider gets it is the business of characters/handles.py.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from understudy.files.media import media_at
from understudy.ids import new_record
from understudy.store import bucket, queue, table
from understudy.store.secrets import id_codec
from understudy.store.table import Put, Row

if TYPE_CHECKING:
    from understudy.files.clips import Inspection
    from understudy.providers.base import CastMember, CharacterSupport, Media


@dataclass(frozen=True, slots=True)
class Character:
    """The row of a character. `home` is the deployment it was made on; `original` its id there, or our record.

    One that a caller brought by a provider's id has no clip: its numbers are 0, and only its home can play it.
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
    signed_with: int | None = None  # the key of its id, which outlives a rotation

    @property
    def key(self) -> table.Key:
        return table.character_key(self.team, self.id)

    @property
    def has_clip(self) -> bool:
        """Can it be given to another provider?"""
        return self.byte_count > 0

    @property
    def clip(self) -> Media:
        """The clip as providers take it."""
        filename = f"clip.{bucket.EXTENSIONS.get(self.mime_type, 'mp4')}"
        return media_at(
            clip_key(self.team, self.id), filename=filename, mime_type=self.mime_type, byte_count=self.byte_count
        )

    @property
    def still_files(self) -> tuple[Media, ...]:
        """The stills as providers take them, the best one first."""
        return tuple(
            media_at(still["key"], filename=f"still-{i}.jpg", mime_type="image/jpeg", byte_count=still["bytes"])
            for i, still in enumerate(self.stills)
        )

    def needs_trim(self, support: CharacterSupport) -> bool:
        """Is the clip sent, and longer than the provider takes?"""
        too_long = support.trim and self.milliseconds > support.clip_seconds[1] * 1000
        return too_long and support.form == "reference_video"

    def trimmed_key(self, support: CharacterSupport) -> str:
        """Where the shorter clip for such a provider is kept."""
        return bucket.character_prefix(self.team, self.id) + f"clip-{support.clip_seconds[1]:g}s.mp4"

    def trim(self, support: CharacterSupport) -> None:
        """Make the shorter clip unless it is there. Raises InvalidRequest."""
        from understudy.files import clips  # what only shows a character opens none

        key = self.trimmed_key(support)
        if self.needs_trim(support) and not bucket.exists(key):
            clips.trim(clip_key(self.team, self.id), key, support.clip_seconds[1])

    def cast(self, support: CharacterSupport, handle: str | None) -> CastMember:
        """The character in the one form that the provider takes."""
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
        """A character of this clip, not stored yet."""
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
        )

    @staticmethod
    def brought(team: str, name: str, original: str, *, home: str, provider: str) -> Character:
        """A character that a provider has made without us and calls `original`, not stored yet."""
        from understudy.files.clips import Inspection

        nothing = Inspection(mime_type="", byte_count=0, milliseconds=0, width=0, height=0, stills=[])
        character = Character.new(team, new_record(), name, nothing, home=home, provider=provider)
        return replace(character, original=original)

    @staticmethod
    def find(team: str, record: str) -> Character | None:
        """The character, or None."""
        row = table.get(table.character_key(team, record))
        return Character.of(row) if row else None

    @staticmethod
    def page(team: str, *, limit: int, newest_first: bool, after: str | None) -> list[Character]:
        """A page of a team's characters by creation time; `after` is a record."""
        start = table.character_key(team, "")
        rows = table.page(start, start.sk, limit=limit, newest_first=newest_first, after=after)
        return [Character.of(row) for row in rows]

    @staticmethod
    def of(row: Row) -> Character:
        """The character that a row holds."""
        return Character(**{one.name: row[one.name] for one in fields(Character) if one.name in row})

    def new_row(self) -> Put:
        """The new row, to be written together with what makes the call the only one."""
        return Put(self.key, asdict(self))

    def name_original(self, original: str) -> Character:
        """Keep the provider's own id, when it was said inside the request."""
        return Character.of(table.update(self.key, {"original": original}, expect={"original": self.original}))

    def delete(self) -> None:
        """Delete handles, clip, stills and, last, the row, so that a delete that breaks off can be repeated.

        `run_job` deletes what providers keep of it.
        """
        for row in table.each(self.key, f"handle#{self.id}#"):
            if row.get("reference"):
                queue.delete_character(row["deployment"], row["reference"])
            table.delete(table.Key(row[table.PARTITION], row[table.SORT]))
        bucket.delete_all(bucket.character_prefix(self.team, self.id))
        table.delete(self.key)


def clip_key(team: str, record: str) -> str:
    return bucket.character_prefix(team, record) + "clip"

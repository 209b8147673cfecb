"""An object that has arrived in the bucket, as its S3 event describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from understudy.errors import InvalidRequest
from understudy.files import sniff
from understudy.store import bucket


class Passing(Exception):
    """A failure that the next delivery may not have. The next delivery is useless before `seconds` have passed."""

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Landed:
    """An object that has arrived in the bucket. `version` is None in a bucket without versions."""

    key: str
    version: str | None
    byte_count: int

    def head(self, byte_count: int = sniff.VIDEO_HEAD) -> bytes | None:
        """Return the object's first bytes, or None if it is gone."""
        return bucket.head(self.key, self.version, byte_count)


def read(record: dict[str, Any]) -> Landed:
    """Read one record of an S3 event. Keys in an S3 event are form-encoded."""
    thing = record["s3"]["object"]
    return Landed(unquote_plus(thing["key"]), thing.get("versionId") or None, int(thing.get("size", 0)))


def video_type(head: bytes) -> str:
    """Return the MIME type of a video by its first bytes. Raises InvalidRequest unless it is MP4, MOV or WebM."""
    kind = sniff.video(head)
    if kind is None:
        raise InvalidRequest("The file is not an MP4, MOV or WebM video.", code="not_a_video")
    return sniff.VIDEO_TYPES[kind]

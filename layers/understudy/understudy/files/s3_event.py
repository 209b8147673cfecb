"""An object that has landed in the bucket, as its event names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from understudy.errors import InvalidRequest
from understudy.files import sniff
from understudy.store import bucket


class Passing(Exception):
    """Something stands in the way that may be gone at the next delivery."""


@dataclass(frozen=True, slots=True)
class Landed:
    """`version` is None in a bucket without versions."""

    key: str
    version: str | None
    byte_count: int

    def head(self, byte_count: int = sniff.VIDEO_HEAD) -> bytes | None:
        """Its first bytes, or None when it is gone."""
        return bucket.head(self.key, self.version, byte_count)


def read(record: dict[str, Any]) -> Landed:
    """Read one record of an S3 event; keys come form-encoded."""
    thing = record["s3"]["object"]
    return Landed(unquote_plus(thing["key"]), thing.get("versionId") or None, int(thing.get("size", 0)))


def video_type(head: bytes) -> str:
    """The type of a video by its first bytes. Raises InvalidRequest for what is none."""
    kind = sniff.video(head)
    if kind is None:
        raise InvalidRequest("The file is not an MP4, MOV or WebM video.", code="not_a_video")
    return sniff.VIDEO_TYPES[kind]

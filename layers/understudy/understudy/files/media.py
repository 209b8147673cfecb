"""Objects in the bucket as providers take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from understudy.errors import Reason, Refused
from understudy.store import bucket

if TYPE_CHECKING:
    from understudy.providers.base import Media


def media_at(key: str, *, filename: str, mime_type: str, byte_count: int) -> Media:
    """Return the object under `key` as Media: to read as a stream, or by a presigned URL that works for an hour."""
    from understudy.providers.base import Media  # not needed to show a character

    return Media(
        filename=filename,
        mime_type=mime_type,
        size=byte_count,
        open=lambda: _opened(key, byte_count),
        url=lambda: bucket.presign(key),
    )


def gone() -> Refused:
    """Return the refusal of an order whose file is not there any more."""
    message = "A file that this video needs no longer exists. Send it again with a new request."
    return Refused(Reason.INVALID, message, code="file_gone")


def _opened(key: str, byte_count: int) -> BinaryIO:
    try:
        return bucket.reader(key, byte_count)
    except bucket.Absent as error:
        raise gone() from error

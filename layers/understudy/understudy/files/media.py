"""Objects in the bucket as providers take them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from understudy.errors import Ours, OutcomeUnknown, Reason, Refused
from understudy.store import bucket
from understudy.store.object_reader import READ_BYTES, Absent, Unreadable, open_object

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


class _File(io.BufferedReader):
    """An object that is read while it is sent.

    S3 may fail while the file is read. To the reader that is a refusal if nothing of the file can have been sent: when
    it is opened, or when all of it is read at once. Else the provider has a part of a request, and the outcome counts
    as unknown.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file. Raises Refused and OutcomeUnknown."""
        try:
            return super().read(size)
        except (Absent, Unreadable) as error:
            if size is None or size < 0:
                raise _refused(error) from error
            raise OutcomeUnknown("A file could not be read to its end while it was sent.") from error


def _opened(key: str, byte_count: int) -> BinaryIO:
    try:
        return _File(open_object(key, byte_count), READ_BYTES)
    except (Absent, Unreadable) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> Refused:
    if isinstance(error, Absent):
        return gone()
    return Ours(Reason.UNAVAILABLE, "A file that this video needs cannot be read right now.")

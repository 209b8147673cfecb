"""An object in the bucket as a file that downloads while it is read."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from understudy.settings import settings
from understudy.store.clients import s3

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from botocore.response import StreamingBody

READ_BYTES = 256 * 1024
PAUSES = (0.1, 0.5)  # seconds before a download that broke is begun again
# S3 answers 403 for an object that does not exist if the role may not list the bucket. HEAD has no body, so its error
# has the status as its code. MethodNotAllowed: the version is a delete marker.
ABSENT = {"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "AccessDenied", "403", "404", "405"}


class Absent(Exception):
    """There is no such object."""


class Unreadable(Exception):
    """S3 does not give the object right now."""


def open_object(key: str, byte_count: int, version: str | None = None) -> io.RawIOBase:
    """Return an object of this size as a seekable file without a buffer.

    The download begins here, and the first bytes have arrived. Raises Absent if there is no such object, and Unreadable
    if S3 does not give it: not later, when an order is half sent. A read may raise them, too, after some tries.
    """
    file = _ObjectReader(key, byte_count, version)
    file.begin()
    return file


def is_absent(error: ClientError) -> bool:
    """Return True if a read failed because there is no such object. For a write, the same codes are real errors."""
    return error.response["Error"]["Code"] in ABSENT


def version_of(version: str | None) -> dict[str, Any]:
    """Return the parameter that names a version of an object."""
    return {"VersionId": version} if version else {}


class _ObjectReader(io.RawIOBase):
    """An object as a seekable file that downloads while it is read: one GET from wherever reading starts.

    A download that breaks is begun again where it broke.
    """

    def __init__(self, key: str, byte_count: int, version: str | None) -> None:
        self._object: dict[str, Any] = {"Key": key} | version_of(version)
        self._size, self._at = byte_count, 0
        self._first = b""  # kept, because who sends a file looks at its end before: that would be a second GET
        self._body_at = 0
        self._body: StreamingBody | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def begin(self) -> None:
        """Read the first bytes."""
        if self._size:
            self._first = self._download(0, READ_BYTES)

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        data = self._first[self._at : self._at + len(buffer)] or self._download(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _download(self, at: int, most: int) -> bytes:
        """Return some bytes from `at` on, at least one. Raises Absent and Unreadable."""
        from botocore.exceptions import BotoCoreError, ClientError

        failure: Exception | None = None
        for pause in (*PAUSES, None):
            try:
                data = self._from(at).read(most)
                if data:
                    self._body_at = at + len(data)
                    return data
            except ClientError as error:
                if is_absent(error):
                    raise Absent(self._object["Key"]) from error
                failure = error
            except BotoCoreError as error:
                failure = error
            self._drop()
            if pause is not None:
                time.sleep(pause)
        raise Unreadable(self._object["Key"]) from failure

    def _from(self, at: int) -> StreamingBody:
        """Return the download, begun at `at` unless it has come just there."""
        if self._body_at != at:
            self._drop()
        if self._body is None:
            span = f"bytes={at}-{self._size - 1}"
            self._body = s3().get_object(Bucket=settings().bucket_name, Range=span, **self._object)["Body"]
            self._body_at = at
        return self._body

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

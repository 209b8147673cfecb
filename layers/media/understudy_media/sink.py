"""A file object into which FFmpeg writes an MP4, while the MP4 goes to S3 in parts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from understudy_media.limits import MIB, REWRITE_BYTES
from understudy_media.refusal import Refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * MIB


class PartSink:
    """A write-only file. It keeps at most two parts (16 MB) in memory and nothing on disk.

    When all is written, an MP4 muxer goes back to the beginning and fills in the index, for which it left room there.
    S3 takes parts in any order. So the first part is kept here, open to changes, and is sent last. After the first
    part, the file can only be written at its end.

    The object is not visible under the key before `finish`. `abort` deletes the parts that were sent.
    """

    def __init__(self, client: S3Client, bucket: str, key: str, content_type: str) -> None:
        self.length = 0
        self.peak_bytes = 0
        self._client = client
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._head = bytearray()
        self._tail = bytearray()
        self._position = 0
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._aborted = False

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.length)[whence]
        return self._position

    def write(self, data: bytes) -> int:
        size = len(data)
        if self._aborted:
            return size  # A muxer still writes its index when it is discarded.
        if self._position < PART_BYTES:
            early = data[: PART_BYTES - self._position]
            # The muxer jumps over the room for the index.
            self._head.extend(bytes(max(0, self._position - len(self._head))))
            self._head[self._position : self._position + len(early)] = early
            self._position += len(early)
            data = data[len(early) :]
        if data:
            if self._position != max(self.length, PART_BYTES):
                raise OSError("the output can be changed in its first part only")
            self._tail += data
            self._position += len(data)
        self.length = max(self.length, self._position)
        if self.length > REWRITE_BYTES:
            raise Refusal("too_large", "The result would be too large. Use shorter or smaller videos.")
        self.peak_bytes = max(self.peak_bytes, len(self._head) + len(self._tail))
        while len(self._tail) >= PART_BYTES:
            self._send_tail()
        return size

    def finish(self) -> int:
        """Make the object visible, and return its size in bytes."""
        if not self._tail and self._upload is None:
            self._client.put_object(
                Bucket=self._bucket, Key=self._key, Body=bytes(self._head), ContentType=self._content_type
            )
            return self.length
        if self._tail:
            self._send_tail()
        self._send(1, bytes(self._head))
        self._parts.sort(key=lambda part: part["PartNumber"])
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=self._key, UploadId=self._begun(), MultipartUpload={"Parts": self._parts}
        )
        self._upload = None
        return self.length

    def abort(self) -> None:
        """Delete the parts that were sent, and ignore later writes. After `finish`, nothing is deleted."""
        self._aborted = True
        if self._upload is not None:
            upload, self._upload = self._upload, None
            # Left-over parts expire by the bucket's lifecycle; the reason for aborting matters more than this.
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload)

    def _begun(self) -> str:
        if self._upload is None:
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._key, ContentType=self._content_type
            )
            self._upload = answer["UploadId"]
        return self._upload

    def _send_tail(self) -> None:
        part, self._tail = bytes(self._tail[:PART_BYTES]), self._tail[PART_BYTES:]
        self._send(len(self._parts) + 2, part)

    def _send(self, number: int, part: bytes) -> None:
        answer = self._client.upload_part(
            Bucket=self._bucket, Key=self._key, UploadId=self._begun(), PartNumber=number, Body=part
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

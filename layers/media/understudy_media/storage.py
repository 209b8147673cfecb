"""The bucket as the sealed functions see it: keys under media/ and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from understudy_media.limits import Deadline
from understudy_media.ranges import BLOCK_BYTES, RangeReader
from understudy_media.refusal import Refusal
from understudy_media.sink import PartSink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "media/"
# A role without s3:ListBucket is told 403 for a key that does not exist.
_ABSENT = {"NoSuchKey", "NoSuchVersion", "NotFound", "404", "AccessDenied", "403"}
_FETCH_ATTEMPTS = 3


def media_key(key: str) -> str:
    """Return `key` if these functions may touch it. Raises Refusal `invalid_request` if not."""
    steps = key.removesuffix("/").split("/")
    if not key.startswith(PREFIX) or len(steps) < 2 or len(key.encode()) > 1024:
        raise Refusal("invalid_request", "The key must lie under media/.")
    if any(step in ("", ".", "..") for step in steps) or not key.isprintable():
        raise Refusal("invalid_request", "The key must lie under media/ and hold no empty, '.' or '..' step.")
    return key


def storage_refusal(error: ClientError | BotoCoreError) -> Refusal:
    """Return the Refusal that an error of S3 means for the caller."""
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else type(error).__name__
    if code in _ABSENT:
        return Refusal("not_found", "There is no such file in the storage.")
    return Refusal("storage_error", f"The storage failed ({code}). Try again later.")


@cache
def s3_client() -> S3Client:
    """Return the S3 client, made once for each execution environment. botocore finds region and endpoint by itself.

    The client sends no checksums: `PartSink` would have to name the algorithm when it begins an upload, and to list the
    parts' checksums when it completes the upload. S3 has refused uploads that do one without the other
    (https://github.com/boto/botocore/issues/3216). The signature holds the SHA-256 of each part, and S3 checks that.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client("s3", config=config)


@dataclass
class MediaStore:
    """Opens and writes objects, and counts reads. Every key passes `media_key` here, so no task can forget that."""

    client: S3Client
    bucket: str
    readers: list[RangeReader] = field(default_factory=list)

    @classmethod
    def from_environment(cls) -> MediaStore:
        """Return the store for the bucket that BUCKET_NAME names."""
        return cls(s3_client(), os.environ["BUCKET_NAME"])

    def open(self, key: str, *, budget: int, deadline: Deadline) -> RangeReader:
        """Return a reader of the object as it is now. If the object is replaced meanwhile, reading fails.

        Raises Refusal `not_a_video` for an empty object. Errors of S3 are raised as botocore raises them
        (`storage_refusal`).
        """
        media_key(key)
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{BLOCK_BYTES - 1}")
            first = answer["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "InvalidRange":
                raise Refusal("not_a_video", "The file is empty. Send an MP4, MOV or WebM video.") from error
            raise
        size = int(answer["ContentRange"].rpartition("/")[2])
        etag = answer["ETag"]

        def fetch(start: int, stop: int) -> bytes:
            return self._fetch(key, etag, start, stop)

        reader = RangeReader(fetch, size, budget=budget, deadline=deadline, first=first)
        self.readers.append(reader)
        return reader

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Write a small object."""
        self.client.put_object(Bucket=self.bucket, Key=media_key(key), Body=data, ContentType=content_type)

    def sink(self, key: str, content_type: str) -> PartSink:
        """Return a file to write an object of any size."""
        return PartSink(self.client, self.bucket, media_key(key), content_type)

    def usage(self) -> dict[str, int]:
        """Return what reading has cost so far, for the log."""
        return {
            "s3_reads": sum(reader.requests for reader in self.readers),
            "s3_bytes": sum(reader.fetched_bytes for reader in self.readers),
        }

    def _fetch(self, key: str, etag: str, start: int, stop: int) -> bytes:
        for attempt in range(1, _FETCH_ATTEMPTS + 1):
            answer = self.client.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=etag
            )
            try:
                data = answer["Body"].read()
            except BotoCoreError:
                # botocore repeats a call that fails, but not a body that breaks off.
                if attempt == _FETCH_ATTEMPTS:
                    raise
                continue
            if len(data) == stop - start:
                return data
        raise Refusal("storage_error", "The storage returned too few bytes. Try again later.")

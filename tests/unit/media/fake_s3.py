"""A small S3 that keeps objects as files and counts the bytes that are read."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

BUCKET = "bucket"


class FakeS3:
    """The S3 calls that the layer makes; objects are files, so the parent sees what a forked child writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranges: list[tuple[str, int, int]] = []
        self.aborted: list[str] = []
        self.part_sizes: dict[int, int] = {}
        self.refuse_abort = False
        self._uploads = itertools.count(1)

    def path(self, key: str) -> Path:
        return self.folder / key.replace("/", "%")

    def store(self, key: str, data: bytes) -> str:
        self.path(key).write_bytes(data)
        return key

    def read(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def content_type(self, key: str) -> str:
        return (self.folder / ("type-" + self.path(key).name)).read_text()

    def keys(self) -> set[str]:
        return {path.name.replace("%", "/") for path in self.folder.glob("media%*")}

    @property
    def bytes_read(self) -> int:
        return sum(stop - start for _, start, stop in self.ranges)

    def get_object(self, *, Bucket: str, Key: str, Range: str, IfMatch: str | None = None) -> dict[str, Any]:
        assert Bucket == BUCKET
        if not self.path(Key).exists():
            raise client_error("NoSuchKey")
        state = self.path(Key).stat()
        etag = f'"{state.st_size}-{state.st_mtime_ns}"'
        if IfMatch is not None and IfMatch != etag:
            raise client_error("PreconditionFailed")
        first, last = (int(number) for number in Range.removeprefix("bytes=").split("-"))
        if first >= state.st_size:
            raise client_error("InvalidRange")
        stop = min(last + 1, state.st_size)
        self.ranges.append((Key, first, stop))
        with self.path(Key).open("rb") as file:
            file.seek(first)
            data = file.read(stop - first)
        return {"Body": io.BytesIO(data), "ContentRange": f"bytes {first}-{stop - 1}/{state.st_size}", "ETag": etag}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> dict[str, Any]:
        assert Bucket == BUCKET
        self.store(Key, Body)
        (self.folder / ("type-" + self.path(Key).name)).write_text(ContentType)
        return {}

    def create_multipart_upload(self, *, Bucket: str, Key: str, ContentType: str) -> dict[str, Any]:
        assert Bucket == BUCKET
        upload = f"upload-{next(self._uploads)}"
        (self.folder / upload).write_text(ContentType)
        return {"UploadId": upload}

    def upload_part(self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes) -> dict[str, Any]:
        (self.folder / f"{UploadId}.{PartNumber}").write_bytes(Body)
        self.part_sizes[PartNumber] = len(Body)
        return {"ETag": f'"{PartNumber}"'}

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> dict[str, Any]:
        numbers = [part["PartNumber"] for part in MultipartUpload["Parts"]]
        assert numbers == list(range(1, len(numbers) + 1)), "S3 wants the parts in order"
        parts = [(self.folder / f"{UploadId}.{number}").read_bytes() for number in numbers]
        assert all(len(part) >= 5 * 1024 * 1024 for part in parts[:-1]), "S3 refuses smaller parts"
        return self.put_object(
            Bucket=Bucket, Key=Key, Body=b"".join(parts), ContentType=(self.folder / UploadId).read_text()
        )

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:
        self.aborted.append(UploadId)
        if self.refuse_abort:
            raise client_error("AccessDenied")
        return {}


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")

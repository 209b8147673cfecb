"""The bucket: where clips, stills and outputs are, and how to transfer them without holding a whole file in memory.

media/characters/<team>/<id>/clip, still-<n>.jpg        a character
media/videos/<team>/<id>/video.mp4, thumbnail.webp, spritesheet.jpg        an output
media/inputs/<team>/<id>/<name>        a file that came with a request; expires after INPUT_DAYS
uploads/<team>/<id>        the bytes of an upload; expire after two days
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from understudy.settings import settings
from understudy.store.clients import s3
from understudy.store.object_reader import READ_BYTES, is_absent, open_object, version_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

CHUNK = 8 * 1024 * 1024  # of a part, one in memory at a time; boto3's transfer defaults hold 80 MB
URL_SECONDS = 3600
INPUT_DAYS = 7  # `inputs-expire` in template.yaml
EXTENSIONS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
}


@dataclass(frozen=True, slots=True)
class File:
    """An object in the bucket that belongs to a job."""

    key: str
    mime_type: str
    byte_count: int


def character_prefix(team: str, character: str) -> str:
    return f"media/characters/{team}/{character}/"


def video_prefix(team: str, video: str) -> str:
    return f"media/videos/{team}/{video}/"


def input_key(team: str, video: str, name: str) -> str:
    return f"media/inputs/{team}/{video}/{name}"


def upload_key(team: str, upload: str) -> str:
    return f"uploads/{team}/{upload}"


def put(key: str, data: bytes | memoryview, mime_type: str) -> None:
    """Store bytes that came in a request body and are therefore in memory already."""
    body = io.BytesIO(data)  # botocore wants a seekable body; the view is copied once, at most a few MB
    s3().put_object(Bucket=settings().bucket_name, Key=key, Body=body, ContentType=mime_type)


def save(key: str, chunks: Iterator[bytes], mime_type: str) -> int:
    """Store a stream of unknown length, one part at a time. Return its size in bytes."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    config = TransferConfig(multipart_threshold=CHUNK, multipart_chunksize=CHUNK, use_threads=False)
    reader = _ChunkReader(chunks)
    file = cast("BinaryIO", reader)  # all that the transfer asks of it is read()
    with create_transfer_manager(s3(), config) as manager:
        manager.upload(file, settings().bucket_name, key, extra_args={"ContentType": mime_type}).result()
    return reader.count


def copy(source: str, target: str, *, version: str | None = None, mime_type: str | None = None) -> str | None:
    """Copy an object inside the bucket without downloading it. With `mime_type` the copy has that type.

    Returns the version of the copy, or None in a bucket without versions.
    """
    bucket = settings().bucket_name
    origin: CopySourceTypeDef = {"Bucket": bucket, "Key": source}
    if version:
        origin["VersionId"] = version
    retyped: dict[str, Any] = {"MetadataDirective": "REPLACE", "ContentType": mime_type} if mime_type else {}
    return s3().copy_object(Bucket=bucket, Key=target, CopySource=origin, **retyped).get("VersionId")


def delete_version(key: str, version: str | None) -> None:
    """Delete one version of an object permanently, or the object in a bucket without versions."""
    s3().delete_object(Bucket=settings().bucket_name, Key=key, **version_of(version))


def head(key: str, version: str | None, byte_count: int = 4096) -> bytes | None:
    """Return the first bytes of an object; b"" if the object is empty, None if it is gone."""
    from botocore.exceptions import ClientError

    span = f"bytes=0-{byte_count - 1}"
    try:
        answer = s3().get_object(Bucket=settings().bucket_name, Key=key, Range=span, **version_of(version))
    except ClientError as error:
        if is_absent(error):
            return None
        if error.response["Error"]["Code"] == "InvalidRange":
            return b""
        raise
    with contextlib.closing(answer["Body"]) as body:
        return body.read(byte_count)  # bounded here, too: a store that ignores the range would send it all


def size(key: str) -> int:
    """Return the size of an object in bytes."""
    return s3().head_object(Bucket=settings().bucket_name, Key=key)["ContentLength"]


def exists(key: str) -> bool:
    """Return True if there is such an object."""
    from botocore.exceptions import ClientError

    try:
        size(key)
    except ClientError as error:
        if is_absent(error):
            return False
        raise
    return True


def delete_all(prefix: str) -> int:
    """Delete every object whose key begins with `prefix`. The bucket's lifecycle rule deletes older versions.

    Returns the number of the deleted objects.
    """
    bucket, count = settings().bucket_name, 0
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
        if keys:
            s3().delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})  # type: ignore[typeddict-item]
        count += len(keys)
    return count


def presign(key: str, *, filename: str | None = None) -> str:
    """Return a presigned URL that gets the object and works for an hour. Range requests work."""
    params: dict[str, Any] = {"Bucket": settings().bucket_name, "Key": key}
    if filename:
        params["ResponseContentDisposition"] = f'inline; filename="{filename}"'
    return s3().generate_presigned_url("get_object", Params=params, ExpiresIn=URL_SECONDS)


def presign_post(key: str, mime_type: str, byte_count: int, seconds: int) -> tuple[str, dict[str, str]]:
    """Return URL and form fields of a presigned POST that works for `seconds`.

    The POST stores exactly `byte_count` bytes of this type under `key`.
    """
    post = s3().generate_presigned_post(
        Bucket=settings().bucket_name,
        Key=key,
        Fields={"Content-Type": mime_type},
        Conditions=[{"Content-Type": mime_type}, ["content-length-range", byte_count, byte_count]],
        ExpiresIn=seconds,
    )
    return post["url"], post["fields"]


class NoSuchUpload(Exception):
    """S3 does not know this multipart upload: it was completed, was aborted or has expired."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of a multipart upload that has arrived. Numbers start at 1."""

    number: int
    byte_count: int
    etag: str


def begin_parts(key: str, mime_type: str) -> str:
    """Start a multipart upload. Return S3's id of the upload."""
    begun = s3().create_multipart_upload(Bucket=settings().bucket_name, Key=key, ContentType=mime_type)
    return begun["UploadId"]


def presign_part(key: str, upload_id: str, number: int, byte_count: int) -> str:
    """Return a presigned URL that puts one part and works for an hour. S3 accepts no other length: it is signed."""
    at: dict[str, Any] = _multipart(key, upload_id) | {"PartNumber": number, "ContentLength": byte_count}
    return s3().generate_presigned_url("upload_part", Params=at, ExpiresIn=URL_SECONDS)


def parts(key: str, upload_id: str) -> list[StoredPart]:
    """Return the parts that have arrived. Raises NoSuchUpload."""
    found: list[StoredPart] = []
    try:
        for page in s3().get_paginator("list_parts").paginate(**_multipart(key, upload_id)):
            found += [StoredPart(one["PartNumber"], one["Size"], one["ETag"]) for one in page.get("Parts", [])]
    except s3().exceptions.NoSuchUpload as error:
        raise NoSuchUpload(key) from error
    return found


def complete_parts(key: str, upload_id: str, parts: list[StoredPart]) -> None:
    """Complete a multipart upload: put the parts together. The object exists afterwards. Raises NoSuchUpload."""
    etags: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
    try:
        s3().complete_multipart_upload(**_multipart(key, upload_id), MultipartUpload={"Parts": etags})
    except s3().exceptions.NoSuchUpload as error:
        raise NoSuchUpload(key) from error


def abort_parts(key: str, upload_id: str) -> None:
    """Abort a multipart upload and drop its parts. An upload that is gone already is no error."""
    with contextlib.suppress(s3().exceptions.NoSuchUpload):
        s3().abort_multipart_upload(**_multipart(key, upload_id))


def _multipart(key: str, upload_id: str) -> Any:
    return {"Bucket": settings().bucket_name, "Key": key, "UploadId": upload_id}


def reader(key: str, byte_count: int, version: str | None = None) -> BinaryIO:
    """Return an object of this size as a seekable file that downloads while it is read. Raises like `open_object`."""
    return io.BufferedReader(open_object(key, byte_count, version), READ_BYTES)


class _ChunkReader:
    """An iterator of chunks as the file object that boto3's transfer reads from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest, self.count = chunks, b"", 0

    def read(self, amount: int = -1) -> bytes:
        pieces, have = [self._rest], len(self._rest)
        while amount < 0 or have < amount:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            pieces.append(chunk)
            have += len(chunk)
        data = b"".join(pieces)
        amount = len(data) if amount < 0 else amount
        self._rest = data[amount:]
        self.count += len(data[:amount])
        return data[:amount]

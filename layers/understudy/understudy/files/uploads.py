"""Uploads: files on their way into the bucket that are too large for the gateway (10 MB) or Lambda (6 MB).

    pending ─→ processing ─→ completed
       │            └──────→ failed       with the reason
       ├──→ expired                       nothing arrived in time
       └──→ cancelled                     the row is gone

An upload of up to 100 MiB is one presigned POST, whose policy fixes the key, the exact size, the type and the expiry. A
larger upload is a multipart upload, and the URL of each part signs its length. background/ingest_upload.py processes
the bytes that have arrived.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from understudy.errors import InvalidRequest, NotReady
from understudy.ids import new_record
from understudy.store import bucket, table
from understudy.store.bucket import File
from understudy.store.secrets import id_codec

Purpose = Literal["character", "video", "image"]
State = Literal["pending", "processing", "completed", "failed"]

MEBIBYTE = 1024 * 1024
POST_BYTES = 100 * MEBIBYTE  # above this an upload is made of parts
MAX_BYTES = {"character": 5 * 1024**3, "video": 5 * 1024**3, "image": 20 * MEBIBYTE}  # 5 GiB: S3's limit for one copy
POST_SECONDS = 3600
PARTS_SECONDS = 24 * 3600
MAX_PARTS = 9_000  # S3 takes 10,000
SIGNED_AT_ONCE = 100
KEPT_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Upload:
    """The row of an upload. A character made from it has the same record, so there can be only one character."""

    team: str
    id: str
    purpose: Purpose
    filename: str
    mime_type: str
    byte_count: int
    created_at: int
    expires_at: int
    state: State = "pending"
    name: str | None = None
    model: str | None = None
    multipart: str | None = None  # S3's id of the multipart upload
    part_size: int = 0
    version: str | None = None  # of the object that counts
    lease_until: int = 0
    discarded: int = 0  # objects that came later under the same policy
    file: File | None = None
    error: dict[str, str] | None = None
    signed_with: int | None = None  # the MAC key of its id, so that the id survives a key rotation

    @property
    def row(self) -> table.Key:
        return table.upload_key(self.team, self.id)

    @property
    def key(self) -> str:
        """The bucket key of the bytes. Understudy chooses it, and it is as hard to guess as the id."""
        return bucket.upload_key(self.team, self.id)

    @property
    def status(self) -> str:
        """The public status: the state, or `expired`."""
        return "expired" if self.state == "pending" and self.expires_at < time.time() else self.state

    @property
    def part_count(self) -> int:
        return math.ceil(self.byte_count / self.part_size) if self.part_size else 0

    def part_bytes(self, number: int) -> int:
        """Return the number of bytes of part `number` (from 1)."""
        return min(self.part_size, self.byte_count - (number - 1) * self.part_size)


def new(
    team: str,
    purpose: Purpose,
    filename: str,
    mime_type: str,
    byte_count: int,
    *,
    name: str | None = None,
    model: str | None = None,
) -> Upload:
    """Create an upload without bytes, and write its row. Raises InvalidRequest if the size is over the limit."""
    if byte_count > MAX_BYTES[purpose]:
        message = f"bytes: at most {MAX_BYTES[purpose]} for this purpose."
        raise InvalidRequest(message, param="bytes", code="file_too_large")
    now = int(time.time())
    in_parts = byte_count > POST_BYTES
    upload = Upload(
        team=team,
        id=new_record(),
        purpose=purpose,
        filename=filename,
        mime_type=mime_type,
        byte_count=byte_count,
        created_at=now,
        expires_at=now + (PARTS_SECONDS if in_parts else POST_SECONDS),
        part_size=_part_size(byte_count) if in_parts else 0,
        name=name,
        model=model,
        signed_with=id_codec().key_id,
    )
    if in_parts:
        upload = replace(upload, multipart=bucket.begin_parts(upload.key, mime_type))
    table.put(upload.row, asdict(upload) | {table.TTL: now + KEPT_SECONDS})
    return upload


def find(team: str, record: str) -> Upload | None:
    """Return the upload, or None."""
    row = table.get(table.upload_key(team, record))
    return _upload(row) if row else None


def form(upload: Upload) -> dict[str, Any]:
    """Return how to send the bytes.

    For a POST: {"method", "url", "fields"}. For parts: {"method", "upload_id", "part_size", "part_count", "parts"},
    with URLs for the first SIGNED_AT_ONCE parts.
    """
    if upload.multipart:
        numbers = range(1, min(upload.part_count, SIGNED_AT_ONCE) + 1)
        return {
            "method": "PUT",
            "upload_id": upload.multipart,
            "part_size": upload.part_size,
            "part_count": upload.part_count,
            "parts": [sign_part(upload, number) for number in numbers],
        }
    left = max(upload.expires_at - int(time.time()), 1)
    url, fields = bucket.presign_post(upload.key, upload.mime_type, upload.byte_count, left)
    return {"method": "POST", "url": url, "fields": fields}


def sign_part(upload: Upload, number: int) -> dict[str, Any]:
    """Return a fresh URL for a part. The length of the part is signed, so no other length can be sent."""
    length = upload.part_bytes(number)
    url = bucket.presign_part(upload.key, upload.multipart or "", number, length)
    return {"part_number": number, "bytes": length, "url": url}


def parts_there(upload: Upload) -> list[dict[str, Any]]:
    """Return the parts that have arrived: [{"part_number", "bytes", "etag"}].

    Raises NotReady if S3 no longer knows the upload.
    """
    return [{"part_number": part.number, "bytes": part.byte_count, "etag": part.etag} for part in _parts(upload)]


def complete(upload: Upload) -> None:
    """Join the parts into one object.

    Raises InvalidRequest, naming the missing parts, unless the parts add up to the declared bytes. Raises NotReady if
    S3 no longer knows the upload.
    """
    there = _parts(upload)
    have = {part.number: part.byte_count for part in there}
    missing = [n for n in range(1, upload.part_count + 1) if have.get(n) != upload.part_bytes(n)]
    if missing or len(have) != upload.part_count:
        listed = ", ".join(map(str, missing[:20])) or "none"
        message = (
            f"The parts hold {sum(have.values())} of {upload.byte_count} bytes; missing or of another size: {listed}. "
            "Send them and complete again."
        )
        raise InvalidRequest(message, param="parts", code="parts_incomplete")
    bucket.complete_parts(upload.key, upload.multipart or "", there)


def cancel(upload: Upload) -> None:
    """Delete the row, the parts and the bytes. Raises table.RowChanged if the upload's state has changed meanwhile."""
    table.delete(upload.row, expect={"state": upload.state})
    if upload.multipart and upload.state == "pending":
        bucket.abort_parts(upload.key, upload.multipart)
    bucket.delete_all(upload.key)


def claim(upload: Upload, version: str | None, seconds: float) -> Upload | None:
    """Claim the bytes of `version` for some seconds. Return None if another delivery works on them or has finished."""
    now = int(time.time())
    if upload.state not in {"pending", "processing"} or upload.lease_until > now:
        return None
    changes = {"state": "processing", "version": version, "lease_until": now + math.ceil(seconds)}
    expect = {"state": upload.state, "lease_until": upload.lease_until}
    try:
        return _upload(table.update(upload.row, changes, expect=expect))
    except table.RowChanged:
        return None


def finish(upload: Upload, file: File | None = None, *, error: dict[str, str] | None = None) -> None:
    """Mark the upload as completed. `error` is the objection of the provider for which it was made."""
    changes = {"state": "completed", "lease_until": 0, "file": asdict(file) if file else None, "error": error}
    table.update(upload.row, changes, expect={"state": "processing"})


def fail(upload: Upload, code: str, message: str) -> None:
    """Mark the upload as failed for good, because a retry would not help."""
    changes = {"state": "failed", "lease_until": 0, "error": {"code": code, "message": message}}
    table.update(upload.row, changes, expect={"state": "processing"})


def release(upload: Upload) -> None:
    """Give up the claim after a failure that may pass. The next delivery may try at once."""
    table.update(upload.row, {"lease_until": 0}, expect={"state": "processing"})


def discard(upload: Upload) -> None:
    """Count another object that arrived under the same policy. Only the first object is used."""
    table.update(upload.row, {"discarded": upload.discarded + 1}, expect={})


def usable(upload: Upload, param: str, purpose: Purpose) -> File:
    """Return the file of a finished upload. Raises NotReady and InvalidRequest, whose messages say what to do."""
    if upload.purpose != purpose:
        message = f"{param}: this upload has the purpose {upload.purpose!r}; create one with the purpose {purpose!r}."
        raise InvalidRequest(message, param=param)
    match upload.status:
        case "completed" if upload.file:
            return upload.file
        case "failed" if upload.error:
            raise InvalidRequest(f"{param}: {upload.error['message']}", param=param, code=upload.error["code"])
        case "expired":
            raise InvalidRequest(
                f"{param}: the upload has expired. Create a new upload.", param=param, code="upload_expired"
            )
        case "pending":
            raise NotReady(
                f"{param}: the bytes of the upload have not arrived yet. Send them to the URL of the upload.",
                param=param,
                code="upload_pending",
            )
    raise NotReady(
        f"{param}: the upload is still being processed. Try again in a moment.", param=param, code="upload_processing"
    )


def _part_size(byte_count: int) -> int:
    smallest = max(16 * MEBIBYTE, math.ceil(byte_count / MAX_PARTS))
    return math.ceil(smallest / MEBIBYTE) * MEBIBYTE


def _parts(upload: Upload) -> list[bucket.StoredPart]:
    try:
        return bucket.parts(upload.key, upload.multipart or "")
    except bucket.NoSuchUpload:
        message = "This upload accepts no more parts: it was completed, cancelled or expired. Create a new upload."
        raise NotReady(message, param="upload_id") from None


def _upload(row: table.Row) -> Upload:
    values = {one.name: row[one.name] for one in fields(Upload) if one.name in row}
    if values.get("file"):
        values["file"] = File(**values["file"])
    return Upload(**values)

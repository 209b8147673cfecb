"""How the bytes of an upload are sent: by one presigned POST, or as parts with a presigned URL each."""

from __future__ import annotations

import time
from typing import Any

from understudy.errors import InvalidRequest, NotReady
from understudy.files.uploads import Upload
from understudy.store import bucket

SIGNED_AT_ONCE = 100


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
    try:
        bucket.complete_parts(upload.key, upload.multipart or "", there)
    except bucket.NoSuchUpload:  # it was cancelled, or completed, at this moment
        raise _closed() from None


def _parts(upload: Upload) -> list[bucket.StoredPart]:
    try:
        return bucket.parts(upload.key, upload.multipart or "")
    except bucket.NoSuchUpload:
        raise _closed() from None


def _closed() -> NotReady:
    message = "This upload accepts no more parts: it was completed, cancelled or expired. Create a new upload."
    return NotReady(message, param="upload_id")

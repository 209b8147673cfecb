"""Uploads: files on their way into the bucket that are too large for the gateway (10 MB) or Lambda (6 MB).

    pending ─→ processing ─→ completed
       │            └──────→ failed       with the reason, or because nobody works on it any more
       ├──→ expired                       nothing arrived in time
       └──→ cancelled                     the row is gone

An upload of up to 100 MiB is one presigned POST, whose policy fixes the key, the exact size, the type and the expiry. A
larger upload is a multipart upload, and the URL of each part signs its length (sending.py). background/ingest_upload.py
processes the bytes that have arrived. The team's counts (storage.py) change together with the row.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from understudy.errors import InvalidRequest, NotReady
from understudy.files import storage
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
KEPT_SECONDS = 30 * 24 * 3600
# Seconds after the end of a claim until the upload is shown as failed. Each of the five deliveries claims the bytes
# anew, for at most 285 s (the timeout of 300 s without MARGIN_SECONDS). The next delivery follows the end of a claim
# within 75 s if its function died (the queue's visibility timeout of 360 s counts from the start of the delivery), and
# within 80 s after a failure that may pass (pauses of 10, 20, 40 and 80 s). All five take at most 30 minutes, but the
# upload is never without a claim for 20 minutes, unless the queue itself has that much to do.
ABANDONED_SECONDS = 20 * 60
ABANDONED = {
    "code": "internal_error",
    "message": "Understudy stopped before this file was processed. Create a new upload and send the file again.",
}


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
    open_until: int = 0  # it counts as open until then (files/storage.py)
    bytes_until: int = 0  # its bytes count until then, unless they are deleted before; 0: they do not count

    @property
    def row(self) -> table.Key:
        return table.upload_key(self.team, self.id)

    @property
    def key(self) -> str:
        """The bucket key of the bytes. Understudy chooses it, and it is as hard to guess as the id."""
        return bucket.upload_key(self.team, self.id)

    @property
    def status(self) -> str:
        """The public status: the state, or `expired`. An abandoned upload is `failed`."""
        if self.abandoned:
            return "failed"
        return "expired" if self._expired else self.state

    @property
    def _expired(self) -> bool:
        """Whether the bytes did not arrive in time, or cannot be used any more.

        The bucket keeps them for INPUT_DAYS. On the last day, an order that waits would miss them.
        """
        if self.state == "pending":
            return self.expires_at < time.time()
        usable_until = self.created_at + (bucket.INPUT_DAYS - 1) * 86_400
        return self.state == "completed" and self.file is not None and usable_until <= time.time()

    @property
    def failure(self) -> dict[str, str] | None:
        """The error that callers see: the error in the row, or the error of an abandoned upload."""
        return ABANDONED if self.abandoned else self.error

    @property
    def abandoned(self) -> bool:
        """Whether nobody works on the bytes any more, and nobody has written how that ended.

        The last delivery died. If its message is delivered again from the dead letters, the upload is processed.
        """
        claimed_until = self.lease_until or self.expires_at  # 0: released by a version that kept no time
        return self.state == "processing" and claimed_until + ABANDONED_SECONDS < time.time()

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
    """Create an upload without bytes, and write its row.

    Raises InvalidRequest if the size is over the limit, and StorageFull if the team has no room for it.
    """
    if byte_count > MAX_BYTES[purpose]:
        message = f"bytes: at most {MAX_BYTES[purpose]} for this purpose."
        raise InvalidRequest(message, param="bytes", code="file_too_large")
    now = int(time.time())
    in_parts = byte_count > POST_BYTES
    expires_at = now + (PARTS_SECONDS if in_parts else POST_SECONDS)
    upload = Upload(
        team=team,
        id=new_record(),
        purpose=purpose,
        filename=filename,
        mime_type=mime_type,
        byte_count=byte_count,
        created_at=now,
        expires_at=expires_at,
        part_size=_part_size(byte_count) if in_parts else 0,
        name=name,
        model=model,
        signed_with=id_codec().key_id,
        open_until=storage.end_of_upload(expires_at),
        bytes_until=storage.end_of_bytes(storage.UPLOAD_SECONDS),
    )
    counts = {
        **storage.ending("uploads", 1, upload.open_until),
        **storage.ending("bytes", byte_count, upload.bytes_until),
    }
    storage.take(team, counts, table.Put(upload.row, asdict(upload) | {table.TTL: now + KEPT_SECONDS}))
    if in_parts:
        multipart = bucket.begin_parts(upload.key, mime_type)
        table.update(upload.row, {"multipart": multipart}, expect={"state": "pending"})
        upload = replace(upload, multipart=multipart)
    return upload


def find(team: str, record: str) -> Upload | None:
    """Return the upload, or None."""
    row = table.get(table.upload_key(team, record))
    return _upload(row) if row else None


def cancel(upload: Upload) -> None:
    """Delete the row, the parts and the bytes. Raises table.RowChanged if the upload was claimed or has changed."""
    expect = {"state": upload.state, "lease_until": upload.lease_until}
    # What arrives after this belongs to no upload, and is deleted. What has arrived before counts until S3 deletes it.
    counts = _no_more_open(upload), *([_no_more_bytes(upload)] if upload.state == "pending" else [])
    table.write_together(table.Delete(upload.row, expect), *storage.changes(upload.team, *counts))
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


def finish(
    upload: Upload, file: File | None = None, *, error: dict[str, str] | None = None, kept: bool = False
) -> None:
    """Mark the upload as completed. `error` is the objection of the provider for which it was made.

    Its bytes are now those of the `file`, in media/inputs/, or of a character. `kept`: they are still under uploads/,
    too. Raises table.RowChanged if the upload has ended or is gone. Finished work counts even if its claim has run out.
    """
    until, counts = upload.bytes_until, [_no_more_open(upload)]
    if not kept:
        until = storage.end_of_bytes(storage.INPUT_SECONDS) if file else 0
        counts += [_no_more_bytes(upload), storage.ending("bytes", upload.byte_count, until) if file else {}]
    changes = {"state": "completed", "file": asdict(file) if file else None, "error": error, **_ended(until)}
    swap = table.swap(upload.row, changes, expect={"state": "processing"})
    table.write_together(swap, *storage.changes(upload.team, *counts))


def fail(claimed: Upload, code: str, message: str, *, kept: bool = False) -> None:
    """Mark the upload as failed for good. Does nothing if this claim is no longer the last one. `kept`: see `finish`.

    Then the upload has ended, or is gone, or another delivery has claimed it and decides how it ends.
    """
    until = claimed.bytes_until if kept else 0
    counts = _no_more_open(claimed), {} if kept else _no_more_bytes(claimed)
    changes = {"state": "failed", "error": {"code": code, "message": message}, **_ended(until)}
    swap = table.swap(claimed.row, changes, expect=_claim_of(claimed))
    with contextlib.suppress(table.RowChanged):
        table.write_together(swap, *storage.changes(claimed.team, *counts))


def release(claimed: Upload) -> None:
    """Give up the claim after a failure that may pass. The next delivery may try at once.

    Does nothing if this claim is no longer the last one. The row keeps the time: see `Upload.abandoned`.
    """
    with contextlib.suppress(table.RowChanged):
        table.update(claimed.row, {"lease_until": int(time.time())}, expect=_claim_of(claimed))


def discard(upload: Upload) -> None:
    """Count another object that arrived under the same policy. Only the first object is used."""
    with contextlib.suppress(table.RowChanged):  # the upload was cancelled, or its row has expired
        table.update(upload.row, {"discarded": upload.discarded + 1}, expect={})


def usable(upload: Upload, param: str, purpose: Purpose) -> File:
    """Return the file of a finished upload. Raises NotReady and InvalidRequest, whose messages say what to do."""
    if upload.purpose != purpose:
        message = f"{param}: this upload has the purpose {upload.purpose!r}; create one with the purpose {purpose!r}."
        raise InvalidRequest(message, param=param)
    match upload.status:
        case "completed" if upload.file:
            return upload.file
        case "failed" if error := upload.failure:
            raise InvalidRequest(f"{param}: {error['message']}", param=param, code=error["code"])
        case "expired":
            message = f"{param}: the upload has expired. Create a new upload and send the file again."
            raise InvalidRequest(message, param=param, code="upload_expired")
        case "pending":
            raise NotReady(
                f"{param}: the bytes of the upload have not arrived yet. Send them to the URL of the upload.",
                param=param,
                code="upload_pending",
            )
    raise NotReady(
        f"{param}: the upload is still being processed. Try again in a moment.", param=param, code="upload_processing"
    )


def _no_more_open(upload: Upload) -> storage.Counts:
    return storage.given_back("uploads", 1, upload.open_until)


def _no_more_bytes(upload: Upload) -> storage.Counts:
    return storage.given_back("bytes", upload.byte_count, upload.bytes_until)


def _ended(bytes_until: int) -> dict[str, Any]:
    return {"lease_until": 0, "open_until": 0, "bytes_until": bytes_until}


def _claim_of(claimed: Upload) -> dict[str, Any]:
    return {"state": "processing", "lease_until": claimed.lease_until}


def _part_size(byte_count: int) -> int:
    smallest = max(16 * MEBIBYTE, math.ceil(byte_count / MAX_PARTS))
    return math.ceil(smallest / MEBIBYTE) * MEBIBYTE


def _upload(row: table.Row) -> Upload:
    values = {one.name: row[one.name] for one in fields(Upload) if one.name in row}
    if values.get("file"):
        values["file"] = File(**values["file"])
    return Upload(**values)

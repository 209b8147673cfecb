"""Turns an object that has arrived into what its upload is for: once, however often the event arrives.

The first finished object of an upload counts, and the version in the event identifies it. A permanent failure is
written to the upload and not retried. Any other failure raises `s3_event.Passing`, and the event is delivered again
after a pause.
"""

from __future__ import annotations

import time

from understudy.background import drop_folder
from understudy.characters import creation
from understudy.errors import ApiError, InvalidRequest, ProviderError, Refused
from understudy.files import clips, s3_event, sniff, uploads
from understudy.files.s3_event import Landed, Passing
from understudy.files.uploads import Upload
from understudy.store import bucket, queue
from understudy.store.bucket import File
from understudy.telemetry import logger


def take(thing: Landed, deadline: float, *, last: bool = False) -> None:
    """Process an object that has arrived. Raises Passing for a failure that the next delivery may not have.

    At the `last` delivery, the provider's refusal of a new character is written to the upload, even if it may pass.
    """
    folder, _, rest = thing.key.partition("/")
    if folder == "drop":
        return drop_folder.take(thing, deadline)
    team, _, record = rest.partition("/")
    upload = uploads.find(team, record) if folder == "uploads" and record else None
    if upload is None:
        logger.warning("an object belongs to no upload", extra={"prefix": folder})
        return None
    if upload.version is not None and upload.version != thing.version:
        return _later(upload, thing)
    if upload.state in {"completed", "failed"}:
        return None
    claimed = uploads.claim(upload, thing.version, max(deadline - time.monotonic(), 1))
    if claimed is None:
        raise Passing("another delivery works on this upload")
    try:
        _make(claimed, thing, deadline, last)
    except InvalidRequest as error:
        uploads.fail(claimed, error.code or "invalid_value", error.message)
    except (ApiError, Passing) as error:
        uploads.release(claimed)
        raise Passing(str(error)) from error
    bucket.delete_all(claimed.key)
    return None


def pause(receipt_handle: str, received: int) -> None:
    """Delay the next delivery of the message, each time longer: 10 s, 20 s, 40 s, up to 15 minutes."""
    seconds = min(10 * 2 ** (received - 1), 900)
    queue.postpone_upload(receipt_handle, seconds)


def _make(upload: Upload, thing: Landed, deadline: float, last: bool) -> None:
    head = thing.head()
    if head is None:
        raise InvalidRequest("The uploaded file no longer exists. Upload it again.", code="upload_gone")
    if upload.purpose == "image":
        return _image(upload, thing, head)
    mime_type = s3_event.video_type(head)
    if upload.purpose == "character":
        home = creation.home_of(upload.model, None)
        _, objection = creation.adopt(
            upload.team, upload.id, upload.name or "", home, thing.key, thing.version, mime_type, deadline
        )
        return uploads.finish(upload, error=_said(objection, last))
    key = bucket.input_key(upload.team, upload.id, f"clip.{bucket.EXTENSIONS[mime_type]}")
    bucket.copy(thing.key, key, version=thing.version, mime_type=mime_type)
    clip = clips.inspect(key, deadline, stills_prefix=bucket.input_key(upload.team, upload.id, ""), stills=0)
    return uploads.finish(upload, File(key, clip.mime_type, clip.byte_count))


def _said(objection: ProviderError | None, last: bool) -> dict[str, str] | None:
    """Return the refusal of a new character at its home deployment, or None if the deployment did not refuse.

    At the `last` delivery every refusal is returned. Before that, a refusal that may pass raises Passing.
    """
    if not isinstance(objection, Refused):
        return None  # no error, or an unknown outcome: then it is made again at its first use, not before
    if objection.movable and not last:
        raise Passing(objection.message)
    return {"code": objection.code or "provider_refused", "message": objection.message}


def _image(upload: Upload, thing: Landed, head: bytes) -> None:
    found = sniff.image(head) or sniff.image(thing.head(uploads.MEBIBYTE) or b"")
    if found is None:
        raise InvalidRequest("The file is not a PNG, JPEG or WebP image.", code="not_an_image")
    key = bucket.input_key(upload.team, upload.id, f"image.{bucket.EXTENSIONS[found[0]]}")
    bucket.copy(thing.key, key, version=thing.version, mime_type=found[0])
    uploads.finish(upload, File(key, found[0], thing.byte_count))


def _later(upload: Upload, thing: Landed) -> None:
    """Discard a later object of an upload. A POST policy can be used twice, and the first finished object counts."""
    logger.info("a second object for an upload was discarded", extra={"upload": upload.id})
    if thing.version:
        bucket.delete_version(thing.key, thing.version)
    uploads.discard(upload)

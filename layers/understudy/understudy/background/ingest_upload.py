"""Turns an object that has arrived into what its upload is for: once, however often the event arrives.

The first finished object of an upload counts, and the version in the event identifies it. A permanent failure is
written to the upload and not retried. After any other failure the event is delivered again after a pause. At the last
delivery any failure is written to the upload. If that delivery dies, see `uploads.Upload.abandoned`.
"""

from __future__ import annotations

import contextlib
import math
import time

from understudy.background import drop_folder
from understudy.characters import creation
from understudy.characters.character import Character
from understudy.deployments.config import Deployment
from understudy.errors import ApiError, InvalidRequest, NotFound, ProviderError, Refused
from understudy.files import clips, s3_event, sniff, uploads
from understudy.files.s3_event import Landed, Passing
from understudy.files.uploads import Upload
from understudy.store import bucket, queue, table
from understudy.store.bucket import File
from understudy.telemetry import logger

GIVEN_UP = (
    "Understudy tried several times and could not process this file. Create a new upload and send the file again."
)
NOT_INTRODUCED = (
    "The character exists, but Understudy could not make it at its provider. It is made there when it is first used."
)


def take(thing: Landed, deadline: float, *, last: bool = False) -> None:
    """Process an object that has arrived. Raises Passing for a failure that the next delivery may not have.

    At the `last` delivery, a failure that may pass and an error of ours are written to the upload, too. They are raised
    all the same: the message then goes to the dead letters, which is how the operator learns of the fault. Delivered
    again from there, the message does nothing, because the caller was told to send the file again. The provider's
    refusal of a new character is written and not raised, because nothing is wrong here.
    """
    folder, _, rest = thing.key.partition("/")
    if folder == "drop":
        return drop_folder.take(thing, deadline, last=last)
    team, _, record = rest.partition("/")
    upload = uploads.find(team, record) if folder == "uploads" and record else None
    if upload is None:
        logger.warning("an object belongs to no upload", extra={"prefix": folder})
        if folder == "uploads":  # it was cancelled, and the URL went on taking objects
            bucket.delete_version(thing.key, thing.version)
        return None
    if upload.version is not None and upload.version != thing.version:
        return _later(upload, thing)
    if upload.state == "completed":  # a delivery before this one may have died at its last step
        return bucket.delete_version(thing.key, thing.version)
    if upload.state == "failed":
        logger.info("an object of an upload that has failed", extra={"upload": upload.id})
        return None
    claimed = uploads.claim(upload, thing.version, max(deadline - time.monotonic(), 1))
    if claimed is None:
        raise Passing("another delivery works on this upload", seconds=upload.lease_until - time.time())
    try:
        _make(claimed, thing, deadline, last)
    except Exception as error:
        if not _is_settled(claimed, error):
            _leave(claimed, error, last)
            if isinstance(error, ApiError | table.RowChanged):
                raise Passing(str(error)) from error
            raise
    bucket.delete_version(thing.key, thing.version)
    return None


def pause(receipt_handle: str, received: int, at_least: float = 0.0) -> None:
    """Delay the next delivery of the message, each time longer: 10 s, 20 s, 40 s, up to 15 minutes.

    A message that waits for another delivery of the same upload waits `at_least` until that delivery is over or dead.
    Otherwise the message would use up its deliveries before that.
    """
    seconds = min(max(10 * 2 ** (received - 1), math.ceil(at_least)), 900)
    queue.postpone_upload(receipt_handle, seconds)


def _is_settled(claimed: Upload, error: Exception) -> bool:
    """Return whether nothing is left to do after this error, and write a permanent error to the upload."""
    if isinstance(error, ApiError) and not error.passing:
        _end(claimed, error.code or "invalid_value", error.message)
        return True
    if isinstance(error, table.RowChanged):
        now = uploads.find(claimed.team, claimed.id)
        return now is None or now.state in {"completed", "failed"}  # cancelled, or another delivery was first
    return False


def _leave(claimed: Upload, error: Exception, last: bool) -> None:
    """Leave the upload to the next delivery. At the `last` delivery, end it."""
    if not last:
        uploads.release(claimed)
        return
    logger.error("upload given up", extra={"upload": claimed.id, "error": str(error)})
    code = error.code if isinstance(error, ApiError) else None
    _end(claimed, code or "internal_error", GIVEN_UP, kept=True)


def _end(claimed: Upload, code: str, message: str, *, kept: bool = False) -> None:
    """Fail the upload. If an earlier delivery has made its character, complete it and keep the code beside it.

    `kept`: the object stays for the operator, until the lifecycle rule deletes it.
    """
    if claimed.purpose == "character" and Character.find(claimed.team, claimed.id):
        with contextlib.suppress(table.RowChanged):  # another delivery was first
            uploads.finish(claimed, error={"code": code, "message": NOT_INTRODUCED}, kept=kept)
    else:
        uploads.fail(claimed, code, message, kept=kept)


def _make(upload: Upload, thing: Landed, deadline: float, last: bool) -> None:
    head = thing.head()
    if head is None:
        raise InvalidRequest("The uploaded file no longer exists. Upload it again.", code="upload_gone")
    if upload.purpose == "image":
        return _image(upload, thing, head)
    mime_type = s3_event.video_type(head)
    if upload.purpose == "character":
        home = _home_of(upload)
        _, objection = creation.adopt(
            upload.team, upload.id, upload.name or "", home, thing, mime_type, deadline, counted=True
        )
        return uploads.finish(upload, error=_said(objection, last))
    key = bucket.input_key(upload.team, upload.id, f"clip.{bucket.EXTENSIONS[mime_type]}")
    version = bucket.copy(thing.key, key, version=thing.version, mime_type=mime_type)
    try:
        clip = clips.inspect(key, deadline, stills_prefix="", stills=0)
    except ApiError:
        bucket.delete_version(key, version)
        raise
    return uploads.finish(upload, File(key, clip.mime_type, clip.byte_count))


def _home_of(upload: Upload) -> Deployment:
    """Return the home of the new character. Raises NotFound if its model has left the deployments file."""
    try:
        return creation.home_of(upload.model, None)
    except NotFound as error:
        message = f"{error.message} Create a new upload with one of these models."
        raise NotFound(message, param=error.param, code=error.code) from error


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

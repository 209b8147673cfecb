"""The drop folder: `aws s3 cp luna.mp4 s3://bucket/drop/<team>/<model>/Luna.mp4`, for operators who may write there.

A dropped file is identified by its key and its bytes. The same file again makes nothing. The same key with other bytes
makes another character. The result is written to drop-results/, for which there is no S3 notification.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import PurePosixPath
from typing import Any

from understudy import resources
from understudy.access import keys
from understudy.characters import creation
from understudy.characters.character import Character
from understudy.characters.name import MAX_NAME
from understudy.errors import ApiError, InvalidRequest
from understudy.files import s3_event
from understudy.files.s3_event import Landed, Passing
from understudy.ids import new_record
from understudy.store import bucket, table
from understudy.telemetry import logger

READ_BYTES = 1024 * 1024
GIVEN_UP = (
    "Understudy tried several times and could not make a character from this file. "
    "Copy the file into the drop folder again."
)


def take(thing: Landed, deadline: float, *, last: bool = False) -> None:
    """Make a character from a dropped clip. Raises Passing for a failure that the next delivery may not have.

    At the `last` delivery every failure is written to the result, and raised all the same: see `ingest_upload.take`.
    """
    parts = thing.key.split("/")
    if len(parts) != 4 or not keys.TEAM.fullmatch(parts[1]):
        logger.warning("a dropped file outside drop/<team>/<model>/<name>")
        return
    _, team, model, filename = parts
    try:
        character = _make(thing, team, model, filename, deadline)
        if character is not None:
            _tell(thing.key, {"status": "completed", "character": resources.character(character)})
    except Exception as error:
        if isinstance(error, ApiError) and not error.passing:
            _tell_failure(thing.key, error.code, error.message)
            return
        if last:
            code = error.code if isinstance(error, ApiError) else "internal_error"
            _tell_failure(thing.key, code, GIVEN_UP)
        if isinstance(error, ApiError):
            raise Passing(error.message) from error
        raise


def _make(thing: Landed, team: str, model: str, filename: str, deadline: float) -> Character | None:
    """Return the character of the file, or None if the file is gone."""
    name = PurePosixPath(filename).stem.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidRequest(f"The file's name becomes the character's name: use 1 to {MAX_NAME} characters.")
    home = creation.home_of(model, None)
    head = thing.head()
    if head is None:
        logger.warning("a dropped file was deleted, or this function may not read it")
        return None
    mime_type = s3_event.video_type(head)
    record = _record(team, thing)
    return creation.adopt(team, record, name, home, thing, mime_type, deadline, counted=False)[0]


def _record(team: str, thing: Landed) -> str:
    """Return the one record for this key and these bytes: made at the first delivery, found at every later delivery."""
    identity = hashlib.sha256(thing.key.encode())
    identity.update(_digest(thing).encode())
    key = table.drop_key(team, identity.hexdigest())
    try:
        record = new_record()
        table.put(key, {"record": record, "at": int(time.time())})
        return record
    except table.RowChanged:
        row = table.get(key)
        assert row is not None  # it exists, and nothing deletes it
        return str(row["record"])


def _digest(thing: Landed) -> str:
    digest = hashlib.sha256()
    with bucket.reader(thing.key, thing.byte_count, thing.version) as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _tell_failure(key: str, code: str | None, message: str) -> None:
    _tell(key, {"status": "failed", "error": {"code": code, "message": message}})


def _tell(key: str, result: dict[str, Any]) -> None:
    bucket.put(f"drop-results/{key.removeprefix('drop/')}.json", json.dumps(result).encode(), "application/json")

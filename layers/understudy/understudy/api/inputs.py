"""Images and source clips of a request: checked by their bytes, then stored."""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING

from understudy.api import lookup
from understudy.api.forms import FilePart
from understudy.api.requests import ImageReference, VideoReference
from understudy.errors import InvalidRequest, Refused
from understudy.files import clips, sniff, storage, uploads
from understudy.network.http_client import Client
from understudy.store import bucket
from understudy.store.bucket import File

if TYPE_CHECKING:
    from understudy.api.endpoint import Call

IMAGE_SECONDS = 8.0  # for an image_url, whose server is not ours: the time after it is the providers'
MAX_IMAGE = 20 * 1024 * 1024  # bytes; OpenAI's limit for image_url is the same in characters (openapi.yaml, 2026-08-21)


def image(call: Call, given: FilePart | ImageReference, record: str) -> File:
    """Store an `input_reference` and return its file. An upload is stored already.

    Raises InvalidRequest for data that is not a PNG, JPEG or WebP image, and StorageFull.
    """
    if isinstance(given, ImageReference) and given.upload_id:
        return uploaded(call, given.upload_id, "image", "input_reference.upload_id")
    data = given.data if isinstance(given, FilePart) else _referenced(given, call.deadline)
    found = sniff.image(data)
    if found is None:
        raise InvalidRequest("input_reference: send a PNG, JPEG or WebP image.", param="input_reference")
    mime_type = found[0]
    key = bucket.input_key(call.caller.team, record, f"image.{bucket.EXTENSIONS[mime_type]}")
    return store(call.caller.team, File(key, mime_type, len(data)), data)


def store(team: str, file: File, data: bytes | memoryview) -> File:
    """Store a file of a request, and return it. Raises StorageFull."""
    storage.take_input(team, file.byte_count)
    bucket.put(file.key, data, file.mime_type)
    return file


def video_type(given: FilePart, param: str = "video") -> str:
    """Return the MIME type of a clip by its first bytes. Raises InvalidRequest unless it is MP4, MOV or WebM."""
    if len(given.data) == 0:
        raise InvalidRequest(f"{param}: the file is empty.", param=param)
    kind = sniff.video(given.data[:4096])
    if kind is None:
        raise InvalidRequest(f"{param}: send an MP4, MOV or WebM video.", param=param, code="not_a_video")
    return sniff.VIDEO_TYPES[kind]


def clip(call: Call, given: FilePart | VideoReference, record: str) -> tuple[File, clips.Inspection]:
    """Store a clip to edit or extend. Return its file and the facts about it.

    An upload is stored already. Raises InvalidRequest if the clip cannot be opened as a video, and StorageFull.
    """
    if isinstance(given, VideoReference):
        file = uploaded(call, given.upload_id or "", "video", "video.upload_id")
        return file, clips.inspect(file.key, call.deadline, stills_prefix="", stills=0)
    mime_type = video_type(given)
    key = bucket.input_key(call.caller.team, record, f"clip.{bucket.EXTENSIONS[mime_type]}")
    file = store(call.caller.team, File(key, mime_type, len(given.data)), given.data)
    return file, clips.inspect(key, call.deadline, stills_prefix="", stills=0)


def uploaded(call: Call, public_id: str, purpose: uploads.Purpose, param: str) -> File:
    """Return the file of one of the caller's finished uploads. Raises NotFound, NotReady and InvalidRequest."""
    return uploads.usable(lookup.upload(call, public_id), param, purpose)


def _referenced(given: ImageReference, deadline: float) -> bytes:
    url = given.image_url
    if url is None:
        message = "input_reference: file ids are not supported. Send the image itself or an image_url."
        raise InvalidRequest(message, param="input_reference.file_id", code="unsupported_parameter")
    if url.startswith("data:"):
        return _data_url(url)
    if not url.startswith("https://"):
        raise InvalidRequest(
            "input_reference: image_url must be an https or data URL.", param="input_reference.image_url"
        )
    return _fetched(url, deadline)


def _data_url(url: str) -> bytes:
    head, comma, data = url.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise ValueError
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        message = "input_reference: image_url is not a base64 data URL (data:image/png;base64,...)."
        raise InvalidRequest(message, param="input_reference.image_url") from None


def _fetched(url: str, deadline: float) -> bytes:
    data = bytearray()
    try:
        until = min(deadline, time.monotonic() + IMAGE_SECONDS)
        with Client(until).stream(url, {"accept": "image/*"}) as (status, _, chunks):
            if status == 200:
                for chunk in chunks:
                    data += chunk
                    if len(data) > MAX_IMAGE:
                        raise InvalidRequest(
                            "input_reference: the image is over 20 MB.", param="input_reference.image_url"
                        )
    except Refused:
        data.clear()
    if not data:
        message = (
            "input_reference: image_url could not be fetched. It must be public, and answer with status 200 "
            f"within {IMAGE_SECONDS:.0f} seconds."
        )
        raise InvalidRequest(message, param="input_reference.image_url")
    return bytes(data)

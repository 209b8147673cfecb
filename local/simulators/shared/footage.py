"""Reads media files: their type, their facts and their frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
from PIL import Image, UnidentifiedImageError

_IMAGE_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


class UnreadableMedia(ValueError):
    """The file is not a readable video or image; the message says why."""


@dataclass(frozen=True)
class VideoFacts:
    """Facts of a video file; `duration` in seconds, sizes in pixels."""

    duration: float
    width: int
    height: int
    fps: float
    video_codec: str
    audio_codec: str | None


@dataclass(frozen=True)
class ImageFacts:
    """Facts of a still image; sizes in pixels."""

    media_type: str
    width: int
    height: int


def sniff(path: Path) -> str | None:
    """Return the file type by its first bytes: mp4, mov, webm, png, jpeg or webp; None for any other type."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp":
        return "mov" if head[8:12] == b"qt  " else "mp4"
    for kind, magic in (("webm", b"\x1aE\xdf\xa3"), ("png", b"\x89PNG\r\n\x1a\n"), ("jpeg", b"\xff\xd8\xff")):
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


def probe(path: Path) -> VideoFacts:
    """Open a video, decode its first frame and return its facts. Raises UnreadableMedia."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnreadableMedia("the file has no video stream")
            stream = container.streams.video[0]
            frame = next(container.decode(stream), None)
            if frame is None:
                raise UnreadableMedia("the file has no video frame")
            duration = _duration(container, stream)
            audio = container.streams.audio[0].codec_context.name if container.streams.audio else None
            fps = float(stream.average_rate or 0)
            return VideoFacts(duration, frame.width, frame.height, fps, stream.codec_context.name, audio)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableMedia(f"the file could not be read as a video ({type(error).__name__})") from error


def probe_image(path: Path) -> ImageFacts:
    """Open and decode a png, jpeg or webp image and return its facts. Raises UnreadableMedia."""
    try:
        with Image.open(path) as image:
            media_type = _IMAGE_TYPES.get(image.format or "")
            if media_type is None:
                raise UnreadableMedia(f"the image is {image.format}, not png, jpeg or webp")
            image.load()
            return ImageFacts(media_type, image.width, image.height)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UnreadableMedia("the file could not be read as an image") from error


def still(path: Path, at: float) -> Image.Image:
    """Return the first frame at or after `at` seconds, or the last frame of the video. Raises UnreadableMedia."""
    found: av.VideoFrame | None = None
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                found = frame
                if (frame.time or 0.0) >= at:
                    break
    except av.error.FFmpegError as error:
        raise UnreadableMedia("the video could not be decoded") from error
    if found is None:
        raise UnreadableMedia("the video has no frame")
    return as_image(found)


def frames(path: Path, fps: int, seconds: int) -> Iterator[av.VideoFrame]:
    """Yield exactly `fps * seconds` frames at a constant rate: extra frames are dropped, missing frames are repeated.

    Raises UnreadableMedia if the video has no frame.
    """
    wanted = fps * seconds
    given = 0
    current: av.VideoFrame | None = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            while current is not None and given < wanted and Fraction(given, fps) < (frame.time or 0.0):
                yield current
                given += 1
            current = frame
            if given >= wanted:
                return
    if current is None:
        raise UnreadableMedia("the video has no frame")
    for _ in range(given, wanted):
        yield current


def as_image(frame: av.VideoFrame) -> Image.Image:
    """Return the frame as an RGB image."""
    # PyAV does not annotate the result of this method.
    return cast(Image.Image, cast(Any, frame).to_image())


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if container.duration is not None:
        return container.duration / av.time_base
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    raise UnreadableMedia("the file does not say how long it is")

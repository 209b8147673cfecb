"""Calls to the two sealed functions that open media, so that FFmpeg never opens strangers' files beside secrets.

Each call ends by its `deadline`, in `time.monotonic()` seconds, and raises ApiError if the function has not answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from understudy.errors import ApiError, InvalidRequest
from understudy.settings import settings
from understudy.store import functions

STILLS = 4
# Types that the sealed functions tell apart, and their name here: one container, read by one demuxer (files/sniff.py).
SAME = {"video/x-matroska": "video/webm"}
OURS = {
    "invalid_request",
    "not_found",
    "storage_error",
    "internal_error",
}  # our own faults: another clip would not help


@dataclass(frozen=True, slots=True)
class Inspection:
    """Facts about a clip. `stills` are {"key", "width", "height", "bytes"} of stills in the bucket."""

    mime_type: str
    byte_count: int
    milliseconds: int
    width: int
    height: int
    stills: list[dict[str, Any]]


def inspect(key: str, deadline: float, *, stills_prefix: str, stills: int = STILLS, param: str = "video") -> Inspection:
    """Inspect a clip, and take stills from it.

    Raises InvalidRequest, naming `param`, if it is not a usable video.
    """
    event = {"key": key, "stills_prefix": stills_prefix, "stills": stills}
    facts = _call(settings().inspect_function, event, deadline, param)
    return Inspection(
        mime_type=SAME.get(facts["mime_type"], facts["mime_type"]),
        byte_count=facts["bytes"],
        milliseconds=round(facts["duration"] * 1000),
        width=facts["width"],
        height=facts["height"],
        stills=[{name: still[name] for name in ("key", "width", "height", "bytes")} for still in facts["stills"]],
    )


def previews(key: str, prefix: str, deadline: float) -> dict[str, Any]:
    """Make thumbnail.webp and spritesheet.jpg beside a video. Return facts about the video. Raises InvalidRequest."""
    event = {
        "task": "previews",
        "key": key,
        "thumbnail_key": f"{prefix}thumbnail.webp",
        "spritesheet_key": f"{prefix}spritesheet.jpg",
    }
    return _call(settings().stitch_function, event, deadline)


def last_frame(key: str, output_key: str, size: str, deadline: float) -> int:
    """Write the last frame of a clip in `size` (WIDTHxHEIGHT). Return its number of bytes. Raises InvalidRequest."""
    width, _, height = size.partition("x")
    event = {"task": "last_frame", "key": key, "output_key": output_key, "width": int(width), "height": int(height)}
    return int(_call(settings().stitch_function, event, deadline)["bytes"])


def concatenate(keys: list[str], output_key: str, deadline: float) -> dict[str, Any]:
    """Write the clips one after the other, in the size of the first clip.

    Returns facts about the result, such as `duration` in seconds and `bytes`. Raises InvalidRequest.
    """
    event = {"task": "concatenate", "keys": keys, "output_key": output_key}
    return _call(settings().stitch_function, event, deadline)


def trim(key: str, output_key: str, seconds: float, deadline: float) -> None:
    """Write the first `seconds` of a clip to `output_key`. Raises InvalidRequest."""
    event = {"task": "trim", "key": key, "output_key": output_key, "start": 0, "seconds": seconds}
    _call(settings().stitch_function, event, deadline)


def _call(function: str, event: dict[str, Any], deadline: float, param: str = "video") -> dict[str, Any]:
    idempotent = function == settings().inspect_function  # it writes the same stills to the same keys
    try:
        result = functions.invoke(function, event, deadline, idempotent=idempotent)
    except functions.FunctionFailed as error:
        raise _failed() from error
    if not isinstance(result, dict) or result.get("code") in OURS:
        raise _failed()
    if not result.get("ok"):
        raise InvalidRequest(str(result["message"]), param=param, code=str(result["code"]))
    return result


def _failed() -> ApiError:
    return ApiError("The video could not be opened. Nothing was created. Try again.", code="media_failed")

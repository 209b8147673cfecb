"""The rules of the three operations (REST reference, 2026-11): 400 for a wrong value, 422 for a wrong JSON type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.simulators.shared.errors import Refusal

RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3")
RESOLUTIONS = {"480p": 480, "720p": 720, "1080p": 1080}
PROMPT = 4096  # characters: a live 400 of 2026-09-22 (public log)
EDIT_SECONDS = 8.7
EXTEND_SECONDS = (2.0, 15.0)

_COMMON = ("model", "prompt", "user")
_NOT_SIMULATED = ("storage_options", "output")
_CREATE = (*_COMMON, "duration", "seconds", "aspect_ratio", "resolution", "image", "last_frame", "keyframes")
FIELDS = {
    "generate": (*_CREATE, "reference_images", "reference_audios", "generate_audio"),
    "edit": (*_COMMON, "video"),
    "extend": (*_COMMON, "video", "duration", "seconds"),
}

Fields = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Limits and prices of a model; `prices` are US dollars a second for each resolution."""

    prices: dict[str, float]
    image_price: float = 0.0
    references: int = 0
    reference_seconds: int = 15
    newer: bool = False  # last_frame, keyframes, reference_audios, image beside references


SOURCE_PRICE = 0.01  # US dollars a second of a video that is edited or extended
MODELS = {
    "grok-imagine-video": Model({"480p": 0.05, "720p": 0.07}, 0.002, references=7, reference_seconds=10),
    "grok-imagine-video-1.5": Model({"480p": 0.08, "720p": 0.14, "1080p": 0.25}, 0.01, references=14, newer=True),
    "grok-imagine-video-1.5-lite": Model({"480p": 0.02, "720p": 0.03, "1080p": 0.14}),
}


def invalid(message: str, param: str | None = None) -> Refusal:
    return Refusal(400, message, "invalid-argument", param)


def wrong_type(name: str, expected: str) -> Refusal:
    text = f"Failed to deserialize the JSON body into the target type: {name}: invalid type, expected {expected}"
    return Refusal(422, text, None, name)


def fields(operation: str, document: Any) -> Fields:
    """Return the body's fields without null fields. Raises Refusal for an unknown field."""
    if not isinstance(document, dict):
        raise wrong_type("body", "a map")
    for name in document:
        if name in _NOT_SIMULATED:
            raise Refusal(501, f"The simulator has no {name}.", "unimplemented", name)
        if name not in FIELDS[operation]:
            raise invalid(f"Argument not supported: {name}", name)
    return {name: value for name, value in document.items() if value is not None}


def text(given: Fields, name: str, required: bool) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise wrong_type(name, "a string")
    if required and not value.strip():
        raise invalid(f"Missing required field: {name}", name)
    if name == "prompt" and len(value) > PROMPT:
        raise invalid(f"Prompt length is {len(value)}, which is larger than the maximum of {PROMPT} characters", name)
    return value


def choice(given: Fields, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = given.get(name, default)
    if not isinstance(value, str) or value not in allowed:
        raise wrong_type(name, f"one of {', '.join(allowed)}")
    return value


def seconds(given: Fields, low: int, high: int, default: int) -> int:
    """Return `duration`, a whole number, or its alias `seconds`, which may be a string of digits. Raises Refusal."""
    if "duration" in given and "seconds" in given:
        raise invalid("duration and seconds are the same field; give one", "seconds")
    value = given.get("duration", default)
    if "seconds" in given:
        value = given["seconds"]
        value = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type("duration", "u32")
    if not low <= value <= high:
        raise invalid(f"duration must be between {low} and {high} seconds, got {value}", "duration")
    return value


def address(value: Any, name: str) -> str:
    """Return the URL in `{"url": ...}` or `{"image_url": ...}`. Raises Refusal; a file_id is not simulated (501)."""
    if not isinstance(value, dict):
        raise wrong_type(name, "a map")
    if len(value) != 1 or not set(value) <= {"url", "image_url", "file_id"}:
        raise invalid(f"{name} must have exactly one of url and file_id", name)
    if "file_id" in value:
        raise Refusal(501, "The simulator has no Files API.", "unimplemented", name)
    (url,) = value.values()
    if not isinstance(url, str):
        raise wrong_type(f"{name}.url", "a string")
    return url


def addresses(given: Fields, name: str) -> list[str]:
    items = given.get(name, [])
    if not isinstance(items, list):
        raise wrong_type(name, "a sequence")
    return [address(item, f"{name}[{index}]") for index, item in enumerate(items)]


def generation(given: Fields, model: Model, resolution: str, length: int, references: int) -> None:
    """Check which fields and values exclude each other, by model. Raises Refusal."""
    if resolution not in model.prices:
        raise invalid(f"This model does not support resolution {resolution}", "resolution")
    if references > model.references:
        raise invalid(
            f"This model takes at most {model.references} reference images, got {references}", "reference_images"
        )
    if references and length > model.reference_seconds:
        raise invalid(f"duration must be at most {model.reference_seconds} with reference images", "duration")
    if references and resolution == "1080p":
        raise invalid("reference images are limited to 720p", "resolution")
    if references and "image" in given and not model.newer:
        raise invalid("image and reference_images cannot be combined", "image")
    for name in ("last_frame", "keyframes", "reference_audios"):
        if name in given and not model.newer:
            raise invalid(f"This model does not support {name}", name)
    if "generate_audio" in given and not isinstance(given["generate_audio"], bool):
        raise wrong_type("generate_audio", "a boolean")


def pixels(ratio: str, resolution: str) -> tuple[int, int]:
    """Return width and height. The resolution is the short side: 16:9 at 480p is 848x480."""
    wide, high = (int(side) for side in ratio.split(":"))
    return scaled(wide, high, RESOLUTIONS[resolution])


def scaled(wide: float, high: float, short: int) -> tuple[int, int]:
    """Return width and height for a shape whose short side is `short`; the long side is a multiple of eight."""
    long = int(short * max(wide, high) / min(wide, high)) // 8 * 8
    return (long, short) if wide > high else (short, long)

"""The rules of OpenAI's video operations (openapi.yaml of 2026-08-21, video guide). Each Refusal names its field."""

from __future__ import annotations

from typing import Any

from local.simulators.shared.body import File
from local.simulators.shared.errors import Refusal

SECONDS = ("4", "8", "12", "16", "20")
MAX_PROMPT = 32_000
MAX_CHARACTERS = 2
MAX_NAME = 80
MAX_EXTENSIONS = 6
MAX_TOTAL_SECONDS = 120

_SIZES = ("720x1280", "1280x720")
_PRO_SIZES = (*_SIZES, "1024x1792", "1792x1024", "1080x1920", "1920x1080")

Fields = dict[str, Any]


def only(fields: Fields, *allowed: str) -> None:
    """Check that the operation has all of these fields. Raises Refusal."""
    for name in fields:
        if name not in allowed:
            raise Refusal(400, f"Unknown parameter: '{name}'.", "unknown_parameter", name)


def text(fields: Fields, name: str, limit: int) -> str:
    """Return a required string of 1 to `limit` characters that is not blank. Raises Refusal."""
    value = fields.get(name)
    if value is None:
        raise Refusal(400, f"Missing required parameter: '{name}'.", "missing_required_parameter", name)
    if not isinstance(value, str):
        raise Refusal(400, f"Invalid type for '{name}': expected a string.", "invalid_type", name)
    if not value.strip() or len(value) > limit:
        raise Refusal(
            400, f"Invalid '{name}': expected 1 to {limit} characters, got {len(value)}.", "invalid_value", name
        )
    return value


def choice(fields: Fields, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    """Return one of the allowed strings. Without a default the field is required. Raises Refusal."""
    value = fields.get(name, default)
    if value is None:
        raise Refusal(400, f"Missing required parameter: '{name}'.", "missing_required_parameter", name)
    if not isinstance(value, str):
        raise Refusal(400, f"Invalid type for '{name}': expected a string.", "invalid_type", name)
    if value not in allowed:
        listed = ", ".join(f"'{item}'" for item in allowed)
        raise Refusal(400, f"Invalid value: '{value}'. Supported values are: {listed}.", "invalid_value", name)
    return value


def size(fields: Fields, model: str) -> tuple[int, int]:
    """Return width and height; the larger sizes are for pro models only. Raises Refusal."""
    width, height = choice(fields, "size", _PRO_SIZES if "pro" in model else _SIZES, "720x1280").split("x")
    return int(width), int(height)


def file(fields: Fields, name: str) -> File:
    """Return a required file that is not empty. Raises Refusal."""
    value = fields.get(name)
    if value is None:
        raise Refusal(400, f"Missing required parameter: '{name}'.", "missing_required_parameter", name)
    if not isinstance(value, File):
        raise Refusal(400, f"Invalid type for '{name}': expected a file.", "invalid_type", name)
    if not value.size:
        raise Refusal(400, f"The file '{name}' is empty.", "empty_file", name)
    return value


def character_ids(fields: Fields) -> list[str]:
    """Return the ids of `characters`, an array of objects with an id and nothing else. Raises Refusal."""
    value = fields.get("characters", [])
    if not isinstance(value, list):
        raise Refusal(400, "Invalid type for 'characters': expected an array of objects.", "invalid_type", "characters")
    if len(value) > MAX_CHARACTERS:
        message = f"Invalid 'characters': expected at most {MAX_CHARACTERS}, got {len(value)}."
        raise Refusal(400, message, "array_above_max_length", "characters")
    return [_id_in(item, f"characters[{index}]") for index, item in enumerate(value)]


def video_source(fields: Fields) -> str | File:
    """Return the `video` of an edit or extension: the id in `{"id": ...}`, or a file. Raises Refusal."""
    value = fields.get("video")
    if isinstance(value, File) or value is None:
        return file(fields, "video")
    return _id_in(value, "video")


def _id_in(value: Any, name: str) -> str:
    if not isinstance(value, dict):
        raise Refusal(400, f"Invalid type for '{name}': expected an object.", "invalid_type", name)
    for key in value:
        if key != "id":
            raise Refusal(400, f"Unknown parameter: '{name}.{key}'.", "unknown_parameter", f"{name}.{key}")
    return text(value, "id", 1000)


def blocked(param: str) -> Refusal:
    """Build the Refusal for a field whose content moderation blocks."""
    return Refusal(400, "Your request was blocked by the moderation system.", "moderation_blocked", param)

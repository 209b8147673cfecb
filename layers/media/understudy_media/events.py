"""Readers for the fields of an event. A wrong field is a Refusal `invalid_request` that names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping

from understudy_media.limits import MAX_PIXELS, MAX_SIDE
from understudy_media.refusal import Refusal


def text(event: Mapping[str, object], name: str) -> str:
    """Return a field that is a string and not empty."""
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal("invalid_request", f"'{name}' must be a string.")
    return value


def texts(event: Mapping[str, object], name: str, most: int) -> list[str]:
    """Return a field that is a list of one to `most` strings."""
    value = event.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= most or not all(isinstance(item, str) for item in value):
        raise Refusal("invalid_request", f"'{name}' must be a list of 1 to {most} strings.")
    return value


def whole(event: Mapping[str, object], name: str, most: int) -> int:
    """Return a field that is a whole number from 0 to `most`."""
    value = event.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Refusal("invalid_request", f"'{name}' must be a whole number from 0 to {most}.")
    return value


def number(event: Mapping[str, object], name: str) -> float:
    """Return a field that is a finite number, 0 or more."""
    value = event.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise Refusal("invalid_request", f"'{name}' must be a number, 0 or more.")
    return float(value)


def size(event: Mapping[str, object]) -> tuple[int, int] | None:
    """Return the fields `width` and `height` of a picture in pixels, or None if both are missing."""
    if "width" not in event and "height" not in event:
        return None
    width, height = whole(event, "width", MAX_SIDE), whole(event, "height", MAX_SIDE)
    if not 0 < width * height <= MAX_PIXELS:
        raise Refusal("invalid_request", f"'width' times 'height' must be 1 to {MAX_PIXELS}.")
    return width, height

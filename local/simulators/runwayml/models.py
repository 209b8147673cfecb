"""The fields of each model's requests (runwayml 5.24.0), and the price of a second in credits.

A test compares the names, the required fields and the ratios with the SDK's types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], str | None]  # returns what is wrong with a value, or None


def text(limit: int) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "Invalid input: expected string"
        length = len(value.encode("utf-16-le")) // 2
        return None if 0 < length <= limit else f"Too big: expected string to have 1 to {limit} characters"

    return check


def choice(*allowed: Any) -> Check:
    def check(value: Any) -> str | None:
        known = value in allowed and not isinstance(value, bool)
        return None if known else "Invalid option: expected one of " + "|".join(repr(one) for one in allowed)

    return check


def whole(low: int, high: int, *, auto: bool = False) -> Check:
    def check(value: Any) -> str | None:
        if auto and value == "auto":
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            return "Invalid input: expected int"
        return None if low <= value <= high else f"Invalid input: expected a number from {low} to {high}"

    return check


def flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "Invalid input: expected boolean"


def uri(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "Invalid input: expected string"


def files(most: int, *, kind: str | None = None) -> Check:
    """Return a check for a list of {uri}, or, with a `kind`, a list of {type, uri}."""
    keys = {"uri"} if kind is None else {"type", "uri"}

    def check(value: Any) -> str | None:
        if not isinstance(value, list) or not all(isinstance(one, dict) and set(one) == keys for one in value):
            return f"Invalid input: expected an array of objects with {' and '.join(sorted(keys))}"
        if any(one.get("type") != kind or uri(one["uri"]) for one in value):
            return f"Invalid input: expected type {kind!r} and a string as uri"
        return None if 0 < len(value) <= most else f"Too big: expected array to have 1 to {most} items"

    return check


def images(*positions: str, references: int = 0) -> Check:
    """Return a check for `promptImage`: a URI, or a list of {uri, position}.

    An entry without a position is a reference, if the model takes references.
    """

    def check(value: Any) -> str | None:
        if isinstance(value, str):
            return uri(value)
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            return "Invalid input: expected a string or an array of objects"
        if any(uri(one.get("uri")) or not set(one) <= {"uri", "position"} for one in value):
            return "Invalid input: expected objects with uri and position"
        named = [one["position"] for one in value if "position" in one]
        if named and len(named) < len(value) and references:
            return "Keyframes and reference images cannot be mixed"
        if not named:
            return None if len(value) <= references else "Invalid input: expected a position"
        fits = len(named) == len(value) and set(named) <= set(positions) and len(set(named)) == len(named)
        return None if fits else f"Invalid option: expected position to be one of {'|'.join(positions)}, each once"

    return check


def moderation(value: Any) -> str | None:
    fits = isinstance(value, dict) and set(value) <= {"publicFigureThreshold"}
    return choice("auto", "low")(value.get("publicFigureThreshold", "auto")) if fits else "Invalid input"


def not_simulated(_: Any) -> str | None:
    return "The simulator does not have this field"


@dataclass(frozen=True)
class Request:
    """A model's request at one endpoint.

    `clip_seconds` are the shortest and the longest reference video, and the limit of all together.
    """

    required: dict[str, Check]
    optional: dict[str, Check] = field(default_factory=dict)
    clip_seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    source_seconds: tuple[float, float] = (0.0, 60.0)


HD = ("1280:720", "720:1280")
FULL_HD = (*HD, "1080:1920", "1920:1080")
GEN4_IMAGE = (*HD, "1104:832", "960:960", "832:1104", "1584:672")
OMNI = ("640:360", "360:640", *HD, "1920:1080", "1080:1920", "3840:2160", "2160:3840")
_SEEDANCE_480 = ("992:432", "864:496", "752:560", "640:640", "560:752", "496:864")
_SEEDANCE_480_5 = ("992:432", "854:480", "752:560", "640:640", "560:752", "480:854")
_SEEDANCE_720 = ("1470:630", "1280:720", "1112:834", "960:960", "834:1112", "720:1280")
_SEEDANCE_1080 = ("2206:946", "1920:1080", "1664:1248", "1440:1440", "1248:1664", "1080:1920")
_SEEDANCE_4K = ("3840:1646", "3840:2160", "3840:2880", "3840:3840", "2880:3840", "2160:3840")
SEEDANCE = (*_SEEDANCE_480, *_SEEDANCE_720, *_SEEDANCE_1080, *_SEEDANCE_4K)
SEEDANCE_SMALL = (*_SEEDANCE_480, *_SEEDANCE_720)
SEEDANCE_5 = (*_SEEDANCE_480_5, *_SEEDANCE_720, *_SEEDANCE_1080)

_SEED = {"seed": whole(0, 2**32 - 1)}
_RUNWAY = {
    **_SEED,
    "contentModeration": moderation,
    "outputFormat": choice("mp4"),
    "proresProfile": not_simulated,
}
_VEO = {**_SEED, "duration": choice(4, 6, 8), "audio": flag, "negativePrompt": text(1000)}
_AUDIO = {"audio": flag, "referenceAudio": not_simulated}
_REFERENCES = {"references": files(9), "referenceVideos": files(15, kind="video")}
_DRAFT = {"draft": choice(False), "outputFormat": choice("mp4")}


def _seedance(ratios: tuple[str, ...]) -> dict[str, Check]:
    return {**_SEED, **_AUDIO, "duration": whole(4, 15, auto=True), "ratio": choice(*ratios)}


def _seedance_text(ratios: tuple[str, ...]) -> Request:
    return Request({"promptText": text(3500)}, {**_seedance(ratios), **_REFERENCES}, (1.8, 15.1, 15.1))


def _seedance_image(ratios: tuple[str, ...]) -> Request:
    optional = {**_seedance(ratios), "promptText": text(3500)}
    return Request({"promptImage": images("first", "last", references=9)}, optional)


_SEEDANCE_5 = {
    **_SEED,
    **_AUDIO,
    **_DRAFT,
    "duration": whole(4, 30, auto=True),
    "ratio": choice(*SEEDANCE_5),
    "promptText": text(15_000),
}
_REFERENCES_5 = {"references": files(30), "referenceVideos": files(30, kind="video")}
_OMNI = {"duration": whole(3, 10, auto=True), "ratio": choice(*OMNI)}
_MODE = choice("reference", "extend", "edit")

REQUESTS: dict[str, dict[str, Request]] = {
    "text_to_video": {
        "gen4.5": Request({"promptText": text(1000), "ratio": choice(*HD), "duration": whole(2, 10)}, _RUNWAY),
        "veo3.1": Request({"promptText": text(1000), "ratio": choice(*FULL_HD)}, _VEO),
        "veo3.1_fast": Request({"promptText": text(1000), "ratio": choice(*FULL_HD)}, _VEO),
        "gemini_omni_flash_1.1": Request(
            {"promptText": text(32_000)},
            {**_OMNI, "references": files(6), "referenceVideos": files(3)},
            (0.0, 3.1, 9.3),
        ),
        "seedance2": _seedance_text(SEEDANCE),
        "seedance2_fast": _seedance_text(SEEDANCE_SMALL),
        "seedance2_mini": _seedance_text(SEEDANCE_SMALL),
        "seedance2_5": Request({}, {**_SEEDANCE_5, **_REFERENCES_5, "draftTaskId": not_simulated}, (1.8, 30.1, 30.1)),
    },
    "image_to_video": {
        "gen4.5": Request(
            {
                "promptText": text(1000),
                "promptImage": images("first"),
                "ratio": choice(*GEN4_IMAGE),
                "duration": whole(2, 10),
            },
            _RUNWAY,
        ),
        "veo3.1": Request(
            {"promptImage": images("first", "last"), "ratio": choice(*FULL_HD)}, {**_VEO, "promptText": text(1000)}
        ),
        "veo3.1_fast": Request(
            {"promptImage": images("first", "last"), "ratio": choice(*FULL_HD)}, {**_VEO, "promptText": text(1000)}
        ),
        "gemini_omni_flash_1.1": Request({"promptText": text(32_000), "promptImage": images("first", "last")}, _OMNI),
        "seedance2": _seedance_image(SEEDANCE),
        "seedance2_fast": _seedance_image(SEEDANCE_SMALL),
        "seedance2_mini": _seedance_image(SEEDANCE_SMALL),
        "seedance2_5": Request({"promptImage": images("first", "last", references=30)}, _SEEDANCE_5),
    },
    "video_to_video": {
        "aleph2": Request(
            {"videoUri": uri},
            {
                **_RUNWAY,
                "promptText": text(32_000),
                "keyframes": not_simulated,
                "ratio": not_simulated,
                "targetAspectRatio": not_simulated,
            },
            source_seconds=(1.9, 30.1),
        ),
        "gemini_omni_flash_1.1": Request(
            {"promptText": text(32_000), "videoUri": uri},
            {**_OMNI, "mode": _MODE, "references": files(6)},
            source_seconds=(0.0, 10.1),
        ),
        "seedance2_5": Request(
            {"promptVideo": uri}, {**_SEEDANCE_5, **_REFERENCES_5, "mode": _MODE}, (1.8, 30.1, 30.1), (1.8, 30.1)
        ),
    },
}

_CREDITS = {
    "gen4.5": 12,
    "veo3.1": 40,
    "veo3.1_fast": 15,
    "gemini_omni_flash_1.1": 10,  # the price of 1.0: that of 1.1 was not found
    "seedance2_fast": 29,
    "seedance2_mini": 16,
    "aleph2": 28,
}


def price(model: str, width: int, height: int) -> int:
    """Return the price of a second of video of this size, in credits."""
    size = f"{width}:{height}"
    if model == "seedance2":
        return 150 if size in _SEEDANCE_4K else 40 if size in _SEEDANCE_1080 else 36
    if model == "seedance2_5":
        return 68 if size in _SEEDANCE_1080 else 20 if size in _SEEDANCE_480_5 else 30
    return _CREDITS[model]


def combined(endpoint: str, model: str, body: dict[str, Any]) -> tuple[str, str] | None:
    """Check fields that exclude or require each other. Return (field, sentence) for an error, else None."""
    if model != "seedance2_5" or endpoint != "video_to_video":
        return None
    mode = body.get("mode", "reference")
    if mode in {"extend", "edit"} and "promptText" not in body:
        return "promptText", f"promptText is required when mode is {mode}"
    if mode in {"extend", "edit"} and "ratio" in body:
        return "ratio", f"ratio may not be provided when mode is {mode}"
    if mode == "edit" and body.get("duration") != "auto":
        return "duration", 'duration must be "auto" when mode is edit'
    return None

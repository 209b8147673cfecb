"""The rules of the create operations (the vendor's documents, copies of 2026-09-20)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.simulators.shared.errors import Refusal

RATIOS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1)}
RESOLUTIONS = {"720p": 720, "1080p": 1080, "4k": 2160}
VIDEO_SECONDS, O1_VIDEO_SECONDS, ELEMENT_SECONDS = (2.9, 15.6), (2.9, 10.1), (2.9, 8.1)  # with room for a frame
_LONG = tuple(range(3, 16))
_KINDS = {
    "prompt": {"text"},
    "first_frame": {"url", "id"},
    "last_frame": {"url", "id"},
    "refer_image": {"url", "id"},
    "feature_video": {"url", "id"},
    "base_video": {"url", "id"},
    "element": {"element_id", "id"},
}


@dataclass(frozen=True)
class Model:
    """Limits and prices of a model. `audio` and `multi_shot` tell which settings the model has.

    `rates` are units a second for each resolution: silent, with native audio, and with a video as input.
    """

    families: tuple[str, ...]
    seconds: tuple[int, ...]
    rates: Mapping[str, tuple[float, float, float]]
    audio: tuple[str, ...] = ()
    multi_shot: bool = False
    prompt: int = 3072
    kinds: tuple[str, ...] = ("prompt", "first_frame", "last_frame")


_PLAIN = ("text-to-video", "image-to-video")
_O3 = {"720p": (0.6, 0.8, 0.9), "1080p": (0.8, 1.0, 1.2), "4k": (3.0, 3.0, 3.0)}
_V3 = {"720p": (0.6, 0.9, 0), "1080p": (0.8, 1.2, 0), "4k": (3.0, 3.0, 0)}
MODELS = {
    "kling-3.0-omni": Model(("omni-video",), _LONG, _O3, ("native", "original", "off"), True, kinds=tuple(_KINDS)),
    "kling-o1": Model(
        ("omni-video",),
        tuple(range(3, 11)),
        {"720p": (0.6, 0, 0.9), "1080p": (0.8, 0, 1.2)},
        ("original", "off"),
        prompt=2500,
        kinds=tuple(_KINDS),
    ),
    "kling-3.0": Model(_PLAIN, _LONG, _V3, ("native", "off"), True, kinds=(*tuple(_KINDS)[:3], "element")),
    "kling-3.0-turbo": Model(
        _PLAIN, _LONG, {"720p": (0.8, 0.8, 0), "1080p": (1.0, 1.0, 0)}, kinds=("prompt", "first_frame")
    ),
    "kling-2.6": Model(_PLAIN, (5, 10), {"720p": (0.3, 0, 0), "1080p": (0.5, 1.0, 0)}, ("native", "off"), prompt=2500),
    "kling-2.5-turbo": Model(_PLAIN, (5, 10), {"720p": (0.3, 0, 0), "1080p": (0.5, 0, 0)}, prompt=2500),
}


def invalid(message: str) -> Refusal:
    return Refusal(400, message, "1201")


@dataclass(frozen=True)
class Content:
    """An entry of `contents`; `place` is a prompt, a URL, base64 or an element's id."""

    kind: str
    place: str
    id: str | None


@dataclass(frozen=True)
class Wish:
    """A create request that was checked, except for its files and elements."""

    name: str
    model: Model
    prompt: str
    contents: tuple[Content, ...]
    resolution: str
    ratio: str | None
    seconds: int
    audio: str
    external_id: str | None

    def of(self, *kinds: str) -> list[Content]:
        return [content for content in self.contents if content.kind in kinds]


def wish(family: str, name: str, document: Any) -> Wish:
    """Parse and check a create request, without opening its files. Raises Refusal."""
    model = MODELS.get(name)
    if model is None or family not in model.families:
        raise Refusal(404, f"The model '{name}' does not exist or has no {family}.", "1203")
    wants_contents = family != "text-to-video"
    fields = only(document, {"contents" if wants_contents else "prompt", "settings", "options"}, "the body")
    contents = _contents(fields.get("contents"), model, family) if wants_contents else ()
    words = [content.place for content in contents if content.kind == "prompt"]
    if wants_contents and len(words) != 1:
        raise invalid("contents: exactly one prompt is needed.")
    prompt = text({"prompt": words[0]} if words else fields, "prompt", model.prompt)
    known = {"resolution", "duration"} | ({"aspect_ratio"} if family != "image-to-video" else set())
    known |= ({"audio"} if model.audio else set()) | ({"multi_shot"} if model.multi_shot else set())
    settings = only(fields.get("settings", {}), known, "settings")
    options = only(fields.get("options", {}), {"callback_url", "external_task_id", "watermark_info"}, "options")
    if options.get("callback_url"):
        raise Refusal(501, "The simulator has no callbacks.", "501")
    external = text(options, "external_task_id", 128) if options.get("external_task_id") else None
    checked = Wish(
        name=name,
        model=model,
        prompt=prompt,
        contents=tuple(content for content in contents if content.kind != "prompt"),
        resolution=choice(settings, "resolution", tuple(model.rates), "720p"),
        ratio=choice(settings, "aspect_ratio", tuple(RATIOS), None),
        seconds=_seconds(settings, model),
        audio=choice(settings, "audio", model.audio, "off") or "off",
        external_id=external,
    )
    _combinations(family, checked, settings.get("multi_shot", model.multi_shot))
    return checked


def _combinations(family: str, wish: Wish, multi_shot: Any) -> None:
    """Check which fields exclude each other, and how many contents of each type there are. Raises Refusal."""
    if not isinstance(multi_shot, bool):
        raise invalid("settings.multi_shot must be a boolean.")
    frames, videos = wish.of("first_frame", "last_frame"), wish.of("feature_video", "base_video")
    elements, images = wish.of("element"), wish.of("refer_image")
    if wish.of("last_frame") and not wish.of("first_frame"):
        raise invalid("A last frame alone is not supported.")
    if family == "image-to-video" and not frames:
        raise invalid("contents: a first_frame is required.")
    if family == "omni-video" and not wish.of("first_frame") and not videos and wish.ratio is None:
        raise invalid("settings.aspect_ratio is required without a first frame or a reference video.")
    if len(videos) > 1 or len(wish.of("first_frame")) > 1:
        raise invalid("contents: at most one first frame and one reference video.")
    if wish.of("base_video") and (frames or multi_shot or wish.audio == "native"):
        raise invalid("A base_video excludes frames, multi_shot and native audio.")
    if wish.of("feature_video") and wish.model.multi_shot and (not multi_shot or wish.audio != "off"):
        raise invalid("A feature_video needs multi_shot and audio off.")
    if wish.audio == "native" and not wish.model.rates[wish.resolution][1]:
        raise invalid(f"Native audio is not supported in {wish.resolution}.")
    if len(elements) + len(images) > (4 if videos else 7) or (frames and len(elements) > 3):
        raise invalid("contents: too many elements and reference images.")
    ids = [content.id for content in wish.contents if content.id is not None]
    for n, one in enumerate(ids):
        if any(one in other or other in one for other in ids[:n]):
            raise invalid(f"contents: the id '{one}' is a part of another one, or another of it.")


def _contents(value: Any, model: Model, family: str) -> tuple[Content, ...]:
    if not isinstance(value, list) or not value:
        raise invalid("contents: expected a list.")
    found = []
    for entry in value:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if kind not in model.kinds:
            raise invalid(f"contents: the type {kind!r} is not supported.")
        names = _KINDS[kind] - ({"id"} if family == "image-to-video" and kind != "element" else set())
        content = only(entry, names | {"type"}, f"contents ({kind})")
        place = text(content, {"prompt": "text", "element": "element_id"}.get(kind, "url"), 80_000_000)
        identity = content.get("id")
        if (kind == "element" and identity is None) or (identity is not None and not isinstance(identity, str)):
            raise invalid(f"contents ({kind}): id must be a string.")
        found.append(Content(kind, place, identity))
    return tuple(found)


def _seconds(settings: dict[str, Any], model: Model) -> int:
    value = settings.get("duration", 5)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid("settings.duration must be an integer.")
    if value not in model.seconds:
        raise invalid(f"settings.duration must be one of {', '.join(map(str, model.seconds))}.")
    return value


def cited(prompt: str, wish: Wish) -> None:
    """Check that the prompt mentions every element. Raises Refusal.

    The real API ignores an element that the prompt does not mention, which hides a mistake.
    """
    for content in wish.of("element"):
        if not re.search(rf"@{re.escape(content.id or '')}(?!\w)", prompt):
            raise invalid(f"The prompt does not mention @{content.id}.")


def only(value: Any, names: set[str], where: str) -> dict[str, Any]:
    """Return an object without its null fields. Raises Refusal if the object has fields that are not in `names`."""
    if not isinstance(value, dict):
        raise invalid(f"{where}: expected an object.")
    for name in value:
        if name not in names:
            raise invalid(f"{where}: unknown field '{name}'.")
    return {name: item for name, item in value.items() if item is not None}


def text(fields: dict[str, Any], name: str, longest: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise invalid(f"{name}: expected a string of 1 to {longest} characters.")
    return value


def choice(fields: dict[str, Any], name: str, allowed: tuple[str, ...], default: Any) -> Any:
    value = fields.get(name, default)
    if value is not default and value not in allowed:
        raise invalid(f"{name} value '{value}' is invalid: one of {', '.join(allowed)}.")
    return value


def pixels(ratio: str, resolution: str) -> tuple[int, int]:
    """Return width and height; the shorter side is the resolution."""
    across, down = RATIOS[ratio]
    lines = RESOLUTIONS[resolution]
    return (lines * across // min(across, down), lines * down // min(across, down))

"""The rules for a request, from the types and checks of the vendor's client (mmx-cli 1.0.27) and its reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.simulators.shared.errors import Refusal

PROMPT = 7000
MOST = {"image_url": 9, "video_url": 3, "audio_url": 3}
RATIOS = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
# 480P and 768P as resellers published them; their sides are multiples of 32. Of 2K only 16:9 and 9:16 are known.
_PIXELS = {
    "480P": ((960, 416), (832, 480), (640, 480), (480, 480), (480, 640), (480, 832)),
    "768P": ((1536, 672), (1344, 768), (1024, 768), (768, 768), (768, 1024), (768, 1344)),
    "2K": ((2560, 1088), (2560, 1440), (2048, 1536), (2048, 2048), (1536, 2048), (1440, 2560)),
}
_FIELDS = {"model", "content", "resolution", "duration", "ratio", "aigc_watermark", "callback_url", "extra"}
_ROLES = {
    "image_url": ("first_frame", "last_frame", "reference_image"),
    "video_url": ("reference_video",),
    "audio_url": ("reference_audio",),
}


@dataclass(frozen=True)
class Model:
    """Limits of a model; the first resolution is the default."""

    resolutions: tuple[str, ...]
    seconds: tuple[int, int]
    references: bool


MODELS = {
    "MiniMax-H3": Model(("2K", "768P"), (4, 15), references=True),
    "MiniMax-H3-Max": Model(("768P", "480P"), (5, 15), references=False),
}


@dataclass
class Wish:
    """A checked request; `files` are pairs of role and URL, in the order of the request."""

    model: str
    prompt: str
    resolution: str
    seconds: int
    ratio: str
    files: list[tuple[str, str]] = field(default_factory=list)

    def of(self, role: str) -> list[str]:
        return [url for found, url in self.files if found == role]


def invalid(message: str) -> Refusal:
    return Refusal(400, f"invalid params, {message}", "2013")


def wish(document: Any, retired: tuple[str, ...]) -> Wish:
    """Parse and check a request. Raises Refusal for a request that the vendor's client would not send."""
    if not isinstance(document, dict):
        raise invalid("the body must be an object")
    if unknown := sorted(set(document) - _FIELDS):
        raise invalid(f"unknown field {unknown[0]}")
    name = document.get("model")
    if not isinstance(name, str) or name not in MODELS or name in retired:
        raise invalid(f"unsupported model {name}")
    model = MODELS[name]
    if "callback_url" in document:
        raise invalid("the simulator calls nobody back")
    for option, kind in (("aigc_watermark", bool), ("extra", dict)):
        if option in document and not isinstance(document[option], kind):
            raise invalid(f"{option} must be a {kind.__name__}")
    resolution = document.get("resolution", model.resolutions[0])
    if resolution not in model.resolutions:
        raise invalid(f"resolution must be one of {', '.join(model.resolutions)} for {name}")
    seconds, (low, high) = document.get("duration", 5), model.seconds
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not low <= seconds <= high:
        raise invalid(f"duration must be an integer from {low} to {high} for {name}")
    prompt, files = _content(document.get("content"))
    _combined(name, model, files)
    ratio = document.get("ratio", "adaptive" if files else None)
    if ratio not in ("adaptive", *RATIOS):
        raise invalid("ratio must be one of adaptive, " + ", ".join(RATIOS))
    if ratio == "adaptive" and not files:
        raise invalid("text-to-video needs a concrete ratio, adaptive is not supported")
    return Wish(name, prompt, resolution, seconds, ratio, files)


def _content(content: Any) -> tuple[str, list[tuple[str, str]]]:
    """Return the text, and the files as pairs of role and URL. Raises Refusal."""
    if not isinstance(content, list):
        raise invalid("content must be an array")
    texts: list[str] = []
    files: list[tuple[str, str]] = []
    images = sum(isinstance(item, dict) and item.get("type") == "image_url" for item in content)
    for item in content:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "text" and set(item) == {"type", "text"} and isinstance(item["text"], str):
            texts.append(item["text"])
            continue
        if kind not in _ROLES or not set(item) <= {"type", kind, "role"}:
            raise invalid("each item of content must be a text, an image_url, a video_url or an audio_url")
        given = item.get(kind)
        url = given.get("url") if isinstance(given, dict) and set(given) == {"url"} else None
        role = item.get("role", "first_frame" if kind == "image_url" and images == 1 else None)
        if role not in _ROLES[kind]:
            raise invalid(f"the role of an {kind} must be one of {', '.join(_ROLES[kind])}")
        if not isinstance(url, str) or not url:
            raise invalid(f"{kind} must have a url")
        files.append((role, url))
    if not any(text.strip() for text in texts):
        raise invalid("content must include a non-empty text item (prompt is required)")
    if any(len(text) > PROMPT for text in texts):
        raise invalid(f"text must have at most {PROMPT} characters")
    return " ".join(texts), files


def _combined(name: str, model: Model, files: list[tuple[str, str]]) -> None:
    """Check which files exclude each other, and how many of each kind there are. Raises Refusal."""
    roles = [role for role, _ in files]
    frames = [role for role in roles if role.endswith("_frame")]
    references = [role for role in roles if role.startswith("reference_")]
    if len(frames) != len(set(frames)):
        raise invalid("at most one first_frame and one last_frame")
    if frames and references:
        raise invalid("frames and references cannot be used together")
    if references and not model.references:
        raise invalid(f"{name} does not support references")
    for kind, most in MOST.items():
        if references.count(f"reference_{kind.removesuffix('_url')}") > most:
            raise invalid(f"at most {most} references of the type {kind}")
    if "reference_audio" in references:
        if set(references) == {"reference_audio"}:
            raise invalid("reference_audio needs a reference_image or a reference_video")
        raise invalid("the simulator takes no sounds")


def pixels(resolution: str, ratio: str) -> tuple[int, int]:
    return _PIXELS[resolution][RATIOS.index(ratio)]


def nearest(width: int, height: int) -> str:
    """Return the ratio that is nearest to this shape."""

    def distance(ratio: str) -> float:
        wide, high = map(int, ratio.split(":"))
        return abs(width * high / (height * wide) - 1)

    return min(RATIOS, key=distance)

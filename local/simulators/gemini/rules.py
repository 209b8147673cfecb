"""The rules for a video interaction: from Google's documents, else as callers saw them (providers/gemini.py)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from local.simulators.shared.errors import Refusal

RATIOS = ("16:9", "9:16")
RESOLUTIONS = {"360p": (360, 1931), "720p": (720, 5792), "1080p": (1080, 8688), "4k": (2160, 17376)}  # lines, tokens/s
TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend")
MAX_CLIPS, MAX_IMAGES, CLIP_SECONDS, SOURCE_SECONDS = 3, 6, 3.2, 10.2  # with room for the last frame
IMAGES = tuple(f"image/{kind}" for kind in ("png", "jpeg", "webp", "heic", "heif", "gif", "bmp", "tiff"))
VIDEOS = tuple(f"video/{kind}" for kind in ("mp4", "mpeg", "mpg", "mov", "avi", "x-flv", "webm", "wmv", "3gpp"))

_FIELDS = {
    "model", "input", "background", "store", "previous_interaction_id", "generation_config", "response_format",
    "labels", "service_tier",
}  # fmt: skip
_NOT_SIMULATED = {"stream", "webhook_config", "tools", "agent"}
_UNSUPPORTED = {"system_instruction", "safety_settings", "cached_content", "response_modalities"}
_FORMAT = {"type", "aspect_ratio", "resolution", "duration", "delivery"}
_ITEM = {"text": {"text"}, "image": {"mime_type", "data", "uri"}, "video": {"mime_type", "data", "uri", "name"}}


@dataclass(frozen=True)
class Model:
    """Limits in seconds: of a new video (`longest`), a source (`source`) and an extended video (`whole`)."""

    longest: int
    source: float
    whole: int


MODELS = {"gemini-omni-1.2-flash": Model(15, 15.2, 30), "gemini-omni-1.1-flash": Model(10, SOURCE_SECONDS, 40)}


@dataclass(frozen=True)
class Item:
    """An input file: `kind` is image, video or document; exactly one of `data` (base64) and `uri` is set."""

    kind: str
    data: str | None
    uri: str | None


@dataclass(frozen=True)
class Wish:
    """A request that was checked, except for its files."""

    model: str
    prompt: str
    items: tuple[Item, ...]
    task: str | None
    previous: str | None
    ratio: str | None
    resolution: str
    seconds: int | None
    delivery: str
    background: bool
    store: bool


def invalid(message: str) -> Refusal:
    """Build a 400 of the Interactions layer, whose codes are words in lower case."""
    return Refusal(400, message, "invalid_request")


def wish(document: Any, retired: tuple[str, ...]) -> Wish:
    """Parse and check a request, without opening its files. Raises Refusal."""
    fields = _only(document, _FIELDS, "the request")
    model = _text(fields, "model")
    if model in retired:
        raise Refusal(404, f"This model models/{model} is no longer available. Please use a newer model.", "not_found")
    if model not in MODELS:
        raise Refusal(404, f"models/{model} is not found for API version v1beta.", "not_found")
    output = fields.get("response_format", {"type": "video"})
    output = _only(output[0] if isinstance(output, list) and output else output, _FORMAT, "response_format")
    if output.get("type") != "video":
        raise invalid("response_format.type: this model makes video only.")
    prompt, items = _input(fields.get("input"))
    config = _only(fields.get("generation_config", {}), {"video_config", "seed", "thinking_level"}, "generation_config")
    task = _only(config.get("video_config", {}), {"task"}, "video_config").get("task")
    if task is not None and task not in TASKS:
        raise invalid(f"Invalid value for video_config.task: {task!r}.")
    background, store = _flag(fields, "background", False), _flag(fields, "store", True)
    delivery = _choice(output, "delivery", ("inline", "uri")) or "inline"
    if not store and (background or delivery == "uri"):
        raise invalid("background and delivery 'uri' require store=true.")
    checked = Wish(
        model=model,
        prompt=prompt,
        items=items,
        task=task,
        previous=_text(fields, "previous_interaction_id") if "previous_interaction_id" in fields else None,
        ratio=_choice(output, "aspect_ratio", RATIOS),
        resolution=_choice(output, "resolution", tuple(RESOLUTIONS)) or "720p",
        seconds=_duration(output.get("duration"), 10 if task == "extend" else MODELS[model].longest),
        delivery=delivery,
        background=background,
        store=store,
    )
    _combinations(checked)
    return checked


def _combinations(checked: Wish) -> None:
    if checked.previous and checked.task:
        raise invalid("previous_interaction_id is not allowed when video task is set.")
    for given, name, tasks in (
        (checked.seconds, "Duration", ("edit",)),
        (checked.ratio, "Aspect ratio", ("edit", "extend")),
    ):
        if given is not None and checked.task in tasks:
            raise invalid(f"{name} cannot be set in response format for {checked.task} task.")


def tags(prompt: str, images: int, clips: int) -> None:
    """Check that every input that the prompt refers to exists. Raises Refusal."""
    for kind, count in (("IMAGE", images), ("VIDEO", clips)):
        cited = [int(number) for number in re.findall(rf"<{kind}_REF_(\d+)>", prompt)]
        declared = [int(number) - 1 for number in re.findall(rf"@{kind.title()}(\d+)\b", prompt)]
        if any(number >= count for number in cited + declared):
            raise invalid(f"The prompt refers to {kind.lower()} inputs that were not provided.")


def _input(value: Any) -> tuple[str, tuple[Item, ...]]:
    """Return the text and the files of `input`: a string, contents, or user_input steps with contents."""
    if isinstance(value, str):
        value = [{"type": "text", "text": value}]
    if not isinstance(value, list) or not value:
        raise invalid("input: expected a string or a list of contents.")
    contents: list[Any] = []
    for entry in value:
        is_step = isinstance(entry, dict) and entry.get("type") == "user_input"
        contents += _only(entry, {"type", "content"}, "input").get("content", []) if is_step else [entry]
    texts, items = [], []
    for entry in contents:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if kind not in (*_ITEM, "document"):
            raise invalid(f"input: unknown content type {kind!r}.")
        content = _only(entry, {"type"} | _ITEM.get(kind, {"mime_type", "uri"}), "input")
        if kind == "text":
            texts.append(_text(content, "text"))
        else:
            items.append(_item(kind, content))
    if not texts:
        raise invalid("input: a text prompt is required.")
    return " ".join(texts), tuple(items)


def _item(kind: str, content: dict[str, Any]) -> Item:
    data, uri, mime_type = content.get("data"), content.get("uri"), content.get("mime_type")
    known = {"image": IMAGES, "video": VIDEOS}.get(kind)
    if known and mime_type is not None and mime_type not in known:
        raise invalid(f"Unsupported MIME type: {mime_type}.")
    if (data is None) == (uri is None) or not isinstance(data or uri, str):
        raise invalid(f"input: a {kind} needs exactly one of data and uri.")
    if data is not None and mime_type is None:
        raise invalid(f"input: {kind} data needs a mime_type.")
    return Item(kind, data, uri)


def _duration(value: Any, longest: int) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)(?:\.0+)?s", value) if isinstance(value, str) else None
    if found is None:  # a protobuf Duration is a string with a unit; a plain number is invalid
        raise invalid(f"Invalid value at 'response_format.duration' (Duration): {value!r}.")
    if not 3 <= int(found[1]) <= longest:
        bound = f"exceeds the maximum allowed {longest}s" if int(found[1]) > 3 else "is below the minimum of 3s"
        raise invalid(f"The requested duration {value} {bound}.")
    return int(found[1])


def _only(value: Any, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{where}: expected an object.")
    for name in value:
        if name in _NOT_SIMULATED and value[name]:
            raise Refusal(501, f"The simulator has no {name}.", "unimplemented")
        if name in _UNSUPPORTED:
            raise invalid(f"{name} is not supported for this model.")
        if name not in names | _NOT_SIMULATED:
            raise invalid(f"Unknown parameter {name!r} in {where}.")
    return {name: item for name, item in value.items() if item is not None}


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"{name}: expected a string that is not empty.")
    return value


def _flag(fields: dict[str, Any], name: str, default: bool) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise invalid(f"{name}: expected true or false.")
    return value


def _choice(fields: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    value = fields.get(name)
    if value is not None and value not in allowed:
        raise invalid(f"Invalid value for response_format.{name}: {value!r}. Allowed: {', '.join(allowed)}.")
    return value

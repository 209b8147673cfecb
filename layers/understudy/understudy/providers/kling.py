"""Kling's own API: https://api-singapore.klingai.com, in China https://api-beijing.klingai.com (the base_url).

    operation          call                                                       response, in {code, message, data}
    create             POST {base}/omni-video/{model}; models that are not omni   {id, status}
                       have text-to-video and image-to-video
    edit               POST {base}/omni-video/{model} with a base_video           {id, status}
    poll, find         GET {base}/tasks?task_ids= or ?external_task_ids=          [{id, status, outputs, billing}]
    content            GET outputs[].url, without our key                         the file, for 30 days
    make_character     POST {base}/v1/general/advanced-custom-elements            {task_id, task_status}
    poll_character     GET {base}/v1/general/advanced-custom-elements/{task_id}   elements[0].element_id, an int64
    delete_character   POST {base}/v1/general/delete-advanced-elements, or        (the documents differ)
                       {base}/v1/general/delete-elements

    Kling's state                                       our state
    submitted                                           queued
    processing, any unknown word                        in_progress
    succeeded, or succeed, with a video                 completed
    failed; succeeded without a video                   failed; moderation_blocked for messages about risk or policy

Kling calls characters elements. They are made of a frontal picture and up to three more, so animals and things work,
too. With the option `elements = "video"` they are made of the clip: 3 to 8 s, 1080p, realistic humanoids only. The
prompt cites an element as @Luna, or as Luna (@element_1) if the name cannot be an id. `audio = "off"` makes silent,
cheaper videos with the models that have a choice. Other options: `seconds`, `sizes`, `micro_dollars`, `kept_seconds`,
`deadline_seconds`. There are no square videos, because their size is unpublished.

Sources: the vendor's documents and price list (kling.ai/document-api, copies of 2026-09-20), and what the kling-api
project saw live that day: for an unknown task nothing is listed, older paths return 1201; a second task with the same
external_task_id is a 1201; either path deletes; elements are free; a unit is $0.14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.providers.base import (
    Account,
    CastMember,
    CharacterSupport,
    Content,
    Media,
    NativeCharacter,
    Order,
    Profile,
    Progress,
    Provider,
    SourceLimits,
    Status,
)
from understudy.providers.common import as_dict, at_address, bearer, checked_prompt, dicts, quoted, with_options
from understudy.providers.http import Answer
from understudy.providers.prices import Prices, Rates
from understudy.providers.refusals import clean, says_absent, verdict, words

ELEMENTS = "v1/general/advanced-custom-elements"
DELETE_ELEMENT = ("v1/general/delete-advanced-elements", "v1/general/delete-elements")
MAX_NAME, MAX_VIEWS = 20, 3
MAX_ELEMENTS, MAX_WITH_FRAME, MAX_IN_EDIT = 7, 3, 4  # characters made of pictures; made of clips: 3, 3 and 1
MAX_CLIP_BYTES = 200 * 1024 * 1024
UNIT = 140_000  # micro-dollars

STATUSES: dict[str, Status] = {
    "submitted": "queued",
    "processing": "in_progress",
    "succeeded": "completed",
    "succeed": "completed",
    "failed": "failed",
}
# Kling's codes as the HTTP statuses that mean the same elsewhere; Kling sends arrears and the whitelist as 429.
_CODES = {
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004), 401),
    **dict.fromkeys((1100, 1101, 1102), 402),
    **dict.fromkeys((1103, 1304), 403),
    **dict.fromkeys((1200, 1201, 1300, 1301), 400),
    **dict.fromkeys((1202, 1203), 404),
    **dict.fromkeys((1302, 1303), 429),
    5000: 500,
    5001: 503,
    5002: 504,
}
_PIXELS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
_SIZES = {
    size: (ratio, resolution)
    for resolution, (long, short) in _PIXELS.items()
    for size, ratio in ((f"{short}x{long}", "9:16"), (f"{long}x{short}", "16:9"))
}
_ID = re.compile(r"[\w-]{1,200}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,19}")
_MODERATION = re.compile(r"risk control|sensitive|moderation|content (security )?policy|violat|\bpolicies\b", re.I)
_NO_SUCH = re.compile(r"not (found|exist)", re.I)


@dataclass(frozen=True, slots=True)
class _Model:
    """Facts of a model. Prices are micro-dollars a second by resolution.

    `native`: with sound. `silent`: without sound. `video`: with an input video. `audio`: what `settings.audio` may say
    besides off; '' if the model has no such field.
    """

    seconds: tuple[int, ...]
    native: Mapping[str, int] = field(default_factory=dict)
    silent: Mapping[str, int] = field(default_factory=dict)
    video: Mapping[str, int] = field(default_factory=dict)
    audio: str = ""
    omni: bool = False
    multi_shot: bool = False
    prompt: int = 3072


_LONG, _CHEAP = tuple(range(3, 16)), {"720p": 84_000, "1080p": 112_000, "4k": 420_000}
_VIDEO = {"720p": 126_000, "1080p": 168_000}
_OMNI = _Model(
    _LONG,
    {"720p": 112_000, "1080p": 140_000, "4k": 420_000},
    _CHEAP,
    _VIDEO | {"4k": 420_000},
    "native original",
    omni=True,
    multi_shot=True,
)
_OLD = {"720p": 42_000, "1080p": 70_000}
_MODELS = {
    "kling-3.0-omni": _OMNI,
    "kling-o1": _Model(
        tuple(range(3, 11)), {}, {"720p": 84_000, "1080p": 112_000}, _VIDEO, "original", omni=True, prompt=2500
    ),
    "kling-3.0": _Model(
        _LONG, {"720p": 126_000, "1080p": 168_000, "4k": 420_000}, _CHEAP, audio="native", multi_shot=True
    ),
    "kling-3.0-turbo": _Model(_LONG, {"720p": 112_000, "1080p": 140_000}, prompt=2500),  # always with sound
    "kling-2.6": _Model((5, 10), {"1080p": 140_000}, _OLD, audio="native", prompt=2500),
    "kling-2.5-turbo": _Model((5, 10), {}, _OLD, prompt=2500),
}


class Kling(Provider):
    """Kling's path-per-model API."""

    name = "kling"
    models = tuple(_MODELS)

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        facts = _facts(model)
        clips = options.get("elements") == "video"
        count = MAX_WITH_FRAME if clips else MAX_ELEMENTS
        support = CharacterSupport(
            native=count,
            native_slow=True,
            deletable=True,
            clip_seconds=(3.0, 8.0) if clips else (0.0, 600.0),
            beside_image=MAX_WITH_FRAME,
        )
        sizes = _rates({**facts.silent, **(facts.native if _sound(options) or not facts.silent else {})})
        with_video = _rates(facts.video) if facts.video else None
        profile = Profile(
            seconds=facts.seconds,
            sizes=tuple(sizes),
            default_seconds=4 if 4 in facts.seconds else 5,
            default_size="720x1280",
            prompt_characters=facts.prompt,
            characters=support if facts.omni else CharacterSupport(),
            edit=facts.omni,
            edit_upload=facts.omni,
            edit_source=SourceLimits((3.0, 10.0 if model == "kling-o1" else 15.5), sides=(700, 4553)),
            source_by_clip=True,
            findable=True,
            poll_seconds=5.0,
            deadline_seconds=3600,
            kept_seconds=30 * 24 * 3600,
            # Kling does not say if a character made of a clip counts as an input video. The price assumes that it does.
            prices=Prices(sizes, characters=with_video if clips else None, edit=with_video),
        )
        return with_options(profile, {name: options[name] for name in options if name != "characters"})

    def submit(self, account: Account, order: Order) -> Progress:
        family, fields = _fields(order, _facts(order.model), account.options)
        url = f"{account.base_url}/{family}/{quoted(order.model)}"
        answer = account.http.post(url, bearer(account), json=fields)
        task = _data(account, answer, gone=True)
        if isinstance(task, dict) and (upstream_id := _id(task.get("id"))):
            return _progress(account, upstream_id, task)
        raise OutcomeUnknown("The provider answered without a task.")

    def poll(self, account: Account, upstream_id: str) -> Progress:
        task = _task(account, "task_ids", "id", upstream_id)
        if task is None:
            raise Refused(Reason.NOT_FOUND, "The provider knows no such task.")
        return _progress(account, upstream_id, task)

    def find(self, account: Account, reference: str) -> Progress | None:
        task = _task(account, "external_task_ids", "external_id", reference)
        if task is None:
            return None
        if (upstream_id := _id(task["id"])) is None:
            raise Refused(Reason.UNAVAILABLE, "The provider gave no usable id for the task.")
        return _progress(account, upstream_id, task)

    def open_content(self, account: Account, progress: Progress) -> AbstractContextManager[Content]:
        return at_address(account, progress)

    def make_character(self, account: Account, name: str, clip: Media, stills: tuple[Media, ...]) -> NativeCharacter:
        fields = {
            "element_name": name[:MAX_NAME].strip(),
            "element_description": f"The character {name}"[:100],
            "tag_list": [{"tag_id": "o_102"}],
            **_likeness(account, clip, stills),
        }
        answer = account.http.post(f"{account.base_url}/{ELEMENTS}", bearer(account), json=fields)
        made = _data(account, answer, gone=False)
        if isinstance(made, dict) and (task_id := _id(made.get("task_id"))):
            return NativeCharacter(task_id, ready=False)
        raise OutcomeUnknown("The provider answered without a task.")

    def poll_character(self, account: Account, reference: str) -> NativeCharacter:
        answer = account.http.get(f"{account.base_url}/{ELEMENTS}/{quoted(reference)}", bearer(account))
        task = as_dict(_data(account, answer, gone=False))
        status = STATUSES.get(str(task.get("task_status")), "in_progress")
        if status == "failed":
            said = clean(account, task.get("task_status_msg"))
            message = said or "The provider could not make the character."
            raise Refused(Reason.MODERATION if _MODERATION.search(message) else Reason.INVALID, message)
        made = dicts(as_dict(task.get("task_result")).get("elements"))
        if status != "completed" or not made:
            return NativeCharacter(reference, ready=False)
        element = made[0].get("element_id")
        if made[0].get("status") == "deleted" or not element:
            raise Refused(Reason.NOT_FOUND, "The provider has deleted the character.")
        if (element_id := _id(element)) is None:
            raise Refused(Reason.UNAVAILABLE, "The provider gave no usable id for the character.")
        return NativeCharacter(element_id)  # a number with more digits than a float keeps

    def delete_character(self, account: Account, reference: str) -> None:
        for path in DELETE_ELEMENT:
            url, fields = f"{account.base_url}/{path}", {"element_id": reference}
            answer = account.http.post_free(url, bearer(account), json=fields)
            if answer.status != 404:
                break
        try:
            _data(account, answer, gone=False)
        except Refused as refused:
            if not says_absent(refused):
                raise


def _rates(prices: Mapping[str, int]) -> Rates:
    """Convert prices by resolution to prices by size."""
    return {size: prices[resolution] for size, (_, resolution) in _SIZES.items() if resolution in prices}


def _fields(order: Order, facts: _Model, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the first part of the path, and the order as Kling's fields.

    Raises Refused for what the model cannot combine.
    """
    if len(order.cast) > (most := _most(order, options)):
        beside = " beside a video" if order.source else " with a first frame" if order.image else ""
        message = f"characters: this model takes at most {most}{beside}."
        raise Refused(Reason.INVALID, message, param="characters")
    ratio, resolution = _SIZES.get(order.size or "", ("9:16", None))
    ids = _ids([member.name for member in order.cast])
    prompt = _named(order.prompt, order.cast, ids)
    clip = order.source.clip if order.source else None
    settings: dict[str, Any] = {"resolution": resolution} if resolution else {}
    contents: list[dict[str, Any]] = []
    if order.source:
        contents.append({"type": "base_video", "url": _video_url(clip), "id": "video_1"})
        prompt = prompt if "@video_1" in prompt else f"Edit @video_1: {prompt}"
        settings["audio"] = "original"
    else:
        settings |= {"duration": order.seconds} if order.seconds else {}
        settings |= {} if order.image else {"aspect_ratio": ratio}  # else the frame's ratio
        if "native" in facts.audio:
            settings["audio"] = "native" if _sound(options) and resolution in facts.native else "off"
    prompt = checked_prompt(prompt, facts.prompt)
    if order.image:
        contents.append({"type": "first_frame", "url": order.image.url()})
    contents += [
        {"type": "element", "element_id": member.handle, "id": element}
        for member, element in zip(order.cast, ids, strict=True)
    ]
    if facts.multi_shot:
        settings["multi_shot"] = False  # Kling's default is true; a prompt is one shot unless it says otherwise
    fields: dict[str, Any] = {"settings": settings, "options": {"external_task_id": order.reference}}
    if not facts.omni and not order.image:
        return "text-to-video", {"prompt": prompt, **fields}
    fields["contents"] = [{"type": "prompt", "text": prompt}, *contents]
    return "omni-video" if facts.omni else "image-to-video", fields


def _most(order: Order, options: Mapping[str, Any]) -> int:
    """Return how many characters the order may have, made of clips or of pictures, beside its video or first frame."""
    if options.get("elements") == "video":
        return 1 if order.source else MAX_WITH_FRAME
    return MAX_IN_EDIT if order.source else MAX_WITH_FRAME if order.image else MAX_ELEMENTS


def _video_url(clip: Media | None) -> str:
    if clip is None or clip.mime_type not in {"video/mp4", "video/quicktime"} or clip.size > MAX_CLIP_BYTES:
        raise Refused(Reason.INVALID, "video: this model takes MP4 and MOV files of up to 200 MB.", param="video")
    return clip.url()


def _likeness(account: Account, clip: Media, stills: tuple[Media, ...]) -> dict[str, Any]:
    """Return the fields of what an element is made of: the clip if option and file allow it, else pictures.

    Raises Refused if there is no picture.
    """
    fits = clip.mime_type in {"video/mp4", "video/quicktime"} and clip.size <= MAX_CLIP_BYTES
    if account.options.get("elements") == "video" and fits:
        return {"reference_type": "video_refer", "element_video_list": {"refer_videos": [{"video_url": clip.url()}]}}
    if not stills:
        raise Refused(Reason.INVALID, "The character has no picture.")
    views = [{"image_url": still.url()} for still in stills[1 : 1 + MAX_VIEWS] or stills]  # at least one is wanted
    return {
        "reference_type": "image_refer",
        "element_image_list": {"frontal_image": stills[0].url(), "refer_images": views},
    }


def _ids(names: list[str]) -> list[str]:
    """Return how the prompt cites each character: by name if the name can be an id, else as element_<n>.

    No id may be a part of another id.
    """
    others = ["image_1", "video_1", *(f"element_{n}" for n in range(1, len(names) + 1))]
    ids = []
    for n, name in enumerate(names):
        rest = [other.lower() for other in (*others, *names[:n], *names[n + 1 :])]
        alone = not any(name.lower() in other or other in name.lower() for other in rest)
        ids.append(name if alone and _NAME.fullmatch(name) else f"element_{n + 1}")
    return ids


def _named(prompt: str, cast: tuple[CastMember, ...], ids: list[str]) -> str:
    """Return the prompt with @Luna for each Luna, or with an id behind the first mention.

    Names that the prompt lacks are put in front.
    """
    if not cast:
        return prompt
    cited: dict[str, str] = {}
    for member, element in zip(cast, ids, strict=True):
        cited[member.name] = f"{cited[member.name]} @{element}" if member.name in cited else f"@{element}"
    waiting = dict(cited)
    names = "|".join(re.escape(name) for name in sorted(cited, key=len, reverse=True))

    def cite(match: re.Match[str]) -> str:
        name = match[1]
        first = waiting.pop(name, None)
        return _citation(name, cited[name]) if first or cited[name] == f"@{name}" else match[0]

    text = re.sub(rf"(?<![\w@])@?({names})(?!\w)", cite, prompt)
    missing = " and ".join(_citation(name, element) for name, element in waiting.items())
    return f"Featuring {missing}. {text}" if missing else text


def _citation(name: str, element: str) -> str:
    return element if element == f"@{name}" else f"{name} ({element})"


def _task(account: Account, query: str, key: str, wanted: str) -> dict[str, Any] | None:
    """Return the task with this id, or None. Kling lists nothing for an unknown id."""
    answer = account.http.get(f"{account.base_url}/tasks?{query}={quoted(wanted)}", bearer(account))
    try:
        tasks = dicts(_data(account, answer, gone=False))
    except Refused as refused:
        if refused.reason is Reason.NOT_FOUND:
            return None
        raise
    return next((task for task in tasks if str(task.get(key)) == wanted and task.get("id")), None)


def _id(found: Any) -> str | None:
    """Return an id, which is a word or a whole number, as text; None for anything else."""
    known = isinstance(found, str | int) and not isinstance(found, bool) and _ID.fullmatch(str(found))
    return str(found) if known else None


def _progress(account: Account, upstream_id: str, task: dict[str, Any]) -> Progress:
    cost = _cost(task.get("billing"))
    status = STATUSES.get(str(task.get("status")), "in_progress")
    videos = [one for one in dicts(task.get("outputs")) if one.get("type") == "video"]
    video = next((one for one in videos if isinstance(one.get("url"), str) and one["url"]), None)
    if status == "completed" and video:
        length = re.match(r"\d{1,4}(\.\d+)?", str(video.get("duration")))
        seconds = round(float(length[0])) if length else None
        return Progress(upstream_id, status, 100, seconds, output_url=video["url"], micro_dollars=cost)
    if status in {"completed", "failed"}:
        message = clean(account, task.get("message")) or "The provider returned no video."
        code = "moderation_blocked" if _MODERATION.search(message) else "provider_failed"
        return Progress(upstream_id, "failed", error=(code, message), micro_dollars=cost)
    return Progress(upstream_id, status)


def _cost(billing: Any) -> int | None:
    """Return a bill in micro-dollars. Bills are in decimal dollars or in units of a resource pack; None for others."""
    costs: list[float] = []
    for entry in dicts(billing):
        kind = "unit" if entry.get("charge_type") == "unit" else entry.get("currency")
        amount = re.fullmatch(r"\d{1,6}(\.\d+)?", str(entry.get("amount")))
        if amount is None or kind not in ("unit", "USD"):
            return None
        costs.append(float(amount[0]) * (UNIT if kind == "unit" else 1_000_000))
    return round(sum(costs)) if costs else None


def _data(account: Account, answer: Answer, *, gone: bool) -> Any:
    """Return the data of a response. Raises Refused and OutcomeUnknown.

    `gone`: a 404 is about the model, not about a job.
    """
    body = as_dict(answer.json())
    code = body.get("code")
    code = code if isinstance(code, int) and not isinstance(code, bool) else None
    if answer.status == 200 and code == 0:
        return body.get("data")
    message = words(body.get("message"))
    status = answer.status if code is None else _CODES.get(code, answer.status)
    name = str(code) if code else None
    if code in {1300, 1301} or (status == 400 and _MODERATION.search(message)):
        name = "moderation_blocked"
    elif status == 400 and "already exist" in message:
        raise OutcomeUnknown("The provider has a task with this reference already.")
    elif status == 400 and _NO_SUCH.search(message) and not gone:
        status = 404
    raise verdict(account, answer, gone=gone, status=status, code=name, message=message, explained=code is not None)


def _facts(model: str) -> _Model:
    return _MODELS.get(model) or _MODELS["kling-3.0-omni" if "omni" in model else "kling-3.0"]


def _sound(options: Mapping[str, Any]) -> bool:
    return bool(options.get("audio") != "off")


provider = Kling()

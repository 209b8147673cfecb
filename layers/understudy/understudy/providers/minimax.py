"""MiniMax's Hailuo 3: https://api.minimax.io, in China https://api.minimaxi.com (the base_url, without a version).

    operation     call                                            response
    create, edit  POST {base}/v2/video_generation                 {task_id}
    poll          GET {base}/v2/query/video_generation/{id}       {task: {id, status, content, error, usage, ...}}
    content       GET task.content.url, without our key           the file, for about a day
    delete        DELETE {base}/v2/video_generation/{id}          {task_id, status}; a queued task is cancelled

    MiniMax's state                                               our state
    queued                                                        queued
    running, any unknown word                                     in_progress
    succeeded with a URL                                          completed
    failed, cancelled, expired; succeeded without a URL           failed; moderation_blocked for 1026, 1027 and any
                                                                  message about sensitive content
    500 "record not found", "invalid task_id"                     no such task (MiniMax knows those of seven days)

MiniMax keeps no characters. Up to three are sent as reference clips: MP4 or MOV, up to 50 MB, at least 2 s each, 15 s
in all. The prompt cites them as Video 1, Video 2, .... MiniMax refuses clips with fewer than 23.976 pictures a second;
a profile cannot express this limit. References and a first frame exclude each other. MiniMax-H3-Max takes no
references: there the first frame shows the character. An edit is a reference clip with an instruction. It is not exact
to the frame, and the order has to give the length. There is no extension.

With the option `watermark = true`, videos are marked as made by a machine. Other options: `seconds`, `sizes`, `edit`,
`micro_dollars`, `kept_seconds`, `deadline_seconds`. The older API, /v1 with Hailuo 2.3 and S2V-01, is not used.

Sources: mmx-cli 1.0.27, the vendor's client (paths, fields, limits, states, some codes), @ai-sdk/minimax 3.0.45,
platform.minimax.io on v2 (copies, 2026-08 to 2026-10: errors, how long files and tasks are kept). Second-hand: prices
(LiteLLM 1.109.1, resellers of 2026-10), pixel sizes (docs.comfy.org and runware.ai, 2026-08: sides divide by 32, at
768P 1,032,192 pixels at most; of 2K only 2560x1440 is known, so other shapes are not offered). Not found: whether
MiniMax sends a HEAD first when it fetches a file; a presigned GET URL refuses a HEAD. No live call was made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.providers.base import (
    Account,
    CharacterSupport,
    Content,
    Media,
    Order,
    Profile,
    Progress,
    Provider,
    SourceLimits,
    Status,
)
from understudy.providers.common import (
    as_dict,
    as_files,
    at_address,
    bearer,
    checked_prompt,
    image_url,
    quoted,
    with_names,
    with_options,
)
from understudy.providers.http import Answer
from understudy.providers.prices import Prices
from understudy.providers.refusals import clean, says_absent, verdict, words

INLINE_BYTES = 512 * 1024  # of an image: MiniMax need not fetch a data URL
CLIP_BYTES, IMAGE_BYTES = 50 * 1024 * 1024, 30 * 1024 * 1024
CLIP_TYPES = ("video/mp4", "video/quicktime")
LONGEST = 15  # seconds of a video, and of all reference clips together
PROMPT = 7000

STATUSES: dict[str, Status] = {
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}
# MiniMax's codes as the HTTP statuses that mean the same elsewhere; a 200 may carry them, too. 1000 says nothing.
_CODES = {
    1002: 429,
    1004: 401,
    1008: 402,
    1028: 402,  # 1028 and 1030: the plan's quota
    1030: 402,
    1039: 429,
    2013: 400,
    2049: 401,
    2061: 403,  # the plan does not include this model
}
_MODERATION = {1026, 1027}  # of the input, of the output
_SENSITIVE = re.compile(r"(?<!case.)sensitive", re.IGNORECASE)
_NO_TASK = re.compile(r"record not found|invalid task_id", re.IGNORECASE)
_NO_MODEL = re.compile(r"\b(unsupported|unknown|invalid) model\b|\bmodel\b.*\b(not found|not exist)", re.IGNORECASE)
_TASK_ID = re.compile(r"[\w-]{1,200}")
_CODE = re.compile(r"\((\d{4})\)\s*$")
_CITED = re.compile(r"\bvideo 1\b", re.IGNORECASE)

_RATIOS = ("9:16", "16:9", "1:1", "3:4", "4:3", "21:9")
_PIXELS = {
    "480P": ("480x832", "832x480", "480x480", "480x640", "640x480", "960x416"),
    "768P": ("768x1344", "1344x768", "768x768", "768x1024", "1024x768", "1536x672"),
    "2K": ("1440x2560", "2560x1440"),
}
_SIZES = {
    size: (ratio, resolution)
    for resolution, sizes in _PIXELS.items()
    for ratio, size in zip(_RATIOS, sizes, strict=False)
}


@dataclass(frozen=True, slots=True)
class _Model:
    """Facts of a model, with prices in micro-dollars.

    `prices`: per second, by resolution. `image`: per image beyond the `free` ones.
    """

    prices: Mapping[str, int]
    shortest: int
    free: int
    image: int
    references: int = 0


_MODELS = {
    "MiniMax-H3": _Model({"768P": 80_000, "2K": 130_000}, 4, free=5, image=40_000, references=3),
    "MiniMax-H3-Max": _Model({"480P": 50_000, "768P": 80_000}, 5, free=2, image=74_000),
}


class MiniMax(Provider):
    """MiniMax's second video API."""

    name = "minimax"
    models = tuple(_MODELS)

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        facts = _facts(model)
        rates = {size: facts.prices[found] for size, (_, found) in _SIZES.items() if found in facts.prices}
        support = CharacterSupport(start_frame=True, beside_image=0)
        if facts.references:
            support = CharacterSupport(
                reference_videos=facts.references,
                clip_seconds=(2.0, LONGEST / facts.references),
                trim=True,
                beside_image=0,
            )
        profile = Profile(
            seconds=tuple(range(facts.shortest, LONGEST + 1)),
            sizes=tuple(rates),
            default_seconds=facts.shortest,
            default_size="768x1344",
            prompt_characters=PROMPT,
            characters=support,
            edit=facts.references > 0,
            edit_upload=facts.references > 0,
            edit_source=SourceLimits((4.0, LONGEST)),
            source_by_clip=True,
            delete=True,
            poll_seconds=5.0,
            kept_seconds=24 * 3600,
            prices=Prices(rates, source=rates, clips=rates) if facts.references else Prices(rates),
        )
        fixed = {"characters"} if facts.references else {"characters", "edit"}
        return with_options(profile, {name: options[name] for name in options if name not in fixed})

    def submit(self, account: Account, order: Order) -> Progress:
        fields = _fields(order, account.options)
        answer = account.http.post(f"{account.base_url}/v2/video_generation", bearer(account), json=fields)
        task_id = as_dict(answer.json()).get("task_id")
        if 200 <= answer.status < 300 and isinstance(task_id, str) and _TASK_ID.fullmatch(task_id):
            return Progress(task_id, "queued")
        raise _refusal(account, answer, gone=True)

    def poll(self, account: Account, upstream_id: str) -> Progress:
        url = f"{account.base_url}/v2/query/video_generation/{quoted(upstream_id)}"
        answer = account.http.get(url, bearer(account))
        task = as_dict(as_dict(answer.json()).get("task"))
        if answer.status == 200 and "status" in task:
            return _progress(account, upstream_id, task)
        raise _refusal(account, answer, gone=False)

    def open_content(self, account: Account, progress: Progress) -> AbstractContextManager[Content]:
        return at_address(account, progress)

    def delete(self, account: Account, upstream_id: str) -> None:
        url = f"{account.base_url}/v2/video_generation/{quoted(upstream_id)}"
        answer = account.http.delete(url, bearer(account))
        done = answer.status < 300 and not _error(as_dict(answer.json()))[0]
        if not done and not says_absent(refused := _refusal(account, answer, gone=False)):
            raise refused


def _fields(order: Order, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the order as MiniMax's fields.

    Raises Refused, before anything is paid, for what the model cannot combine or does not take.
    """
    facts = _facts(order.model)
    if order.cast and order.image:
        message = "input_reference: this model takes characters or a first frame, not both."
        raise Refused(Reason.INVALID, message, param="input_reference")
    prompt = order.prompt
    clips: list[Media] = []
    if order.source:
        if order.source.clip is None:
            raise Refused(Reason.INVALID, "video: this model needs the video's file.", param="video")
        clips.append(order.source.clip)
        prompt = prompt if _CITED.search(prompt) else f"Edit Video 1: {prompt}"
    clips, still, said = as_files(order.cast, clips)
    first_frame = still or order.image
    prompt = checked_prompt(said + with_names(prompt, order.cast), PROMPT)
    content: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
    if first_frame:
        content.append({"type": "image_url", "image_url": {"url": _frame(first_frame)}, "role": "first_frame"})
    param = "video" if order.source else "characters"
    content += [
        {"type": "video_url", "video_url": {"url": _clip_url(clip, param)}, "role": "reference_video"} for clip in clips
    ]
    ratio, resolution = _SIZES.get(order.size or "", ("9:16", "768P"))
    fields: dict[str, Any] = {"model": order.model, "content": content, "resolution": resolution}
    length = order.source.seconds if order.source else order.seconds
    fields["duration"] = min(length or facts.shortest, LONGEST)
    fields["ratio"] = "adaptive" if first_frame or order.source else ratio  # the ratio of the frame or the clip
    if "watermark" in options:
        fields["aigc_watermark"] = bool(options["watermark"])
    return fields


def _frame(image: Media) -> str:
    """Return the URL of a first frame. Raises Refused if the image is too large."""
    if image.size > IMAGE_BYTES:
        message = f"input_reference: this model takes images of up to {IMAGE_BYTES >> 20} MB."
        raise Refused(Reason.INVALID, message, param="input_reference")
    return image_url(image, INLINE_BYTES)


def _clip_url(clip: Media, param: str) -> str:
    if clip.mime_type not in CLIP_TYPES or clip.size > CLIP_BYTES:
        message = f"{param}: this model takes MP4 and MOV files of up to {CLIP_BYTES >> 20} MB."
        raise Refused(Reason.INVALID, message, param=param)
    return clip.url()


def _progress(account: Account, upstream_id: str, task: dict[str, Any]) -> Progress:
    status = STATUSES.get(str(task["status"]), "in_progress")
    if status == "completed":
        url, length = as_dict(task.get("content")).get("url"), task.get("duration")
        seconds = length if type(length) is int and 0 < length < 1000 else None
        if isinstance(url, str) and url:
            return Progress(upstream_id, status, 100, seconds, output_url=url, micro_dollars=_cost(task))
        error = ("provider_failed", "The provider finished without a video.")
        return Progress(upstream_id, "failed", error=error, micro_dollars=_cost(task))
    if status == "failed":
        code, text = _error(task)
        message = clean(account, text) or f"The provider says that it was {clean(account, task['status'], 20)}."
        moderated = code in _MODERATION or _SENSITIVE.search(text)
        error = ("moderation_blocked" if moderated else "provider_failed", message)
        return Progress(upstream_id, "failed", error=error, micro_dollars=_cost(task))
    return Progress(upstream_id, status)


def _cost(task: dict[str, Any]) -> int | None:
    """Return the cost of a task by the price list, or None if it cannot be told.

    The cost counts the seconds of input and output, and the images beyond the free ones.
    """
    usage, facts = as_dict(task.get("usage")), _MODELS.get(str(task.get("model")))
    seconds, images = (_count(usage.get(name)) for name in ("total_seconds", "input_image_count"))
    price = facts.prices.get(str(task.get("resolution"))) if facts else None
    if facts is None or price is None or seconds is None:
        return None
    return round(seconds * price) + round(max((images or 0) - facts.free, 0) * facts.image)


def _count(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) and 0 <= found < 10_000 else None


def _refusal(account: Account, answer: Answer, *, gone: bool) -> Refused | OutcomeUnknown:
    """Return what a response means if it is no task, after mapping MiniMax's codes to common HTTP statuses.

    `gone`: a 404 is about the model, not about a job.
    """
    body, status = as_dict(answer.json()), answer.status
    code, text = _error(body)
    status = _CODES.get(code, status) if code else status
    name = str(code) if code else None
    if code in _MODERATION or (status in {400, 422} and _SENSITIVE.search(text)):
        status, name = 400, "moderation_blocked"
    elif _NO_TASK.search(text) and not gone:
        status = 404
    elif status == 400 and gone and _NO_MODEL.search(text):
        status = 410
    return verdict(account, answer, gone=gone, status=status, code=name, message=text, explained=bool(text))


def _error(body: dict[str, Any]) -> tuple[int | None, str]:
    """Return code and message of an error.

    An error is {error: {type, message: "... (2013)"}}, or a task's {error: {code, message}}, or, as in the older API,
    {base_resp: {status_code, status_msg}} in a response with status 200.
    """
    error, base = as_dict(body.get("error")), as_dict(body.get("base_resp"))
    message = error.get("message") or base.get("status_msg") or ""
    said = _CODE.search(str(message)[-20:])  # the code stands at the end, however long the message is
    found = next((one for one in (error.get("code"), base.get("status_code"), said and said[1]) if one), None)
    digits = str(found) if re.fullmatch(r"[0-9]{1,9}", str(found)) else said[1] if said else ""
    return int(digits) if digits else None, words(message)


def _facts(model: str) -> _Model:
    return _MODELS.get(model) or _MODELS["MiniMax-H3-Max" if "Max" in model.partition("H3")[2] else "MiniMax-H3"]


provider = MiniMax()

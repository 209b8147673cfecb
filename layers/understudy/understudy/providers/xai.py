"""xAI's Grok Imagine, at https://api.x.ai/v1 (the deployment's base_url).

    operation    call                              response
    create       POST {base}/videos/generations    {request_id}
    edit         POST {base}/videos/edits          {request_id}; keeps length and shape, 720p at most
    extend       POST {base}/videos/extensions     {request_id}; the old part and the new part in one file
    poll         GET {base}/videos/{request_id}    202 while pending, often without a body; then 200
    content      GET video.url, without our key    the file; the URL expires after about a day

    xAI's state                                               our state
    202, pending without progress                             queued
    pending with progress, any unknown word                   in_progress
    done with a URL                                           completed
    done with respect_moderation false; 400 or failed with
    a message about moderation                                failed, moderation_blocked
    failed, expired, done without a URL                       failed

xAI keeps no characters and takes no reference videos. A character is sent as up to three stills in `reference_images`,
which the prompt cites as <IMAGE_1>, <IMAGE_2>, .... The lite model takes no references: there the best still is the
first frame. Edits and extensions take a clip by URL; a video that xAI made itself has no id that they accept. There is
no list and no delete.

Sources: REST reference and video guide of docs.x.ai (copies, 2026-06 to 2026-11), xai-sdk 1.21.0, @ai-sdk/xai 3.0.138.
The form of refusals: vercel/ai pull request 13390 (moderation as a 400 of the poll, 2026-03), theopenco/llmgateway pull
request 1785 (moderation as a 403), public logs of 2026 (a wrong key is 400 or 401, no credits is 403 or 429). Files are
kept for 24 hours (xai-sdk). The models page (2026-11) has prices of a second of output, of a second of input video and
of an image. That an extension is billed for what it adds is a reseller's rule (wavespeed.ai, 2026-11-28). Pixel sizes
other than 848x480, 1280x720 and 1920x1080 are not published: here the short side is the resolution.
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
    Operation,
    Order,
    Profile,
    Progress,
    Provider,
    Source,
    SourceLimits,
)
from understudy.providers.common import as_dict, at_address, bearer, checked_prompt, image_url, quoted, with_names
from understudy.providers.http import Answer
from understudy.providers.prices import Prices
from understudy.providers.refusals import MAX_CODE, clean, verdict, words

PATHS: dict[Operation, str] = {
    "create": "videos/generations",
    "edit": "videos/edits",
    "extend": "videos/extensions",
}
PROMPT = 4096  # characters: a live 400 of 2026-09-22 (public log); "up to 4096" in doc.octopusx.ai (2026-11)
STILLS_EACH = 3  # of a character: more views, not more cost than a few cents
INLINE_BYTES = 512 * 1024  # of an image: xAI waits 5 s for a URL, a data URL needs no fetch
SOURCE_PRICE = 10_000  # micro-dollars a second of a video that is edited or extended (models page, 2026-11)
TICKS = 10_000  # of a micro-dollar

_SHAPES = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3")
_PIXELS = {
    "480p": ("848x480", "480x848", "480x480", "640x480", "480x640", "720x480", "480x720"),
    "720p": ("1280x720", "720x1280", "720x720", "960x720", "720x960", "1080x720", "720x1080"),
    "1080p": ("1920x1080", "1080x1920", "1080x1080", "1440x1080", "1080x1440", "1616x1080", "1080x1616"),
}
_SIZES = {
    size: (shape, resolution)
    for resolution, sizes in _PIXELS.items()
    for shape, size in zip(_SHAPES, sizes, strict=True)
}
_REQUEST_ID = re.compile(r"[\w-]{1,200}")
_MODERATION = re.compile(r"moderat|content policy|usage guidelines|safety_check", re.IGNORECASE)
_NO_CREDITS = re.compile(r"\bcredits?\b|spending limit", re.IGNORECASE)
_WRONG_KEY = re.compile(r"\bapi key\b", re.IGNORECASE)
_NO_MODEL = re.compile(r"\bmodel\b.*(not found|does not exist)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Model:
    """Facts of a model, with prices in micro-dollars (models page, 2026-11).

    `prices`: per second, by resolution. `image`: per input image.
    """

    prices: Mapping[str, int]
    image: int = 0
    references: int = 0
    reference_seconds: int = 15  # the longest video with references
    keeps_first_frame: bool = False  # takes a first frame beside references
    remakes: bool = False  # edits and extends


# Dated and -preview names begin with these; the longer names come first.
_MODELS = {
    "grok-imagine-video-1.5-lite": _Model({"480p": 20_000, "720p": 30_000, "1080p": 140_000}),
    "grok-imagine-video-1.5": _Model(
        {"480p": 80_000, "720p": 140_000, "1080p": 250_000}, image=10_000, references=14, keeps_first_frame=True
    ),
    "grok-imagine-video": _Model(
        {"480p": 50_000, "720p": 70_000}, image=2_000, references=7, reference_seconds=10, remakes=True
    ),
}


class Xai(Provider):
    """Grok Imagine."""

    name = "xai"
    models = tuple(_MODELS)

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        facts = _facts(model)
        sizes = {size: resolution for size, (_, resolution) in _SIZES.items() if resolution in facts.prices}
        support = CharacterSupport(start_frame=True, beside_image=0)
        if facts.references:
            support = CharacterSupport(
                reference_images=facts.references,
                seconds=tuple(range(1, facts.reference_seconds + 1)),
                sizes=tuple(size for size, resolution in sizes.items() if resolution != "1080p"),
                beside_image=None if facts.keeps_first_frame else 0,
            )
        return Profile(
            seconds=tuple(range(1, 16)),
            sizes=tuple(sizes),
            default_seconds=4,  # xAI's default is 8; code written for Sora expects 4 and would pay for 8
            default_size="720x1280",
            prompt_characters=PROMPT,
            characters=support,
            edit=facts.remakes,
            edit_upload=facts.remakes,
            extend_seconds=tuple(range(2, 11)) if facts.remakes else (),
            extend_upload=facts.remakes,
            edit_source=SourceLimits((0.0, 8.7)),
            extend_source=SourceLimits((2.0, 30.0)),  # 15 in the REST reference, 30 in the SDK: xAI decides
            source_by_clip=True,
            poll_seconds=5.0,
            kept_seconds=24 * 3600,
            prices=Prices(
                {size: facts.prices[resolution] for size, resolution in sizes.items()},
                source={"": SOURCE_PRICE} if facts.remakes else {},
                character=STILLS_EACH * facts.image if facts.references else 0,  # at most this many stills are sent
            ),
        )

    def submit(self, account: Account, order: Order) -> Progress:
        fields = _create(order) if order.source is None else _remake(order, order.source)
        answer = account.http.post(f"{account.base_url}/{PATHS[order.operation]}", bearer(account), json=fields)
        request_id = as_dict(answer.json()).get("request_id")
        if 200 <= answer.status < 300 and isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id):
            return Progress(request_id, "queued")
        raise _refusal(account, answer, gone=True)

    def poll(self, account: Account, upstream_id: str) -> Progress:
        answer = account.http.get(_job_url(account, upstream_id), bearer(account))
        body = as_dict(answer.json())
        if answer.status == 202:
            return _progress(account, upstream_id, {"status": "pending", **body})
        if answer.status == 200 and ("status" in body or "video" in body):
            return _progress(account, upstream_id, body)
        refused = _refusal(account, answer, gone=False)
        if isinstance(refused, Refused) and refused.reason is Reason.MODERATION:
            error = ("moderation_blocked", refused.message)
            return Progress(upstream_id, "failed", error=error, micro_dollars=_cost(body))
        raise refused

    def open_content(self, account: Account, progress: Progress) -> AbstractContextManager[Content]:
        return at_address(account, progress)


def _remake(order: Order, source: Source) -> dict[str, Any]:
    """Return the fields of an edit or an extension."""
    if source.clip is None or source.clip.mime_type != "video/mp4":
        raise Refused(Reason.INVALID, "video: this model takes MP4 files only.", param="video")
    fields = {"model": order.model, "prompt": order.prompt, "video": {"url": source.clip.url()}}
    return fields | ({"duration": order.seconds} if order.operation == "extend" and order.seconds else {})


def _create(order: Order) -> dict[str, Any]:
    """Return the fields of a generation.

    Raises Refused, before anything is paid, for what this model cannot combine.
    """
    facts = _facts(order.model)
    shape, resolution = _SIZES[order.size or "720x1280"]
    fields: dict[str, Any] = {"model": order.model, "aspect_ratio": shape, "resolution": resolution}
    if order.seconds:
        fields["duration"] = order.seconds
    first_frame, citations = order.image, ""
    if order.cast and facts.references:
        _check_references(order, facts, resolution)
        fields["reference_images"], citations = _references(order, facts)
    elif order.cast:
        if first_frame is not None:
            message = "input_reference: this model uses the first frame for the character. Leave input_reference out."
            raise Refused(Reason.INVALID, message, param="input_reference")
        first_frame = next((still for still in order.cast[0].stills), None)
        citations = f"{order.cast[0].name} is the character in the first frame. "
    if first_frame is not None:
        fields["image"] = {"url": image_url(first_frame, INLINE_BYTES)}
    fields["prompt"] = checked_prompt(citations + with_names(order.prompt, order.cast), PROMPT)
    return fields


def _check_references(order: Order, facts: _Model, resolution: str) -> None:
    if resolution == "1080p":
        raise Refused(Reason.INVALID, "size: with characters this model supports at most 720p.", param="size")
    if (order.seconds or 0) > facts.reference_seconds:
        message = f"seconds: with characters this model supports at most {facts.reference_seconds}."
        raise Refused(Reason.INVALID, message, param="seconds")
    if order.image is not None and not facts.keeps_first_frame:
        message = "input_reference: this model takes characters or a first frame, not both."
        raise Refused(Reason.INVALID, message, param="input_reference")


def _references(order: Order, facts: _Model) -> tuple[list[dict[str, str]], str]:
    """Return the stills, and sentences that say who is on which. The prompt itself stays as it was written."""
    each = min(STILLS_EACH, facts.references // len(order.cast))
    images: list[dict[str, str]] = []
    citations = ""
    for member in order.cast:
        stills = member.stills[:each]
        names = [f"<IMAGE_{len(images) + n}>" for n in range(1, len(stills) + 1)]
        images += [{"url": image_url(still, INLINE_BYTES)} for still in stills]
        if names:
            citations += f"{member.name} is the character in {' and '.join(names)}. "
    return images, citations


def _progress(account: Account, upstream_id: str, body: dict[str, Any]) -> Progress:
    status, found = body.get("status"), body.get("video")
    video = as_dict(found)
    if status == "done" or (status is None and video):  # older answers with a video have no status
        url, seconds = video.get("url"), video.get("duration")
        if video.get("respect_moderation") is False:
            error = ("moderation_blocked", "The provider's moderation withheld the video.")
        elif not url or not isinstance(url, str):
            error = ("provider_failed", "The provider finished without a video.")
        else:
            length = round(seconds) if isinstance(seconds, int | float) and 0 < seconds < 10_000 else None
            return Progress(upstream_id, "completed", 100, length, output_url=url, micro_dollars=_cost(body))
    elif status in ("failed", "expired"):
        code, text = _error(body)
        moderated = _MODERATION.search(f"{code} {text}")
        code = "moderation_blocked" if moderated else clean(account, code, MAX_CODE) or f"provider_{status}"
        error = (code, clean(account, text) or "The provider could not make this video.")
    else:
        done = body.get("progress")
        percent = int(done) if isinstance(done, int | float) and 0 <= done < 100 else 0
        return Progress(upstream_id, "queued" if status == "pending" and not percent else "in_progress", percent)
    return Progress(upstream_id, "failed", error=error, micro_dollars=_cost(body))


def _refusal(account: Account, answer: Answer, *, gone: bool) -> Refused | OutcomeUnknown:
    """Return what a response means if it is no job, after mapping it to common HTTP statuses.

    `gone`: a 404 is about the model, not about a job.
    """
    code, text = _error(as_dict(answer.json()))
    status, words = answer.status, f"{code} {text}"
    if status in {400, 403, 422} and _MODERATION.search(words):
        status, code = 400, "moderation_blocked"
    elif status in {400, 403, 429} and _NO_CREDITS.search(words):
        status = 402
    elif status == 400 and _WRONG_KEY.search(words):
        status = 401
    elif status == 400 and _NO_MODEL.search(words):
        status = 410
    return verdict(account, answer, gone=gone, status=status, code=code, message=text, explained=bool(text))


def _error(body: dict[str, Any]) -> tuple[str | None, str]:
    """Return code and message of an error: {error: {code, message}}, {code, error} or {error}."""
    error = body.get("error")
    details: dict[str, Any] = error if isinstance(error, dict) else {"code": body.get("code"), "message": error}
    code = details.get("code") or details.get("type")
    return words(code)[:MAX_CODE] or None, words(details.get("message"))


def _cost(body: dict[str, Any]) -> int | None:
    usage = body.get("usage")
    ticks = usage.get("cost_in_usd_ticks") if isinstance(usage, dict) else None
    return int(ticks) // TICKS if isinstance(ticks, int | float) and 0 <= ticks < 1e16 else None


def _facts(model: str) -> _Model:
    return next((facts for name, facts in _MODELS.items() if model.startswith(name)), _MODELS["grok-imagine-video"])


def _job_url(account: Account, upstream_id: str) -> str:
    return f"{account.base_url}/videos/{quoted(upstream_id)}"


provider = Xai()

"""Runway, at https://api.dev.runwayml.com/v1 (the deployment's base_url), and the models of others that it serves.

    operation       call                                                    response
    create          POST {base}/text_to_video, /image_to_video              {id, estimatedCost}
    edit, extend    POST {base}/video_to_video                              {id, estimatedCost}
    poll            GET {base}/tasks/{id}, not more often than every 5 s    the task
    content         GET output[0], without our key                          the file, for 24 to 48 h
    delete          DELETE {base}/tasks/{id}                                204
    files           POST {base}/uploads, then the file to uploadUrl         runway://..., valid for 24 h

    Runway's state                                               our state
    PENDING, THROTTLED                                           queued
    RUNNING, any unknown word                                    in_progress
    SUCCEEDED                                                    completed
    FAILED with SAFETY in its failureCode                        failed, moderation_blocked
    FAILED, CANCELLED                                            failed

Before Runway fetches a file by URL, it sends a HEAD, which a presigned GET URL refuses. So clips are uploaded to
Runway, and small images go inside the request. Runway keeps no characters for video. A character is a reference clip,
cited as Video 1, Video 2, ..., or, if a model takes no references, the first frame.

Models without an edit of their own are edited by Runway's aleph2 (28 credits a second; the option `edit = false`
forbids it). An extension by gemini_omni_flash_1.1 is assumed to return both parts, as Google's does. seedance2_5
returns the new part alone, so it is not used for extensions. Other options: `seconds`, `sizes`, `extend_seconds`,
`micro_dollars`, `kept_seconds`, `deadline_seconds`; they also describe models that are not in the table.

Runway returns what a task cost. The prices here are for budget reservations; they leave out the minimum of a task (80
credits for seedance2_5). A file's URL expires after 24 to 48 hours. How long the task returns new URLs was not found.

Sources: runwayml 5.24.0 (paths, fields, ratios, states), docs.dev.runwayml.com on inputs and errors (copies, 2026),
help.runwayml.com on Seedance 2.0 (three reference clips, 15 s in all), runwayml/skills (2026-04) and public lists of
prices (2026-07); an account without credits is a 400: runwayml/sdk-node issue 28. Not found: how to cite a reference in
a prompt (Seedance's own guide says Video 1), whether input clips of seedance2 are billed like those of seedance2_5,
prices of gemini_omni_flash_1.1, lengths of hailuo3, wan3 and kling_4.
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
    CharacterSupport,
    Content,
    Media,
    Order,
    Profile,
    Progress,
    Provider,
    Source,
    SourceLimits,
    Status,
)
from understudy.providers.common import (
    as_dict,
    as_files,
    at_address,
    bearer,
    checked_prompt,
    data_url,
    quoted,
    with_names,
    with_options,
)
from understudy.providers.http import Answer, Part
from understudy.providers.prices import Prices, Rates
from understudy.providers.refusals import clean, says_absent, verdict, words

VERSION = "2024-11-06"
INLINE_BYTES = 512 * 1024  # of an image; a data URI may have 5 MB
UPLOAD_BYTES = 200 * 1024 * 1024
CREDIT = 10_000  # micro-dollars

STATUSES: dict[str, Status] = {
    "PENDING": "queued",
    "THROTTLED": "queued",
    "RUNNING": "in_progress",
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLED": "failed",
}
_TASK_ID = re.compile(r"[\w-]{1,200}")
_MODERATION = re.compile(r"moderat|safety", re.IGNORECASE)

_HD = ("720x1280", "1280x720")
_FULL_HD = ("1080x1920", "1920x1080")
_OMNI = ("360x640", "640x360", *_HD, *_FULL_HD, "2160x3840", "3840x2160")
_480 = ("496x864", "864x496", "560x752", "752x560", "640x640", "992x432")
_480_5 = ("480x854", "854x480", "560x752", "752x560", "640x640", "992x432")
_720 = (*_HD, "834x1112", "1112x834", "960x960", "1470x630")
_1080 = (*_FULL_HD, "1248x1664", "1664x1248", "1440x1440", "2206x946")
_4K = ("2160x3840", "3840x2160", "2880x3840", "3840x2880", "3840x3840", "3840x1646")
_ALEPH = SourceLimits((2.0, 30.0), sides=(1, 1920))
_NONE, _START = CharacterSupport(), CharacterSupport(start_frame=True, beside_image=0)


def _clips(shortest: float, longest: float) -> CharacterSupport:
    """Return support for three reference clips of these lengths in seconds.

    If a model limits the length of all clips together, `longest` is a third of that limit.
    """
    return CharacterSupport(reference_videos=3, clip_seconds=(shortest, longest), trim=True, beside_image=0)


@dataclass(frozen=True, slots=True)
class _Model:
    """Facts of a model. `prices`: the sizes by credits a second; 0 credits if no price was found."""

    seconds: tuple[int, ...]
    prices: Mapping[int, tuple[str, ...]]
    characters: CharacterSupport = _NONE
    prompt: int = 32_000  # UTF-16 code units
    typed: bool = False  # a reference clip needs `type: video`
    source: str = "videoUri"
    edit: Mapping[str, Any] = field(default_factory=lambda: {"model": "aleph2"})  # further fields of an edit
    edits: SourceLimits = _ALEPH
    edit_price: int | None = 28  # credits a second; None: like a new video
    inputs: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # credits a second of input clips
    extend: tuple[int, ...] = ()


_MODELS = {
    "gen4.5": _Model(tuple(range(2, 11)), {12: _HD}, _START, 1000),
    "veo3.1": _Model((4, 6, 8), {40: (*_HD, *_FULL_HD)}, _START, 1000),
    "veo3.1_fast": _Model((4, 6, 8), {15: (*_HD, *_FULL_HD)}, _START, 1000),
    "gemini_omni_flash_1.1": _Model(
        tuple(range(3, 11)),
        {0: _OMNI},
        _clips(0.0, 3.0),
        edit={"mode": "edit"},
        edits=SourceLimits((0.0, 10.0)),
        edit_price=None,
        extend=tuple(range(3, 11)),
    ),
    "seedance2": _Model(tuple(range(4, 16)), {36: (*_480, *_720), 40: _1080, 150: _4K}, _clips(2.0, 5.0), 3500, True),
    "seedance2_fast": _Model(tuple(range(4, 16)), {29: (*_480, *_720)}, _clips(2.0, 5.0), 3500, True),
    "seedance2_mini": _Model(tuple(range(4, 16)), {16: (*_480, *_720)}, _clips(2.0, 5.0), 3500, True),
    "seedance2_5": _Model(
        tuple(range(4, 31)),
        {20: _480_5, 30: _720, 68: _1080},
        _clips(2.0, 10.0),
        15_000,
        True,
        "promptVideo",
        {"mode": "edit", "duration": "auto"},
        SourceLimits((2.0, 30.0)),
        edit_price=None,
        inputs={10: _480_5, 15: _720, 34: _1080},
    ),
}
_UNKNOWN = _Model((5,), {0: _HD})


class Runway(Provider):
    """Runway's API."""

    name = "runwayml"
    models = tuple(_MODELS)

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        facts = _MODELS.get(model, _UNKNOWN)
        profile = Profile(
            seconds=facts.seconds,
            sizes=tuple(size for sizes in facts.prices.values() for size in sizes),
            default_seconds=4 if 4 in facts.seconds else 5,
            default_size="720x1280",
            prompt_characters=facts.prompt,
            characters=facts.characters,
            edit=True,
            edit_upload=True,
            edit_source=facts.edits,
            extend_seconds=facts.extend,
            extend_upload=bool(facts.extend),
            extend_source=facts.edits,
            source_by_clip=True,
            delete=True,
            slow_inputs=True,
            poll_seconds=6.0,
            kept_seconds=24 * 3600,
            prices=Prices(
                _rates(facts.prices),
                edit=None if facts.edit_price is None else {"": facts.edit_price * CREDIT},
                source=_rates(facts.inputs),
                clips=_rates(facts.inputs),
            ),
        )
        return with_options(profile, options)

    def submit(self, account: Account, order: Order) -> Progress:
        endpoint, fields = _remake(account, order, order.source) if order.source else _create(account, order)
        answer = account.http.post(f"{account.base_url}/{endpoint}", _headers(account), json=fields)
        task_id = as_dict(answer.json()).get("id")
        if 200 <= answer.status < 300 and isinstance(task_id, str) and _TASK_ID.fullmatch(task_id):
            return Progress(task_id, "queued")
        raise _refusal(account, answer, gone=True)

    def poll(self, account: Account, upstream_id: str) -> Progress:
        answer = account.http.get(_task_url(account, upstream_id), _headers(account))
        body = as_dict(answer.json())
        if answer.status == 200 and "status" in body:
            return _progress(account, upstream_id, body)
        raise _refusal(account, answer, gone=False)

    def open_content(self, account: Account, progress: Progress) -> AbstractContextManager[Content]:
        return at_address(account, progress)

    def delete(self, account: Account, upstream_id: str) -> None:
        answer = account.http.delete(_task_url(account, upstream_id), _headers(account))
        if answer.status not in {200, 204} and not says_absent(refused := _refusal(account, answer, gone=False)):
            raise refused


def _rates(prices: Mapping[int, tuple[str, ...]]) -> Rates:
    return {size: price * CREDIT for price, sizes in prices.items() if price for size in sizes}


def _create(account: Account, order: Order) -> tuple[str, dict[str, Any]]:
    """Return endpoint and fields of a new video.

    Raises Refused, before anything is paid, for what the model cannot make.
    """
    facts = _MODELS.get(order.model, _UNKNOWN)
    if order.cast and order.image:
        message = "input_reference: this model takes characters or a first frame, not both."
        raise Refused(Reason.INVALID, message, param="input_reference")
    clips, still, said = as_files(order.cast)
    first_frame = still or order.image
    prompt = said + with_names(order.prompt, order.cast)
    prompt = checked_prompt(prompt, facts.prompt, len(prompt.encode("utf-16-le")) // 2)
    fields: dict[str, Any] = {"model": order.model, "promptText": prompt}
    fields |= {"ratio": (order.size or _HD[0]).replace("x", ":"), "duration": order.seconds or 5}
    if clips:
        kind = {"type": "video"} if facts.typed else {}
        fields["referenceVideos"] = [{**kind, "uri": _uri(account, clip)} for clip in clips]
    if first_frame is None:
        return "text_to_video", fields
    return "image_to_video", fields | {"promptImage": [{"uri": _uri(account, first_frame), "position": "first"}]}


def _remake(account: Account, order: Order, source: Source) -> tuple[str, dict[str, Any]]:
    """Return endpoint and fields of an edit or an extension."""
    facts = _MODELS.get(order.model, _UNKNOWN)
    if source.clip is None:
        raise Refused(Reason.INVALID, "video: this model needs the video's file.", param="video")
    how = facts.edit if order.operation == "edit" else {"mode": "extend", "duration": order.seconds}
    fields = {"model": order.model, "promptText": order.prompt, **how}
    return "video_to_video", fields | {facts.source: _uri(account, source.clip)}


def _uri(account: Account, media: Media) -> str:
    """Return a file as Runway takes it: a small image inside the request, any other file uploaded."""
    if media.mime_type.startswith("image/") and media.size <= INLINE_BYTES:
        return data_url(media)
    if media.size > UPLOAD_BYTES:
        raise Refused(Reason.INVALID, f"This model takes files of up to {UPLOAD_BYTES >> 20} MB.")
    wanted = {"filename": media.filename, "type": "ephemeral"}
    answer = account.http.post_free(f"{account.base_url}/uploads", _headers(account), json=wanted)
    place = as_dict(answer.json())
    url, fields, uri = (place.get(name) for name in ("uploadUrl", "fields", "runwayUri"))
    if not (isinstance(url, str) and isinstance(fields, dict) and isinstance(uri, str) and answer.status < 300):
        refused = _refusal(account, answer, gone=True)
        # Nothing was paid for, so a lost response only delays the order here.
        raise refused if isinstance(refused, Refused) else Refused(Reason.UNAVAILABLE, refused.message)
    form: list[tuple[str, str | Part]] = [(str(name), str(value)) for name, value in fields.items()]
    with media.open() as file:
        sent = account.http.post_free(url, {}, form=[*form, ("file", Part(media.filename, media.mime_type, file))])
    if not 200 <= sent.status < 300:
        raise Refused(Reason.UNAVAILABLE, f"The provider's upload address answered {sent.status}.")
    return uri


def _progress(account: Account, upstream_id: str, body: dict[str, Any]) -> Progress:
    status = STATUSES.get(str(body["status"]), "in_progress")
    cost, output, part = body.get("cost"), body.get("output"), body.get("progress")
    price = cost.get("credits") if isinstance(cost, dict) else None
    spent = int(price * CREDIT) if isinstance(price, int | float) and 0 <= price < 1e9 else None
    if status == "completed":
        url = output[0] if isinstance(output, list) and output else None
        if isinstance(url, str) and url:
            return Progress(upstream_id, "completed", 100, output_url=url, micro_dollars=spent)
        error = ("provider_failed", "The provider finished without a video.")
        return Progress(upstream_id, "failed", error=error, micro_dollars=spent)
    if status == "failed":
        code = clean(account, body.get("failureCode"))[:100]
        text = clean(account, body.get("failure")) or code or "it was cancelled there."
        code = "moderation_blocked" if "SAFETY" in code.split(".") else code or "provider_failed"
        error = (code, f"The provider could not make this video: {text}")  # their text is not meant to stand alone
        return Progress(upstream_id, "failed", error=error, micro_dollars=spent)
    percent = int(part * 100) if isinstance(part, int | float) and 0 <= part <= 1 else 0
    return Progress(upstream_id, status, percent)


def _refusal(account: Account, answer: Answer, *, gone: bool) -> Refused | OutcomeUnknown:
    """Return what a response means if it is no task, after mapping it to common HTTP statuses.

    An error is {error: text}, and for a wrong field {error, issues: [{path, message}]}.
    `gone`: a 404 is about the model, not about a job.
    """
    body, status, code = as_dict(answer.json()), answer.status, None
    text, issues = words(body.get("error")), body.get("issues")
    issue = issues[0] if isinstance(issues, list) and issues and isinstance(issues[0], dict) else {}
    path = issue.get("path")
    where = words(path[0]) if isinstance(path, list) and path else ""
    if issue:
        text = f"{text}: {where}: {words(issue.get('message'))}"
    if status in {400, 403} and _MODERATION.search(text):
        code = "moderation_blocked"
    elif status == 400 and "enough credits" in text:
        status = 402
    elif status == 400 and where == "model":
        status = 410
    return verdict(account, answer, gone=gone, status=status, code=code, message=text, explained=bool(text))


def _headers(account: Account) -> dict[str, str]:
    return {**bearer(account), "x-runway-version": VERSION}


def _task_url(account: Account, upstream_id: str) -> str:
    return f"{account.base_url}/tasks/{quoted(upstream_id)}"


provider = Runway()

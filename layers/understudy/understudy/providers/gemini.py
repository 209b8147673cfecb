"""Google's Gemini Developer API: the Omni models, through the Interactions API.

The deployment's base_url ends in the version: https://generativelanguage.googleapis.com/v1beta

    operation      call                                          response
    create         POST {base}/interactions, in the background   Interaction: {id, status, steps}
    edit, extend,  the same: its own video by previous_inter-    Interaction; an extension is the whole video
    remix          action_id and the prompt, a clip by a task
    poll           GET {base}/interactions/{id}                  Interaction, or a 400 when the job has failed
    content        GET the video's URL, with our key if it is Google's; or base64 in the Interaction
    delete         DELETE {base}/interactions/{id}

    Google's state                                               our state
    queued                                                       queued
    in_progress, requires_continuation, any unknown word         in_progress
    completed with a video                                       completed
    completed without a video                                    failed, moderation_blocked
    failed, cancelled, incomplete, budget_exceeded,
    requires_action; a 400 with a word as its code               failed; moderation_blocked for messages about safety

Google keeps no characters. Up to three are sent as reference clips of 3 s at most, which the prompt cites as
<VIDEO_REF_0>, .... With the option `references = "image"`, up to six are sent as stills, <IMAGE_REF_0>, .... Files go
inside the request, at most `max_bytes` (30 MB) in all: the Files API's URLs do not work in background jobs, and other
URLs do not work at all. `uploads = false` is for the EEA, Switzerland and the UK, where Google neither edits nor
extends clips that it did not make. Other options: `seconds`, `sizes`, `extend_seconds`, `micro_dollars`,
`kept_seconds`, `deadline_seconds`.

Sources: ai.google.dev/gemini-api/docs/omni (copies of 2026-08-30 and later), google-genai 3.4.0. The documents leave
some things open. These are from public notes on live calls, 2026-08-28 to 2026-10-08 (OpenRouter's provider notes,
bike4mind, others): files inside the request; previous_interaction_id excludes a task; an edit takes neither duration
nor aspect_ratio; an extension takes no aspect_ratio, and its duration is the length that it adds; a failed job's poll
is a 400; tokens, so prices, by size. For gemini-omni-1.2-flash no live call was seen: its limits and prices are a
reseller's (2026-11-06). Google ends gemini-omni-1.1-flash on 2026-12-03 (price table of LiteLLM 1.110.2, which cites
Google's page of deprecations). Not found: whether an extension is billed for more than it adds. Input costs $1.50 a
million tokens, too little to be counted here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.providers.base import (
    Account,
    CharacterSupport,
    Content,
    Media,
    Operation,
    Order,
    Profile,
    Progress,
    Provider,
    SourceLimits,
)
from understudy.providers.common import content_of, dicts, quoted, with_options
from understudy.providers.http import Answer
from understudy.providers.prices import Prices
from understudy.providers.refusals import MAX_CODE, clean, says_absent, verdict, words

MAX_CLIPS, MAX_IMAGES, CLIP_SECONDS = 3, 6, 3.0
MAX_BYTES = 30 * 1024 * 1024  # of the files in a request; the whole may have 100 MB (changelog, 2026-01)
MAX_INFOS = 20  # of the details of an error that are read
PIECE = 256 * 1024  # characters of base64 decoded at once: a multiple of four
REVISION = "2026-05-20"  # of the Interactions schema, as google-genai 3.4.0 sends it

_SIZES = {
    "720x1280": ("9:16", "720p"),
    "1280x720": ("16:9", "720p"),
    "1080x1920": ("9:16", "1080p"),
    "1920x1080": ("16:9", "1080p"),
    "2160x3840": ("9:16", "4k"),
    "3840x2160": ("16:9", "4k"),
    "360x640": ("9:16", "360p"),
    "640x360": ("16:9", "360p"),
}
# Micro-dollars a second. 1.1: 1931, 5792, 8688 and 17376 tokens at $17.50 a million; 1.2: the reseller's list.
_PRICES_1_1 = {"360p": 33_793, "720p": 101_360, "1080p": 152_040, "4k": 304_080}
_PRICES_1_2 = {"360p": 23_200, "720p": 69_500, "1080p": 104_300, "4k": 208_500}
_TASKS: dict[Operation, str] = {"edit": "edit", "remix": "edit", "extend": "extend"}
_FAILED = {"failed", "cancelled", "incomplete", "budget_exceeded", "requires_action"}
_ID = re.compile(r"[\w=-][\w.=-]{0,999}")
_SAFETY = re.compile(
    r"\b(IMAGE_)?(SAFETY|PROHIBITED_CONTENT|BLOCKLIST|SPII)\b|^safety\b|content_blocked|[Ii]nput blocked"
    r"|[Uu]sage [Pp]olic|[Pp]rohibited [Uu]se|\bblocked\b[^.]*\b(safety|polic)"
)
_WRONG_KEY = re.compile(r"API_KEY_INVALID|API [Kk]ey (not|expired)|location is not supported")
_NO_CREDIT = re.compile(r"credits are depleted|enable billing")
_NO_SUCH = re.compile(r"[Ii]nvalid interaction name|\binteraction\b.*(not found|expired)")
_WAIT = re.compile(r"([0-9]{1,9})(\.[0-9]{1,9})?s")


class Gemini(Provider):
    """Omni models of the Gemini Developer API."""

    name = "gemini"
    models = ("gemini-omni-1.2-flash", "gemini-omni-1.1-flash")

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        newer = model.startswith("gemini-omni-1.2")
        prices = _PRICES_1_2 if newer else _PRICES_1_1
        clips = CharacterSupport(reference_videos=MAX_CLIPS, clip_seconds=(0.0, CLIP_SECONDS), trim=True)
        stills = options.get("references") == "image"
        uploads = bool(options.get("uploads", True))
        profile = Profile(
            seconds=tuple(range(3, 16 if newer else 11)),
            sizes=tuple(_SIZES),
            default_seconds=4,
            default_size="720x1280",
            characters=CharacterSupport(reference_images=MAX_IMAGES) if stills else clips,
            edit=True,
            edit_source=SourceLimits((3.0, 15.0) if newer else (0.0, 10.0)),
            extend_seconds=tuple(range(3, 11)),
            extend_source=SourceLimits((0.0, 10.0), whole=30.0 if newer else 40.0),
            remix=True,
            delete=True,
            slow_inputs=True,
            poll_seconds=5.0,
            deadline_seconds=1800,
            kept_seconds=48 * 3600,
            prices=Prices({size: prices[resolution] for size, (_, resolution) in _SIZES.items()}),
        )
        profile = with_options(profile, options)
        return replace(
            profile,
            edit_upload=uploads and profile.edit,
            extend_upload=uploads and bool(profile.extend_seconds),
        )

    def submit(self, account: Account, order: Order) -> Progress:
        fields = _fields(order, int(account.options.get("max_bytes", MAX_BYTES)))
        answer = account.http.post(f"{account.base_url}/interactions", _headers(account), json=fields)
        body = answer.json()
        made = body.get("id") if isinstance(body, dict) else None
        if answer.status == 200 and isinstance(made, str) and _ID.fullmatch(made):
            return _progress(account, made, body)
        raise _refusal(account, answer, gone="previous_interaction_id" not in fields)

    def poll(self, account: Account, upstream_id: str) -> Progress:
        answer = account.http.get(_url(account, upstream_id), _headers(account))
        body = answer.json()
        if answer.status == 200 and isinstance(body, dict) and "status" in body:
            return _progress(account, upstream_id, body)
        refused = _refusal(account, answer, gone=False)
        # A word as code is the job's own error; a number is the front end's, which was wrong about good jobs.
        if isinstance(refused, Refused) and refused.status == 400 and not (refused.code or "400").isdecimal():
            return _failed(upstream_id, refused.code, refused.message, refused.reason is Reason.MODERATION)
        raise refused

    @contextmanager
    def open_content(self, account: Account, progress: Progress) -> Iterator[Content]:
        url = progress.output_url
        if url is None:
            answer = account.http.get(_url(account, progress.upstream_id), _headers(account))
            data = (_video(answer.json()) or {}).get("data")
            if not data or not isinstance(data, str):
                raise _refusal(account, answer, gone=False)
            yield Content("video/mp4", None, _decoded(data))
            return
        headers = _headers(account) if urlsplit(url)[:2] == urlsplit(account.base_url)[:2] else {}
        with account.http.stream(url, headers) as (status, answered, chunks):
            if status in {403, 404, 410}:  # a file that is gone gives 403, too
                raise Refused(Reason.NOT_FOUND, f"The video's address answered {status}.", status=status)
            if status != 200:
                raise _refusal(account, Answer(status, answered, next(chunks, b"")), gone=False)
            yield content_of(answered, chunks)

    def delete(self, account: Account, upstream_id: str) -> None:
        answer = account.http.delete(_url(account, upstream_id), _headers(account))
        if answer.status not in {200, 204} and not says_absent(refused := _refusal(account, answer, gone=False)):
            raise refused


def _fields(order: Order, max_bytes: int) -> dict[str, Any]:
    """Return the order as Google's fields. Raises Refused if the files do not fit into a request."""
    inputs, shape = _Inputs(), _SIZES.get(order.size or "")
    output: dict[str, Any] = {"type": "video", "delivery": "uri"}
    if shape:
        output["resolution"] = shape[1]
    if shape and order.operation == "create":
        output["aspect_ratio"] = shape[0]
    if order.seconds and order.operation in {"create", "extend"}:
        output["duration"] = f"{order.seconds}s"
    fields: dict[str, Any] = {"model": order.model, "background": True, "store": True, "response_format": output}
    prompt, task = order.prompt, _TASKS.get(order.operation)
    if order.source and order.source.upstream_id:
        fields["previous_interaction_id"] = order.source.upstream_id
        prompt, task = f"{'Extend' if task == 'extend' else 'Edit'} this video: {prompt}", None
    elif order.source and order.source.clip:
        inputs.source("video", order.source.clip, "<VIDEO_0>")
    elif order.image:
        inputs.source("image", order.image, "<FIRST_FRAME>")
        task = None if order.cast else "image_to_video"  # without a task, the declarations say which file is which
    else:
        task = "reference_to_video" if order.cast else "text_to_video"
    if order.cast:
        prompt = _named(prompt, _cited(order, inputs))
    fields["input"] = [*inputs.items(max_bytes), {"type": "text", "text": inputs.declare(prompt)}]
    if task:
        fields["generation_config"] = {"video_config": {"task": task}}
    return fields


@dataclass(slots=True)
class _Inputs:
    """The files of an order, in the order in which they are sent, and how the prompt declares them.

    Tags count references of a kind from 0. @Image and @Video count files of a kind from 1.
    """

    files: list[tuple[str, Media]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)

    def source(self, kind: str, media: Media, tag: str) -> None:
        self.files.append((kind, media))
        self.sources.append(f"{tag}@{kind.title()}1")

    def reference(self, kind: str, media: Media) -> str:
        """Add a reference file. Return the tag by which the prompt cites it."""
        self.files.append((kind, media))
        number = sum(kind == one for one, _ in self.files)
        tag = f"<{kind.upper()}_REF_{sum(kind.upper() in one for one in self.references)}>"
        self.references.append(f"{tag}@{kind.title()}{number}")
        return tag

    def declare(self, prompt: str) -> str:
        """Return the prompt with the declarations of the files in front."""
        said = {"Sources": self.sources, "References": self.references}
        return " ".join([f"[# {name} {' '.join(tags)}]" for name, tags in said.items() if tags] + [prompt])

    def items(self, max_bytes: int) -> Iterator[dict[str, str]]:
        if sum(media.size for _, media in self.files) > max_bytes:
            message = f"The files of this request are too large for this model: it takes {max_bytes >> 20} MB in all."
            raise Refused(Reason.INVALID, message, code="files_too_large")
        for kind, media in self.files:
            mime_type = "video/mov" if media.mime_type == "video/quicktime" else media.mime_type
            with media.open() as file:
                yield {"type": kind, "mime_type": mime_type, "data": base64.b64encode(file.read()).decode()}


def _cited(order: Order, inputs: _Inputs) -> dict[str, str]:
    """Add the files of the order's characters as references. Return the tags of each character by its name."""
    each = (MAX_IMAGES - bool(order.image)) // len(order.cast)
    cited: dict[str, str] = {}
    for member in order.cast:
        tags = [inputs.reference("video", member.clip)] if member.clip else []
        tags += [inputs.reference("image", still) for still in member.stills[:each]]
        cited[member.name] = " ".join(filter(None, (cited.get(member.name), *tags)))
    return cited


def _named(prompt: str, cited: Mapping[str, str]) -> str:
    """Return the prompt with the tags behind the first mention of each name. Names that it lacks are put in front."""
    names = "|".join(re.escape(name) for name in sorted(cited, key=len, reverse=True))
    waiting = dict(cited)

    def cite(match: re.Match[str]) -> str:
        tags = waiting.pop(match[0], None)
        return f"{match[0]} ({tags})" if tags else match[0]

    text = re.sub(rf"(?<!\w)(?:{names})(?!\w)", cite, prompt)
    missing = " and ".join(f"{name} ({tags})" for name, tags in waiting.items())
    return f"Featuring {missing}. {text}" if missing else text


def _progress(account: Account, upstream_id: str, body: dict[str, Any]) -> Progress:
    status, video = str(body.get("status")), _video(body)
    said = " ".join(words(one["text"]) for one in _contents(body) if one.get("type") == "text" and one.get("text"))
    if status == "completed" and video:
        uri = video.get("uri")
        return Progress(
            upstream_id, "completed", progress=100, output_url=uri if isinstance(uri, str) and uri else None
        )
    if status == "completed":
        return _failed(upstream_id, None, clean(account, said) or "The provider returned no video.", moderated=True)
    if status in _FAILED:
        places = [body.get("error"), *(step.get("error") for step in dicts(body.get("steps")))]
        error = next(iter(dicts(body.get("errors")) + dicts(places)), {})
        code, message = clean(account, error.get("code"), MAX_CODE), clean(account, error.get("message") or said)
        message = message or f"The provider ended this video as {status}."
        return _failed(upstream_id, code, message, bool(_SAFETY.search(f"{code} {message}")))
    return Progress(upstream_id, "queued" if status == "queued" else "in_progress")


def _failed(upstream_id: str, code: str | None, message: str, moderated: bool) -> Progress:
    code = "moderation_blocked" if moderated else code or "provider_failed"
    return Progress(upstream_id, "failed", error=(code, message))


def _contents(body: Any) -> Iterator[dict[str, Any]]:
    """Yield what the model returned, never what was put in."""
    found = body if isinstance(body, dict) else {}
    for step in dicts(found.get("steps")):
        if step.get("type") == "model_output":
            yield from dicts(step.get("content"))
    yield from dicts([found.get("output_video")])


def _video(body: Any) -> dict[str, Any] | None:
    """Return the video of an Interaction, with `uri`, or with `data` in base64; None if there is no video."""
    videos = (one for one in _contents(body) if one.get("type") == "video" or one.get("mime_type") == "video/mp4")
    return next(
        (one for one in videos if any(one.get(at) and isinstance(one[at], str) for at in ("uri", "data"))), None
    )


def _decoded(data: str) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        try:
            yield base64.b64decode(data[start : start + PIECE], validate=True)
        except ValueError as error:
            raise Refused(Reason.UNAVAILABLE, "The provider's video is not base64.") from error


def _refusal(account: Account, answer: Answer, *, gone: bool) -> Refused | OutcomeUnknown:
    """Return what a response means if it is no Interaction, after mapping it to common HTTP statuses.

    `gone`: a 404 is about the model, not about a job. Errors have three shapes: {error: {code: word, message}},
    Google's {error: {code: number, status, details}}, and the latter in an array of one.
    """
    body = answer.json()
    error = next(iter(dicts(body if isinstance(body, list) else [body])), {}).get("error")
    details: dict[str, Any] = error if isinstance(error, dict) else {}
    infos = dicts(details.get("details"))[:MAX_INFOS]
    status, code, message = answer.status, words(details.get("code") or "")[:MAX_CODE], words(details.get("message"))
    said = " ".join((code, words(details.get("status")), message, *(words(info.get("reason")) for info in infos)))
    if status in {400, 403, 422} and _SAFETY.search(said):
        status, code = 400, "moderation_blocked"
    elif status == 400 and _WRONG_KEY.search(said):
        status = 401
    elif status in {400, 429} and _NO_CREDIT.search(said):
        status = 402
    elif status == 400 and _NO_SUCH.search(said):
        status = 404
    wait = next((found[1] for info in infos if (found := _WAIT.fullmatch(str(info.get("retryDelay"))))), None)
    return verdict(
        account,
        answer,
        gone=gone,
        status=status,
        code=code,
        message=message,
        retry_after=wait,
        explained=bool(details),
    )


def _headers(account: Account) -> dict[str, str]:
    return {"api-revision": REVISION} | ({"x-goog-api-key": account.key} if account.key else {})


def _url(account: Account, upstream_id: str) -> str:
    return f"{account.base_url}/interactions/{quoted(upstream_id)}"


provider = Gemini()

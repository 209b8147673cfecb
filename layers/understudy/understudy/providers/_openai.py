"""The shape of OpenAI's Videos API, characters, edits and extensions included, which several providers share.

    operation         call                                     response
    create            POST {base}/videos                       Video
    edit, extend      POST {base}/videos/edits, /extensions    Video; an extension is the whole stitched video
    remix             POST {base}/videos/{id}/remix            Video
    poll              GET {base}/videos/{id}                   Video: queued, in_progress, completed, failed
    content           GET {base}/videos/{id}/content           the file
    delete            DELETE {base}/videos/{id}                200, 204, or 404 if it is gone already
    make_character    POST {base}/videos/characters            {id, name, created_at}; multipart only
    find_character    GET {base}/videos/characters/{id}        {id, name, created_at}

Source: openapi.yaml of openai-openapi (2026-08-21), the video guide (2026-09), openai-python 3.54.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeGuard

from understudy.providers.base import (
    Account,
    CharacterSupport,
    Content,
    Media,
    NativeCharacter,
    Operation,
    Order,
    Profile,
    Progress,
    Provider,
    Status,
)
from understudy.providers.common import bearer, content_of, quoted, with_names
from understudy.providers.http import Answer, Part
from understudy.providers.prices import Prices
from understudy.providers.refusals import MAX_CODE, clean, moderated, refusal, says_absent

STATUSES: dict[str, Status] = {
    "queued": "queued",
    "in_progress": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
PATHS: dict[Operation, str] = {
    "create": "videos",
    "remix": "videos",
    "edit": "videos/edits",
    "extend": "videos/extensions",
}
_STANDARD = ("720x1280", "1280x720")
_PRO = (*_STANDARD, "1024x1792", "1792x1024", "1080x1920", "1920x1080")
_PRO_PRICES = (300_000, 300_000, 500_000, 500_000, 700_000, 700_000)
# Micro-dollars a second when OpenAI still sold it (pricing page, 2026-08): 0.10; pro 0.30, 0.50 and 0.70 by size. The
# page had one price of a second, whatever the video was made from.
_PRICES = {"sora-2": Prices({"": 100_000}), "sora-2-pro": Prices(dict(zip(_PRO, _PRO_PRICES, strict=True)))}

_SECONDS = re.compile(r"[0-9]{1,4}")
_SIZE = re.compile(r"[0-9]{1,5}x[0-9]{1,5}")
MAX_ID = 1024  # of an id at a server, in characters
MAX_NAME = 80  # of a character

Form = list[tuple[str, str | Part]]


class OpenAIShaped(Provider):
    """An OpenAI-shaped server. Subclasses add name and profile, and override what differs: auth, form of the body."""

    json_bodies = True  # False: the server takes multipart only

    def headers(self, account: Account) -> dict[str, str]:
        """Return the headers that authenticate a call."""
        return bearer(account)

    def submit(self, account: Account, order: Order) -> Progress:
        remixed = order.source.upstream_id if order.source and order.operation == "remix" else None
        url = _url(account, PATHS[order.operation], remixed, "remix" if remixed else "")
        fields, files = self.fields(order)
        return self._video(account, self._post(account, url, fields, files), gone=order.source is None)

    def fields(self, order: Order) -> tuple[dict[str, Any], dict[str, Media]]:
        """Return the order as this server's fields and files."""
        fields: dict[str, Any] = {"prompt": with_names(order.prompt, order.cast)}
        files: dict[str, Media] = {}
        if order.operation == "create" or (order.source and order.source.clip):
            fields["model"] = order.model
        if order.operation in {"create", "extend"} and order.seconds:
            fields["seconds"] = str(order.seconds)
        if order.operation == "create" and order.size:
            fields["size"] = order.size
        if order.image:
            files["input_reference"] = order.image
        if order.cast:
            fields["characters"] = [{"id": member.handle} for member in order.cast]
        if order.source and order.source.clip:
            files["video"] = order.source.clip
        elif order.source and order.operation != "remix":
            fields["video"] = {"id": order.source.upstream_id}
        return fields, files

    def poll(self, account: Account, upstream_id: str) -> Progress:
        answer = account.http.get(_url(account, "videos", upstream_id), self.headers(account))
        # The id that was asked for stays the job's, whatever the answer calls it.
        return replace(self._video(account, answer, gone=False), upstream_id=upstream_id)

    @contextmanager
    def open_content(self, account: Account, progress: Progress) -> Iterator[Content]:
        url = _url(account, "videos", progress.upstream_id, "content")
        with account.http.stream(url, self.headers(account)) as (status, headers, chunks):
            if status != 200:
                raise refusal(account, Answer(status, headers, next(chunks, b"")), gone=False)
            yield content_of(headers, chunks)

    def make_character(self, account: Account, name: str, clip: Media, stills: tuple[Media, ...]) -> NativeCharacter:
        answer = self._post(account, _url(account, "videos/characters"), {"name": name}, {"video": clip})
        body = answer.json()
        if 200 <= answer.status < 300 and _has_id(body):
            return NativeCharacter(body["id"])
        raise refusal(account, answer, gone=False)

    def find_character(self, account: Account, reference: str) -> str:
        answer = account.http.get(_url(account, "videos/characters", reference), self.headers(account))
        body = answer.json()
        if 200 <= answer.status < 300 and _has_id(body):
            return clean(account, body.get("name"), MAX_NAME) or reference
        raise refusal(account, answer, gone=False)

    def delete(self, account: Account, upstream_id: str) -> None:
        answer = account.http.delete(_url(account, "videos", upstream_id), self.headers(account))
        if answer.status not in {200, 204} and not says_absent(refused := refusal(account, answer, gone=False)):
            raise refused

    def _post(self, account: Account, url: str, fields: dict[str, Any], files: dict[str, Media]) -> Answer:
        if not files and self.json_bodies:
            return account.http.post(url, self.headers(account), json=fields)
        with ExitStack() as opened:
            form = _form(fields) + [
                (name, Part(media.filename, media.mime_type, opened.enter_context(media.open())))
                for name, media in files.items()
            ]
            return account.http.post(url, self.headers(account), form=form)

    def _video(self, account: Account, answer: Answer, *, gone: bool) -> Progress:
        body = answer.json()
        # vLLM-Omni answers a failed job's GET with a 4xx or 5xx and the job in the body. That is no refusal.
        if _has_id(body) and "status" in body and (answer.status < 300 or body["status"] == "failed"):
            return _progress(account, body)
        raise refusal(account, answer, gone=gone)


def sora_profile(model: str) -> Profile:
    """Return what Sora 2 and Sora 2 Pro could do at OpenAI. Any other model counts as Sora 2, without prices."""
    pro = model.startswith("sora-2-pro")
    return Profile(
        seconds=(4, 8, 12, 16, 20),
        sizes=_PRO if pro else _STANDARD,
        default_seconds=4,
        default_size="720x1280",
        characters=CharacterSupport(native=2, clip_seconds=(1.0, 60.0), findable=True),
        edit=True,
        edit_upload=True,
        extend_seconds=(4, 8, 12, 16, 20),
        extend_upload=True,
        remix=True,
        delete=True,
        kept_seconds=3600,  # the guide: a file can be had for an hour at most
        prices=_PRICES.get("sora-2-pro" if pro else model, Prices()),
    )


def _has_id(body: Any) -> TypeGuard[dict[str, Any]]:
    """Return True if `body` is an object with an id that can be stored and asked for again."""
    found = body.get("id") if isinstance(body, dict) else None
    return isinstance(found, str) and 0 < len(found) <= MAX_ID and found.isprintable() and found.strip(". ") != ""


def _progress(account: Account, body: dict[str, Any]) -> Progress:
    status = STATUSES.get(str(body.get("status")), "in_progress")
    error = body.get("error") if status == "failed" else None
    details = error if isinstance(error, dict) else {"message": error}
    code, message = clean(account, details.get("code"), MAX_CODE), clean(account, details.get("message"))
    code = "moderation_blocked" if moderated(code, message) else code or "provider_failed"
    seconds, size = str(body.get("seconds") or ""), body.get("size")
    progress, model = body.get("progress"), body.get("model")
    return Progress(
        upstream_id=body["id"],
        status=status,
        progress=int(progress) if isinstance(progress, int | float) and 0 <= progress <= 100 else 0,
        seconds=int(seconds) if _SECONDS.fullmatch(seconds) else None,
        size=size if isinstance(size, str) and _SIZE.fullmatch(size) else None,
        model=(clean(account, model, MAX_CODE) or None) if isinstance(model, str) else None,
        error=(code, message or "It failed there.") if status == "failed" else None,
    )


def _url(account: Account, path: str, upstream_id: str | None = None, tail: str = "") -> str:
    parts = (f"{account.base_url}/{path}", None if upstream_id is None else quoted(upstream_id), tail)
    return "/".join(filter(None, parts))


def _form(fields: dict[str, Any]) -> Form:
    form: Form = []
    for name, value in fields.items():
        if isinstance(value, list):
            form += [(f"{name}[][{key}]", text) for entry in value for key, text in entry.items()]
        elif isinstance(value, dict):
            form += [(f"{name}[{key}]", text) for key, text in value.items()]
        else:
            form.append((name, value))
    return form

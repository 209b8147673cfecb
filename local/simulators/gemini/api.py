"""The Gemini Developer API as the contract has it: Interactions with Omni models, and the Files API."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from local.simulators.clock import Clock
from local.simulators.errors import Refusal
from local.simulators.gemini import present, rules
from local.simulators.gemini.files import File, Files
from local.simulators.gemini.orders import BLOCKED, Desk
from local.simulators.gemini.settings import Settings
from local.simulators.provider import Caller, Provider, Request, Response, Route
from local.simulators.shared import triggers
from local.simulators.shared.accounts import Accounts
from local.simulators.shared.studio import Job, Studio
from local.simulators.store import Store, Vault

_WITHHELD = "I'm unable to generate this video because it would violate the usage policies."


@dataclasses.dataclass
class Interaction:
    """What an Interaction is beside its job; `broken` is what will be said of it at its end."""

    id: str
    account: str
    resolution: str
    delivery: str
    previous: str | None
    stored: bool
    broken: str | None = None
    deleted: bool = False
    cancelled: bool = False


class GeminiProvider(Provider):
    """One server with all its accounts; everything it remembers is under `state`."""

    settings: Settings

    def __init__(self, state: Path, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(state)
        self.folder = state / "incoming"
        Vault(self.folder).clear()  # what a process that died left there
        self._vault = Vault(state / "files")
        self._clock = Clock(settings.speed)
        self._accounts = Accounts(self.store)
        self._studio = Studio(self.store, self._vault, state / "renders", self._clock, settings)
        self._files = Files(self.store, self._vault, self.folder, self._clock)
        self._files.settings = settings
        self._desk = Desk(self._vault, self.folder, self._files)
        self._interactions = {row["id"]: Interaction(**row) for row in self.store.load("interaction")}
        self._routes = [
            Route(method, f"/{prefix}{path}", operation, handler)
            for version in ("v1beta", "v1")
            for method, prefix, path, operation, handler in (
                ("POST", version, "/interactions", "create_interaction", self._for_members(self.create)),
                ("GET", version, "/interactions/{id}", "get_interaction", self._for_members(self.poll)),
                ("DELETE", version, "/interactions/{id}", "delete_interaction", self._for_members(self.delete)),
                ("POST", version, "/interactions/{id}/cancel", "cancel_interaction", self._for_members(self.cancel)),
                ("POST", f"upload/{version}", "/files", "upload_file", self.upload),
                ("GET", version, "/files/{id}", "get_file", self._for_members(self.file)),
                ("DELETE", version, "/files/{id}", "delete_file", self._for_members(self.delete_file)),
                ("POST", version, "/models/{call}", "other_call", self._for_members(self.other_call)),
            )
        ]

    # The shared server's side

    def routes(self) -> Iterable[Route]:
        return self._routes

    def identify(self, headers: Message) -> Caller:
        return self._accounts.identify(_credentials(headers))

    def authorise(self, caller: Caller, headers: Message) -> str:
        """The account, or '' for a request without a key: bytes are uploaded so."""
        if "x-goog-api-key" not in headers:
            return ""
        try:
            return self._accounts.authorise(caller, _credentials(headers))
        except Refusal as refusal:
            if refusal.code == "account_deactivated":
                message = "Permission denied: Consumer has been suspended."
                raise Refusal(403, message, "CONSUMER_SUSPENDED") from refusal
            message = "API key not valid. Please pass a valid API key."
            raise Refusal(400, message, "API_KEY_INVALID") from refusal

    def refuse(self, refusal: Refusal) -> Response:
        return present.error(refusal, self.settings.array_errors)

    def jobs(self) -> list[dict[str, Any]]:
        return [
            {
                "id": job.id,
                "account": job.account,
                "operation": job.operation,
                "model": job.model,
                "prompt": job.prompt,
                "status": self._studio.status(job)[0],
                "seconds": job.total_seconds,
                "size": f"{job.width}x{job.height}",
                "references": job.roles,
                "broken": self._interactions[job.id].broken,
            }
            for job in self._studio.list()
        ]

    def configure(self, changes: dict[str, Any]) -> None:
        self.settings = Settings.model_validate({**self.settings.model_dump(), **changes})
        self._studio.settings = self._files.settings = self.settings
        self._clock.set_speed(self.settings.speed)

    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        self._accounts.revoke(account, key, restore)

    def reset(self) -> None:
        for part in (self._studio, self._accounts, self._files, self._vault):
            part.clear()
        self._interactions.clear()
        self.store.clear("interaction")

    # Interactions

    def create(self, request: Request) -> Response:
        if request.body.kind != "json":
            raise rules.invalid("The body must be JSON.")
        wish = rules.wish(request.body.json, self.settings.retired)
        try:
            triggers.moderate(wish.prompt, "input")
        except Refusal as refusal:
            raise rules.invalid("The prompt could not be submitted. Reason: SAFETY.") from refusal
        source = self._finished(request.account, wish.previous) if wish.previous else None
        job, broken = self._desk.job(request.account, wish, source, self.settings)
        kept = Interaction(job.id, request.account, wish.resolution, wish.delivery, wish.previous, wish.store, broken)
        self._interactions[job.id] = kept
        self._save(kept)
        self._studio.add(job)
        request.created = job.id
        if not wish.background:
            self._wait(job)
        return Response.of(self._present(request, job, kept, wish.delivery))

    def poll(self, request: Request) -> Response:
        kept, job = self._known(request)
        asked = kept.delivery if self.settings.delivery == "asked" else self.settings.delivery
        return Response.of(self._present(request, job, kept, asked))

    def cancel(self, request: Request) -> Response:
        kept, job = self._known(request)
        if self._studio.status(job)[0] in ("completed", "failed"):
            raise rules.invalid("Interaction is not running.")
        kept.cancelled = True
        self._save(kept)
        return Response.of(self._present(request, job, kept, kept.delivery))

    def delete(self, request: Request) -> Response:
        kept, job = self._known(request)
        kept.deleted = True
        self._save(kept)
        self._studio.delete(job)
        return Response.of({})

    def other_call(self, request: Request) -> Response:
        model, _, method = request.params["call"].partition(":")
        if method == "generateContent" and model in rules.MODELS:
            raise Refusal(400, "This model only supports Interactions API.", "INVALID_ARGUMENT")
        raise Refusal(404, f"models/{model} is no longer available to {method}.", "NOT_FOUND")

    # Files

    def upload(self, request: Request) -> Response:
        """Starts an upload, or takes bytes: those need no key, the address is one."""
        parts = request.body.files()
        if "X-Goog-Upload-Offset" not in request.headers:
            self._member(request)
            upload_id = self._files.start(request.account, request.headers, request.body.json)
            address = f"http://{request.headers['Host']}{request.path}?upload_id={upload_id}&upload_protocol=resumable"
            return Response(200, b"", {"X-Goog-Upload-URL": address, "X-Goog-Upload-Status": "active"})
        command = request.headers.get("X-Goog-Upload-Command", "")
        made = self._files.add(
            request.query.get("upload_id"), request.headers["X-Goog-Upload-Offset"], command, parts[0]
        )
        if made is None:
            return Response(200, b"", {"X-Goog-Upload-Status": "active"})
        request.created = f"files/{made.id}"
        base = _base(request).replace("/upload/", "/")
        return Response.of({"file": self._files.present(made, base)}, headers={"X-Goog-Upload-Status": "final"})

    def file(self, request: Request) -> Response:
        file_id, _, method = request.params["id"].partition(":")
        file = self._files.get(request.account, file_id)
        if method == "":
            return Response.of(self._files.present(file, _base(request)))
        if method != "download" or request.query.get("alt") != "media" or file.job is None:
            raise Refusal(400, "Only generated files can be downloaded, with alt=media.", "INVALID_ARGUMENT")
        job = self._studio.get(file.account, file.job)
        if job is None:
            raise Refusal(404, "Requested entity was not found.", "NOT_FOUND")
        return Response(200, self._studio.video(job), {"Content-Type": file.mime_type})

    def delete_file(self, request: Request) -> Response:
        self._files.delete(self._files.get(request.account, request.params["id"]))
        return Response.of({})

    # Parts of operations

    def _for_members(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def checked(request: Request) -> Response:
            self._member(request)
            return handler(request)

        return checked

    def _member(self, request: Request) -> None:
        if not request.account:
            message = "Method doesn't allow unregistered callers (callers without established identity)."
            raise Refusal(403, message, "PERMISSION_DENIED")

    def _known(self, request: Request) -> tuple[Interaction, Job]:
        kept = self._interactions.get(request.params["id"])
        job = self._studio.get(request.account, request.params["id"])
        if kept is None or job is None or not kept.stored:
            raise rules.invalid("Invalid interaction name.")  # a 400, not a 404
        return kept, job

    def _finished(self, account: str, interaction_id: str) -> Job:
        kept, job = self._interactions.get(interaction_id), self._studio.get(account, interaction_id)
        if kept is None or job is None or not kept.stored:
            raise rules.invalid("Invalid interaction name.")
        if self._studio.status(job)[0] != "completed" or kept.broken:
            raise rules.invalid("The previous interaction has no video.")
        return job

    def _present(self, request: Request, job: Job, kept: Interaction, delivery: str) -> dict[str, Any]:
        status, _ = self._studio.status(job)
        running = status not in ("completed", "failed")
        word = triggers.status_word(job.prompt, "in_progress")
        document = present.interaction(job.id, job.model, word, job.created_at, job.prompt, kept.previous)
        if kept.cancelled:
            return document | {"status": "cancelled"}
        if running:
            self._studio.prepare(job)
            return document
        if kept.broken:
            raise rules.invalid(kept.broken)
        if status == "failed":
            return self._failed(job, document)
        document["status"] = "completed"
        if delivery == "inline":
            return present.with_video(document, self._studio.video(job), kept.resolution, job.seconds)
        file_id = hashlib.sha256(job.id.encode()).hexdigest()[:12]
        made = self._files.put(
            File(file_id, job.account, "video/mp4", self._studio.video(job).stat().st_size, job=job.id)
        )
        address = f"{_base(request)}/files/{made.id}:download?alt=media"
        return present.with_video(document, address, kept.resolution, job.seconds)

    def _failed(self, job: Job, document: dict[str, Any]) -> dict[str, Any]:
        if triggers.fate(job.prompt) != "moderation":
            message = triggers.FAILURES["internal"][1]
            return present.with_error(document | {"status": "failed"}, "internal", message)
        if self.settings.moderation == "poll":
            raise rules.invalid(BLOCKED)
        if self.settings.moderation == "failed":
            return present.with_error(document | {"status": "failed"}, "safety", "The output was blocked: SAFETY.")
        return present.with_text(document | {"status": "completed"}, _WITHHELD)

    def _wait(self, job: Job) -> None:
        until = time.monotonic() + 120
        while self._studio.status(job)[0] not in ("completed", "failed") and time.monotonic() < until:
            time.sleep(0.02)

    def _save(self, kept: Interaction) -> None:
        self.store.put("interaction", kept.id, dataclasses.asdict(kept))


def _credentials(headers: Message) -> Message:
    """The key where `Accounts` looks for it."""
    found = Message()
    if "x-goog-api-key" in headers:
        found["api-key"] = headers["x-goog-api-key"]
    return found


def _base(request: Request) -> str:
    version = next(part for part in request.path.split("/") if part in ("v1beta", "v1"))
    return f"http://{request.headers['Host']}/{version}"

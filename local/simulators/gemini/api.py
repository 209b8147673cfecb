"""The Gemini Developer API as documented: Interactions with Omni models, and the Files API."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from local.simulators.gemini import present, rules
from local.simulators.gemini.files import File, Files
from local.simulators.gemini.orders import BLOCKED, Desk
from local.simulators.gemini.settings import Settings
from local.simulators.shared import triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.keyed import KeyedProvider, Rows
from local.simulators.shared.provider import Request, Response, Route
from local.simulators.shared.studio import Job

_WITHHELD = "I'm unable to generate this video because it would violate the usage policies."


@dataclasses.dataclass
class Interaction:
    """The facts of an Interaction that its job does not hold; `broken` is the error that its end reports."""

    id: str
    account: str
    resolution: str
    delivery: str
    previous: str | None
    stored: bool
    broken: str | None = None
    deleted: bool = False
    cancelled: bool = False


class GeminiProvider(KeyedProvider[Settings]):
    """The simulated Gemini Developer API."""

    def __init__(self, state: Path, settings: Settings) -> None:
        super().__init__(state, settings)
        self._files = Files(self.store, self.vault, self.folder, self.clock, lambda: self.settings)
        self._desk = Desk(self.vault, self.folder, self._files)
        self._interactions = Rows(self.store, "interaction")
        self.parts += [self._files, self._interactions]

    def operations(self) -> Iterable[Route]:
        return [
            Route(method, f"/{prefix}{path}", operation, handler)
            for version in ("v1beta", "v1")
            for method, prefix, path, operation, handler in (
                ("POST", version, "/interactions", "create_interaction", self.members(self.create)),
                ("GET", version, "/interactions/{id}", "get_interaction", self.members(self.poll)),
                ("DELETE", version, "/interactions/{id}", "delete_interaction", self.members(self.delete)),
                ("POST", version, "/interactions/{id}/cancel", "cancel_interaction", self.members(self.cancel)),
                ("POST", f"upload/{version}", "/files", "upload_file", self.upload),
                ("GET", version, "/files/{id}", "get_file", self.members(self.file)),
                ("DELETE", version, "/files/{id}", "delete_file", self.members(self.delete_file)),
                ("POST", version, "/models/{call}", "other_call", self.members(self.other_call)),
            )
        ]

    def credentials(self, headers: Message) -> Message:
        found = Message()
        if "x-goog-api-key" in headers:
            found["api-key"] = headers["x-goog-api-key"]
        return found

    def no_key(self) -> Refusal:
        message = "Method doesn't allow unregistered callers (callers without established identity)."
        return Refusal(403, message, "PERMISSION_DENIED")

    def wrong_key(self, refusal: Refusal) -> Refusal:
        if refusal.code == "account_deactivated":
            return Refusal(403, "Permission denied: Consumer has been suspended.", "CONSUMER_SUSPENDED")
        return Refusal(400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")

    def refuse(self, refusal: Refusal) -> Response:
        return present.error(refusal, self.settings.array_errors)

    def facts(self, job: Job) -> dict[str, Any]:
        return {"broken": self._interactions[job.id]["broken"]}

    # Interactions

    def create(self, request: Request) -> Response:
        if request.body.kind != "json":
            raise rules.invalid("The body must be JSON.")
        wish = rules.wish(request.body.json, self.settings.retired)
        triggers.moderate(wish.prompt, rules.invalid("The prompt could not be submitted. Reason: SAFETY."))
        source = self._finished(request.account, wish.previous) if wish.previous else None
        job, broken = self._desk.job(request.account, wish, source, self.settings)
        kept = Interaction(job.id, request.account, wish.resolution, wish.delivery, wish.previous, wish.store, broken)
        self._save(kept)
        ordered = self.studio.add(job)
        request.created = job.id
        if not wish.background:
            self._wait(job)
            ordered = job
        return Response.of(self._present(request, ordered, kept, wish.delivery))

    def poll(self, request: Request) -> Response:
        kept, job = self._known(request)
        asked = kept.delivery if self.settings.delivery == "asked" else self.settings.delivery
        return Response.of(self._present(request, job, kept, asked))

    def cancel(self, request: Request) -> Response:
        kept, job = self._known(request)
        if self.studio.status(job)[0] in ("completed", "failed"):
            raise rules.invalid("Interaction is not running.")
        kept.cancelled = True
        self._save(kept)
        return Response.of(self._present(request, job, kept, kept.delivery))

    def delete(self, request: Request) -> Response:
        kept, job = self._known(request)
        kept.deleted = True
        self._save(kept)
        self.studio.delete(job)
        return Response.of({})

    def other_call(self, request: Request) -> Response:
        model, _, method = request.params["call"].partition(":")
        if method == "generateContent" and model in rules.MODELS:
            raise Refusal(400, "This model only supports Interactions API.", "INVALID_ARGUMENT")
        raise Refusal(404, f"models/{model} is no longer available to {method}.", "NOT_FOUND")

    # Files

    def upload(self, request: Request) -> Response:
        """Start an upload, or append bytes to one. Appending needs no API key, because the address is secret."""
        parts = request.body.files()
        if "X-Goog-Upload-Offset" not in request.headers:
            if not request.account:
                raise self.no_key()
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
        # The answer to an upload always says PROCESSING, even if the file is ACTIVE by now.
        document = {**self._files.present(made, base), "state": "PROCESSING"}
        return Response.of({"file": document}, headers={"X-Goog-Upload-Status": "final"})

    def file(self, request: Request) -> Response:
        file_id, _, method = request.params["id"].partition(":")
        file = self._files.get(request.account, file_id)
        if method == "":
            return Response.of(self._files.present(file, _base(request)))
        if method != "download" or request.query.get("alt") != "media" or file.job is None:
            raise Refusal(400, "Only generated files can be downloaded, with alt=media.", "INVALID_ARGUMENT")
        job = self.studio.get(file.account, file.job)
        if job is None:
            raise Refusal(404, "Requested entity was not found.", "NOT_FOUND")
        return Response(200, self.studio.video(job), {"Content-Type": file.mime_type})

    def delete_file(self, request: Request) -> Response:
        self._files.delete(self._files.get(request.account, request.params["id"]))
        return Response.of({})

    # Parts of operations

    def _known(self, request: Request) -> tuple[Interaction, Job]:
        kept, job = self._kept(request.params["id"]), self.studio.get(request.account, request.params["id"])
        if kept is None or job is None or not kept.stored:
            raise rules.invalid("Invalid interaction name.")  # a 400, not a 404
        return kept, job

    def _finished(self, account: str, interaction_id: str) -> Job:
        kept, job = self._kept(interaction_id), self.studio.get(account, interaction_id)
        if kept is None or job is None or not kept.stored:
            raise rules.invalid("Invalid interaction name.")
        if self.studio.status(job)[0] != "completed" or kept.broken:
            raise rules.invalid("The previous interaction has no video.")
        return job

    def _present(self, request: Request, job: Job, kept: Interaction, delivery: str) -> dict[str, Any]:
        status, _ = self.studio.status(job)
        running = status not in ("completed", "failed")
        word = triggers.status_word(job.prompt, "in_progress")
        document = present.interaction(job.id, job.model, word, job.created_at, job.prompt, kept.previous)
        if kept.cancelled:
            return document | {"status": "cancelled"}
        if running:
            self.studio.prepare(job)
            return document
        if kept.broken:
            raise rules.invalid(kept.broken)
        if status == "failed":
            return self._failed(job, document)
        document["status"] = "completed"
        if delivery == "inline":
            return present.with_video(document, self.studio.video(job), kept.resolution, job.seconds)
        file_id = hashlib.sha256(job.id.encode()).hexdigest()[:12]
        made = self._files.put(
            File(file_id, job.account, "video/mp4", self.studio.video(job).stat().st_size, job=job.id)
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
        while self.studio.status(job)[0] not in ("completed", "failed") and time.monotonic() < until:
            time.sleep(0.02)

    def _kept(self, interaction_id: str) -> Interaction | None:
        row = self._interactions.get(interaction_id)
        return Interaction(**row) if row else None

    def _save(self, kept: Interaction) -> None:
        self._interactions.put(kept.id, dataclasses.asdict(kept))


def _base(request: Request) -> str:
    version = next(part for part in request.path.split("/") if part in ("v1beta", "v1"))
    return f"http://{request.headers['Host']}/{version}"

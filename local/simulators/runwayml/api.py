"""Runway's API as documented: three operations that create a task, tasks, uploads, and the addresses of outputs."""

from __future__ import annotations

import math
import re
import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

from local.simulators.runwayml import models
from local.simulators.runwayml.assets import Assets, issue
from local.simulators.runwayml.settings import Settings
from local.simulators.shared import triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.keyed import KeyedProvider
from local.simulators.shared.provider import Caller, Request, Response, Route
from local.simulators.shared.studio import Job

VERSION = "2024-11-06"
_DOCS = "https://docs.dev.runwayml.com/api"
_OPERATIONS = {"text_to_video": "generate", "image_to_video": "generate", "video_to_video": "edit"}


class RunwayProvider(KeyedProvider[Settings]):
    """The simulated Runway API."""

    def __init__(self, state: Path, settings: Settings) -> None:
        super().__init__(state, settings)
        self._assets = Assets(self.store, self.vault, self.folder, lambda: self.settings)
        self.parts.append(self._assets)

    def operations(self) -> Iterable[Route]:
        return [
            *(Route("POST", f"/v1/{endpoint}", endpoint, self.members(self.order)) for endpoint in models.REQUESTS),
            Route("GET", "/v1/tasks/{id}", "get_task", self.members(self.get_task)),
            Route("DELETE", "/v1/tasks/{id}", "delete_task", self.members(self.delete_task)),
            Route("POST", "/v1/uploads", "create_upload", self.members(self.create_upload)),
            Route("POST", "/uploads/{id}", "send_file", self.send_file),
            Route("GET", "/outputs/{id}/{until}", "get_content", self.content),
        ]

    def authorise(self, caller: Caller, headers: Message) -> str:
        account = super().authorise(caller, headers)
        if account and headers.get("X-Runway-Version") != VERSION:
            raise Refusal(400, f"Send the header X-Runway-Version: {VERSION}.")
        return account

    def no_key(self) -> Refusal:
        return Refusal(401, "You did not provide an API key.")

    def refuse(self, refusal: Refusal) -> Response:
        body: dict[str, Any] = {"error": refusal.message, "docUrl": _DOCS}
        if refusal.code == "custom" and refusal.param is not None:
            path = [int(part) if part.isdecimal() else part for part in refusal.param.split(".")]
            body["issues"] = [{"code": "custom", "message": refusal.message, "path": path}]
            body["error"] = "Validation of body failed"
        return Response.of(body, refusal.status, refusal.headers)

    def facts(self, job: Job) -> dict[str, Any]:
        return self._present(job, "")

    # Operations

    def order(self, request: Request) -> Response:
        endpoint = request.path.rpartition("/")[2]
        body = _document(request)
        model = body.get("model")
        known = models.REQUESTS[endpoint].get(model) if isinstance(model, str) else None
        if known is None or model in self.settings.retired:
            raise issue("model", "Invalid input: no such model")
        _check(known, body)
        if wrong := models.combined(endpoint, str(model), body):
            raise issue(*wrong)
        job = self._job(request.account, endpoint, str(model), body)
        self._furnish(job, known, body)
        if self._cost(job) > self.settings.credits:
            raise Refusal(400, "You do not have enough credits to run this task.")
        self.studio.add(job)
        request.created = job.id
        return Response.of({"id": job.id, "estimatedCost": {"credits": self._cost(job)}})

    def get_task(self, request: Request) -> Response:
        job = self._task(request)
        self.studio.prepare(job)
        return Response.of(self._present(job, str(request.headers["Host"])))

    def delete_task(self, request: Request) -> Response:
        self.studio.delete(self._task(request))  # in any state: deleting a running task cancels it
        return Response(204)

    def create_upload(self, request: Request) -> Response:
        upload = self._assets.begin_upload(request.account, _document(request), str(request.headers["Host"]))
        request.created = upload["runwayUri"]
        return Response.of(upload)

    def send_file(self, request: Request) -> Response:
        if request.account:
            raise Refusal(400, "Only one auth mechanism is allowed: this address takes no Authorization header.")
        self._assets.receive(request.params["id"], request.body)
        return Response(204)

    def content(self, request: Request) -> Response:
        """Return the file to anyone who has its address. Raises Refusal if the request carries an API key."""
        if request.account:
            raise Refusal(400, "Only one auth mechanism is allowed: this address takes no Authorization header.")
        job = self.addressed(request)
        if job is None:
            raise Refusal(403, "The signature of this address has expired.")
        return self.sent(job)

    # Parts of operations

    def _task(self, request: Request) -> Job:
        job = self.studio.get(request.account, request.params["id"])
        if job is None:
            raise Refusal(404, "An asset or task with this ID was not found.")
        return job

    def _job(self, account: str, endpoint: str, model: str, body: dict[str, Any]) -> Job:
        width, height = (int(side) for side in str(body.get("ratio", "1280:720")).split(":"))
        length = body.get("duration", 5)
        seconds = 5 if length == "auto" else int(length)
        operation = "extend" if body.get("mode") == "extend" else _OPERATIONS[endpoint]
        prompt = str(body.get("promptText", ""))
        return Job(str(uuid.uuid4()), account, operation, model, prompt, seconds, width, height)

    def _furnish(self, job: Job, known: models.Request, body: dict[str, Any]) -> None:
        """Fetch the files of a request and add them to the job. Raises Refusal."""
        prompt_image = body.get("promptImage", [])
        entries = [{"uri": prompt_image, "position": "first"}] if isinstance(prompt_image, str) else prompt_image
        for index, entry in enumerate(entries):
            key, *_ = self._assets.take(job.account, entry["uri"], "image", f"promptImage.{index}.uri")
            if entry.get("position") == "first":
                job.first_frame = key
            else:
                job.roles.append((entry.get("position") or f"Image {index + 1}", key))
        for index, entry in enumerate(body.get("references", [])):
            key, *_ = self._assets.take(job.account, entry["uri"], "image", f"references.{index}.uri")
            job.roles.append((f"Image {index + 1}", key))
        total = 0.0
        for index, entry in enumerate(body.get("referenceVideos", [])):
            path = f"referenceVideos.{index}.uri"
            key, seconds, *_ = self._assets.take(job.account, entry["uri"], "video", path)
            shortest, longest, total_limit = known.clip_seconds
            total += seconds
            if not shortest <= seconds <= longest or total > total_limit:
                raise issue(path, f"Asset duration must be {shortest} to {longest} seconds, {total_limit} in total")
            job.roles.append((f"Video {index + 1}", key))
        if source := body.get("videoUri") or body.get("promptVideo"):
            self._take_source(job, known, body, source)

    def _take_source(self, job: Job, known: models.Request, body: dict[str, Any], uri: str) -> None:
        field = "videoUri" if "videoUri" in body else "promptVideo"
        key, duration, width, height = self._assets.take(job.account, uri, "video", field)
        shortest, longest = known.source_seconds
        if not shortest <= duration <= longest:
            raise issue(field, f"Asset duration must be {shortest} to {longest} seconds")
        if body.get("mode") == "reference":
            job.operation = "generate"
            job.roles.append(("Video 1", key))
            return
        job.source_file, job.width, job.height = key, width // 2 * 2, height // 2 * 2
        seconds = max(1, math.floor(duration + 0.5))
        if job.operation == "extend":
            job.source_seconds = seconds  # the output holds source and extension, as with Google's own API
        else:
            job.seconds = seconds

    def _cost(self, job: Job) -> int:
        return job.seconds * models.price(job.model, job.width, job.height)

    def _present(self, job: Job, host: str) -> dict[str, Any]:
        status, progress = self.studio.status(job)
        made = datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        task: dict[str, Any] = {"id": job.id, "createdAt": made}
        estimated = {"estimatedCost": {"credits": self._cost(job)}}
        if status == "queued":
            return task | {"status": "THROTTLED" if self._throttled(job) else "PENDING"} | estimated
        if status == "in_progress":
            word = "RUNNING" if triggers.status_word(job.prompt, status) == status else "POST_PROCESSING"
            return task | {"status": word, "progress": progress / 100} | estimated
        if failure := _failure(job.prompt):
            text, code = failure
            return task | {"status": "FAILED", "failure": text, "failureCode": code, "cost": {"credits": 0}}
        until = int(time.time() + self.settings.output_seconds)
        url = f"http://{host}/outputs/{job.id}/{until}.mp4?_jwt={secrets.token_urlsafe(16)}"
        return task | {"status": "SUCCEEDED", "output": [url], "cost": {"credits": self._cost(job)}}

    def _throttled(self, job: Job) -> bool:
        limit = self.settings.concurrency
        others = [one for one in self.studio.list(job.account) if one.created < job.created]
        return 0 < limit <= sum(self.studio.status(one)[0] in {"queued", "in_progress"} for one in others)


def _failure(prompt: str) -> tuple[str, str] | None:
    if re.search(r"\bforbidden\b", prompt, re.IGNORECASE):
        return "The text was not accepted by the moderation of inputs.", "SAFETY.INPUT.TEXT"
    match triggers.fate(prompt):
        case "moderation":
            return "The video was not accepted by the moderation of outputs.", "SAFETY.OUTPUT.VIDEO"
        case "internal":
            return "The task could not be completed.", "INTERNAL.BAD_OUTPUT.CODE01"
    return None


def _document(request: Request) -> dict[str, Any]:
    if request.body.kind != "json" or not isinstance(request.body.json, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return request.body.json


def _check(known: models.Request, body: dict[str, Any]) -> None:
    for name in known.required:
        if name not in body:
            raise issue(name, "Invalid input: required")
    checks = known.required | known.optional
    for name, value in body.items():
        if name == "model":
            continue
        if name not in checks:
            raise issue(name, f"Unrecognized key: {name!r}")
        if wrong := checks[name](value):
            raise issue(name, wrong)

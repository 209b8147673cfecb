"""xAI's video API as documented: generate, edit, extend, poll, and the addresses of the videos."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from local.simulators.shared import footage, triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.keyed import KeyedProvider, Rows
from local.simulators.shared.provider import Request, Response, Route
from local.simulators.shared.studio import Job
from local.simulators.xai import present, rules
from local.simulators.xai.settings import Settings

_IMAGE_LIMIT = 10 * 1024 * 1024
_VIDEO_LIMIT = 50 * 1024 * 1024


class XaiProvider(KeyedProvider[Settings]):
    """The simulated xAI API."""

    content_folder = "vidgen"

    def __init__(self, state: Path, settings: Settings) -> None:
        super().__init__(state, settings)
        self._faults = Rows(self.store, "fault")  # errors of accepted requests, reported at the end of their jobs
        self.parts.append(self._faults)

    def operations(self) -> Iterable[Route]:
        return [
            Route("POST", "/v1/videos/generations", "create_video", self.members(self.create)),
            Route("POST", "/v1/videos/edits", "edit_video", self.members(self.edit)),
            Route("POST", "/v1/videos/extensions", "extend_video", self.members(self.extend)),
            Route("GET", "/v1/videos/{id}", "get_video", self.members(self.poll)),
            Route("GET", "/vidgen/{id}/{until}", "get_content", self.content),
        ]

    def no_key(self) -> Refusal:
        return Refusal(401, "No API key: send it as 'Authorization: Bearer KEY'.", "unauthenticated")

    def wrong_key(self, refusal: Refusal) -> Refusal:
        """Build the Refusal for a key that is not valid: xAI answers 400, not 401."""
        return Refusal(400, f"{refusal.message} Keys are made in the console.", "invalid-argument")

    def refuse(self, refusal: Refusal) -> Response:
        return present.error(refusal, self.settings)

    def facts(self, job: Job) -> dict[str, Any]:
        fault = self._faults.get(job.id)
        return {"fault": fault and [fault["code"], fault["message"]]}

    # Operations

    def create(self, request: Request) -> Response:
        given = rules.fields("generate", _document(request))
        name, model = self._model(given)
        images = [rules.address(given["image"], "image")] if "image" in given else []
        references = rules.addresses(given, "reference_images")
        prompt = rules.text(given, "prompt", required=not images)
        length = rules.seconds(given, 1, 15, 8)
        ratio = rules.choice(given, "aspect_ratio", rules.RATIOS, "16:9")
        resolution = rules.choice(given, "resolution", tuple(rules.RESOLUTIONS), "480p")
        rules.generation(given, model, resolution, length, len(references))
        triggers.moderate(prompt, _unsafe())
        width, height = rules.pixels(ratio, resolution)
        job = Job(str(uuid.uuid4()), request.account, "generate", name, prompt, length, width, height)
        return self._start(request, job, lambda: self._dress(job, images, references, rules.RESOLUTIONS[resolution]))

    def edit(self, request: Request) -> Response:
        return self._remake(request, "edit")

    def extend(self, request: Request) -> Response:
        return self._remake(request, "extend")

    def poll(self, request: Request) -> Response:
        job = self.studio.get(request.account, request.params["id"])
        if job is None:
            raise Refusal(404, f"Request {request.params['id']} was not found", "not-found")
        status, progress = self.studio.status(job)
        if status in {"queued", "in_progress"}:
            return present.pending(status, progress, job.prompt, self.settings)
        if fault := self._faults.get(job.id):
            return present.failed(fault["code"], fault["message"])
        if triggers.fate(job.prompt) == "moderation":
            return present.withheld(job, self.settings)
        if status == "failed":
            return present.failed("internal_error", "The video could not be generated because of an internal error.")
        self.studio.prepare(job)
        return present.done(job, self.address(request, job, self.settings.output_seconds))

    def content(self, request: Request) -> Response:
        """Return the file to anyone who has its address. Raises Refusal if the request carries an API key."""
        if request.headers.get("Authorization"):
            raise Refusal(400, "The host of videos was sent an API key.", "key_leaked")
        job = self.addressed(request)
        if job is None:
            raise Refusal(403, "The address has expired.", "permission-denied")
        return self.sent(job)

    # Parts of operations

    def _model(self, given: rules.Fields) -> tuple[str, rules.Model]:
        name = rules.text(given, "model", required=True)
        if name not in self.settings.models or name in self.settings.retired:
            raise Refusal(404, f"The model {name} does not exist or your team has no access to it.", "not-found")
        return name, rules.MODELS[name]

    def _remake(self, request: Request, operation: str) -> Response:
        given = rules.fields(operation, _document(request))
        name, _ = self._model(given)
        prompt = rules.text(given, "prompt", required=True)
        url = rules.address(given.get("video"), "video")
        length = rules.seconds(given, 2, 10, 6) if operation == "extend" else 0
        triggers.moderate(prompt, _unsafe())
        job = Job(str(uuid.uuid4()), request.account, operation, name, prompt, length or 1, 848, 480)
        return self._start(request, job, lambda: self._take_clip(job, url))

    def _start(self, request: Request, job: Job, furnish: Callable[[], None]) -> Response:
        """Accept the request even if `furnish` finds an error in a file: the finished job reports the error."""
        try:
            furnish()
        except Refusal as refusal:
            self._faults.put(job.id, {"code": refusal.code or "invalid_argument", "message": refusal.message})
        self.studio.add(job)
        request.created = job.id
        return Response.of({"request_id": job.id})

    def _dress(self, job: Job, images: list[str], references: list[str], short: int) -> None:
        """Add first frame and references to the job. The video gets the aspect ratio of its first frame."""
        for url in images:
            job.first_frame = self._image(url, "image")
            facts = footage.probe_image(self.vault.path(job.first_frame))
            job.width, job.height = rules.scaled(facts.width, facts.height, short)
        for number, url in enumerate(references, 1):
            job.roles.append((f"<IMAGE_{number}>", self._image(url, f"reference_images[{number - 1}]")))

    def _take_clip(self, job: Job, url: str) -> None:
        if job.model != "grok-imagine-video":
            raise Refusal(400, f"{job.model} does not support this operation.", "failed_precondition")
        try:
            key, facts = self.inputs.video(self.inputs.fetch(url, "video", _VIDEO_LIMIT), "video", ("mp4",))
        except Refusal as refusal:
            raise Refusal(400, refusal.message, "invalid_argument") from refusal
        low, high = rules.EXTEND_SECONDS if job.operation == "extend" else (0.0, rules.EDIT_SECONDS)
        if not low <= facts.duration <= high:
            message = f"The input video is {facts.duration:.1f} s long; expected {low:g} to {high:g} s."
            raise Refusal(400, message, "invalid_argument")
        seconds = max(1, math.floor(facts.duration + 0.5))
        job.source_file = key
        job.width, job.height = rules.scaled(facts.width, facts.height, min(720, facts.width, facts.height) // 2 * 2)
        if job.operation == "extend":
            job.source_seconds = seconds
        else:
            job.seconds = seconds

    def _image(self, url: str, name: str) -> str:
        try:
            return self.inputs.image(self.inputs.fetch(url, name, _IMAGE_LIMIT), name)
        except Refusal as refusal:
            raise Refusal(400, refusal.message, "invalid_argument") from refusal


def _document(request: Request) -> Any:
    if request.body.kind != "json":
        raise Refusal(415, "Expected request with `Content-Type: application/json`", None)
    return request.body.json


def _unsafe() -> Refusal:
    message = "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_SIMULATED"
    return Refusal(403, message, "permission-denied")

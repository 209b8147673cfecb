"""xAI's video API as the contract has it: generate, edit, extend, poll, and the addresses where videos lie."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from local.simulators import footage
from local.simulators.clock import Clock
from local.simulators.errors import Refusal
from local.simulators.provider import Caller, Provider, Request, Response, Route
from local.simulators.shared import triggers
from local.simulators.shared.accounts import Accounts
from local.simulators.shared.inputs import Inputs
from local.simulators.shared.studio import Job, Studio
from local.simulators.store import Store, Vault
from local.simulators.xai import present, rules
from local.simulators.xai.settings import Settings

_IMAGE_LIMIT = 10 * 1024 * 1024
_VIDEO_LIMIT = 50 * 1024 * 1024


class XaiProvider(Provider):
    """One server with all its accounts; everything it remembers is under `state`."""

    settings: Settings

    def __init__(self, state: Path, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(state)
        self.folder = state / "incoming"
        Vault(self.folder).clear()  # what a process that died left there
        self._vault = Vault(state / "files")
        self._clock = Clock(settings.speed)
        self._inputs = Inputs(self._vault, self.folder)
        self._accounts = Accounts(self.store)
        self._studio = Studio(self.store, self._vault, state / "renders", self._clock, settings)
        # What is wrong with an accepted order and shows only at its end: (code, message) by job.
        self._faults = {row["job"]: (row["code"], row["message"]) for row in self.store.load("fault")}
        self._routes = [
            Route("POST", "/v1/videos/generations", "create_video", self._for_members(self.create)),
            Route("POST", "/v1/videos/edits", "edit_video", self._for_members(self.edit)),
            Route("POST", "/v1/videos/extensions", "extend_video", self._for_members(self.extend)),
            Route("GET", "/v1/videos/{id}", "get_video", self._for_members(self.poll)),
            Route("GET", "/vidgen/{id}/{until}", "get_content", self.content),
        ]

    # The shared server's side

    def routes(self) -> Iterable[Route]:
        return self._routes

    def identify(self, headers: Message) -> Caller:
        return self._accounts.identify(headers)

    def authorise(self, caller: Caller, headers: Message) -> str:
        """The account, or '' for a request without a key: videos are fetched so."""
        if not headers.get("Authorization"):
            return ""
        try:
            return self._accounts.authorise(caller, headers)
        except Refusal as refusal:  # a wrong key is a bad argument here
            raise Refusal(400, f"{refusal.message} Keys are made in the console.", "invalid-argument") from refusal

    def refuse(self, refusal: Refusal) -> Response:
        return present.error(refusal, self.settings)

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
                "fault": self._faults.get(job.id),
            }
            for job in self._studio.list()
        ]

    def configure(self, changes: dict[str, Any]) -> None:
        self.settings = Settings.model_validate({**self.settings.model_dump(), **changes})
        self._studio.settings = self.settings
        self._clock.set_speed(self.settings.speed)

    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        self._accounts.revoke(account, key, restore)

    def reset(self) -> None:
        for part in (self._studio, self._accounts, self._vault):
            part.clear()
        self._faults.clear()
        self.store.clear("fault")

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
        _moderate(prompt)
        width, height = rules.pixels(ratio, resolution)
        job = Job(str(uuid.uuid4()), request.account, "generate", name, prompt, length, width, height)
        return self._start(request, job, lambda: self._dress(job, images, references, rules.RESOLUTIONS[resolution]))

    def edit(self, request: Request) -> Response:
        return self._remake(request, "edit")

    def extend(self, request: Request) -> Response:
        return self._remake(request, "extend")

    def poll(self, request: Request) -> Response:
        job = self._studio.get(request.account, request.params["id"])
        if job is None:
            raise Refusal(404, f"Request {request.params['id']} was not found", "not-found")
        status, progress = self._studio.status(job)
        if status in {"queued", "in_progress"}:
            return present.pending(status, progress, job.prompt, self.settings)
        if job.id in self._faults:
            return present.failed(*self._faults[job.id])
        if triggers.fate(job.prompt) == "moderation":
            return present.withheld(job, self.settings)
        if status == "failed":
            return present.failed("internal_error", "The video could not be generated because of an internal error.")
        self._studio.prepare(job)
        until = int(time.time() + self.settings.output_seconds)
        return present.done(job, f"http://{request.headers['Host']}/vidgen/{job.id}/{until}.mp4")

    def content(self, request: Request) -> Response:
        """The file, for whoever has its address; a key has no business here."""
        if request.headers.get("Authorization"):
            raise Refusal(400, "The host of videos was sent an API key.", "key_leaked")
        until = request.params["until"].removesuffix(".mp4")
        job = next((job for job in self._studio.list() if job.id == request.params["id"]), None)
        if job is None or not until.isdecimal() or int(until) <= time.time():
            raise Refusal(403, "The address has expired.", "permission-denied")
        return Response(200, self._studio.video(job), {"Content-Type": "video/mp4"})

    # Parts of operations

    def _for_members(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def checked(request: Request) -> Response:
            if not request.account:
                raise Refusal(401, "No API key: send it as 'Authorization: Bearer KEY'.", "unauthenticated")
            return handler(request)

        return checked

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
        _moderate(prompt)
        job = Job(str(uuid.uuid4()), request.account, operation, name, prompt, length or 1, 848, 480)
        return self._start(request, job, lambda: self._take_clip(job, url))

    def _start(self, request: Request, job: Job, furnish: Callable[[], None]) -> Response:
        """Takes the order whatever it brings: faults of content are told by the finished job."""
        try:
            furnish()
        except Refusal as refusal:
            fault = (refusal.code or "invalid_argument", refusal.message)
            self._faults[job.id] = fault
            self.store.put("fault", job.id, {"job": job.id, "code": fault[0], "message": fault[1]})
        self._studio.add(job)
        request.created = job.id
        return Response.of({"request_id": job.id})

    def _dress(self, job: Job, images: list[str], references: list[str], short: int) -> None:
        """Puts first frame and references into the job; the video follows the shape of its first frame."""
        for url in images:
            job.first_frame = self._image(url, "image")
            facts = footage.probe_image(self._vault.path(job.first_frame))
            job.width, job.height = rules.scaled(facts.width, facts.height, short)
        for number, url in enumerate(references, 1):
            job.roles.append((f"<IMAGE_{number}>", self._image(url, f"reference_images[{number - 1}]")))

    def _take_clip(self, job: Job, url: str) -> None:
        if job.model != "grok-imagine-video":
            raise Refusal(400, f"{job.model} does not support this operation.", "failed_precondition")
        try:
            key, facts = self._inputs.video(self._inputs.fetch(url, "video", _VIDEO_LIMIT), "video", ("mp4",))
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
            return self._inputs.image(self._inputs.fetch(url, name, _IMAGE_LIMIT), name)
        except Refusal as refusal:
            raise Refusal(400, refusal.message, "invalid_argument") from refusal


def _document(request: Request) -> Any:
    if request.body.kind != "json":
        raise Refusal(415, "Expected request with `Content-Type: application/json`", None)
    return request.body.json


def _moderate(prompt: str) -> None:
    try:
        triggers.moderate(prompt, "prompt")
    except Refusal as refusal:
        message = "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_SIMULATED"
        raise Refusal(403, message, "permission-denied") from refusal

"""MiniMax's second video API as the contract has it: create, query, list, delete, and where the videos lie."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from local.simulators.clock import Clock
from local.simulators.errors import Refusal
from local.simulators.minimax import rules
from local.simulators.minimax.media import Media
from local.simulators.minimax.settings import Settings
from local.simulators.provider import Caller, Provider, Request, Response, Route
from local.simulators.shared import triggers
from local.simulators.shared.accounts import Accounts
from local.simulators.shared.inputs import Inputs
from local.simulators.shared.studio import Job, Studio
from local.simulators.store import Store, Vault

_WORDS = {"queued": "queued", "in_progress": "running", "completed": "succeeded", "failed": "failed"}
_FAILURES = {
    "moderation": {"code": "1027", "message": "output video contains sensitive content (1027)"},
    "internal": {"code": "1000", "message": "internal error (1000)"},
}
# HTTP status -> their word for it, and the code where a refusal brings none of theirs.
_ERRORS = {
    400: ("bad_request_error", "2013"),
    401: ("authorized_error", "1004"),
    402: ("insufficient_balance_error", "1008"),
    422: ("unprocessable_entity_error", "1026"),
    429: ("rate_limit_error", "1002"),
}
_TASK, _TASKS = "/v2/query/video_generation/{id}", "/v2/query/video_generation"


class MiniMaxProvider(Provider):
    """One server with all its accounts; everything it remembers is under `state`."""

    settings: Settings

    def __init__(self, state: Path, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(state)
        self.folder = state / "incoming"
        Vault(self.folder).clear()  # what a process that died left there
        self._vault = Vault(state / "files")
        self._clock = Clock(settings.speed)
        self._media = Media(self._vault, Inputs(self._vault, self.folder), settings)
        self._accounts = Accounts(self.store)
        self._studio = Studio(self.store, self._vault, state / "renders", self._clock, settings)
        # What a task is beside its job: resolution, ratio, what went in, and whether it was cancelled.
        self._tasks = {row["id"]: row for row in self.store.load("task")}
        self._routes = [
            Route("POST", "/v2/video_generation", "create_video", self._for_members(self.create)),
            Route("GET", _TASK, "get_task", self._for_members(self.get_task)),
            Route("GET", _TASKS, "list_tasks", self._for_members(self.list_tasks)),
            Route("DELETE", "/v2/video_generation/{id}", "delete_task", self._for_members(self.delete_task)),
            Route("GET", "/videos/{id}/{until}", "get_content", self.content),
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
        except Refusal as refusal:
            raise Refusal(401, "invalid api key", "2049") from refusal

    def refuse(self, refusal: Refusal) -> Response:
        word, usual = _ERRORS.get(refusal.status, ("server_error", "1000"))
        code = refusal.code if refusal.code and refusal.code.isdecimal() else usual
        if self.settings.error_shape == "base_resp":
            said = {"status_code": int(code), "status_msg": refusal.message}
            return Response.of({"task_id": "", "base_resp": said}, 200, refusal.headers)
        error = {"type": word, "message": f"{refusal.message} ({code})", "http_code": str(refusal.status)}
        body = {"type": "error", "error": error, "request_id": secrets.token_hex(16)}
        return Response.of(body, refusal.status, refusal.headers)

    def jobs(self) -> list[dict[str, Any]]:
        return [
            {
                "id": job.id,
                "account": job.account,
                "operation": job.operation,
                "model": job.model,
                "prompt": job.prompt,
                "status": self._studio.status(job)[0],
                "seconds": job.seconds,
                "size": f"{job.width}x{job.height}",
                "references": job.roles,
                "deleted": job.deleted,
            }
            for job in self._studio.list()
        ]

    def configure(self, changes: dict[str, Any]) -> None:
        self.settings = Settings.model_validate({**self.settings.model_dump(), **changes})
        self._studio.settings = self._media.settings = self.settings
        self._clock.set_speed(self.settings.speed)

    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        self._accounts.revoke(account, key, restore)

    def reset(self) -> None:
        for part in (self._studio, self._accounts, self._vault):
            part.clear()
        self._tasks.clear()
        self.store.clear("task")

    # Operations

    def create(self, request: Request) -> Response:
        if request.body.kind != "json":
            raise rules.invalid("the body must be JSON")
        wish = rules.wish(request.body.json, self.settings.retired)
        self._admit(request.account)
        try:
            triggers.moderate(wish.prompt, "content")
        except Refusal as refusal:
            raise Refusal(422, "video description contains sensitive content", "1026") from refusal
        job = Job(_new_id(), request.account, "generate", wish.model, wish.prompt, wish.seconds, 0, 0)
        self._remember(job, self._furnished(job, wish))
        self._studio.add(job)
        request.created = job.id
        return Response.of({"task_id": job.id})

    def get_task(self, request: Request) -> Response:
        return Response.of({"task": self._present(self._task(request), request)})

    def list_tasks(self, request: Request) -> Response:
        number, size = request.query.get("page_num", "1"), request.query.get("page_size", "20")
        if not number.isdecimal() or not size.isdecimal() or not int(number) or not 1 <= int(size) <= 100:
            raise rules.invalid("page_num must be 1 or more, page_size 1 to 100")
        jobs = self._studio.list(request.account)[::-1]
        page = jobs[(int(number) - 1) * int(size) :][: int(size)]
        return Response.of({"items": [self._present(job, request) for job in page], "total": len(jobs)})

    def delete_task(self, request: Request) -> Response:
        job = self._task(request)
        if self._studio.status(job)[0] == "queued":
            self._remember(job, {**self._tasks[job.id], "cancelled": True})
            return Response.of({"task_id": job.id, "status": "cancelled"})
        self._studio.delete(job)
        return Response.of({"task_id": job.id, "status": "deleted"})

    def content(self, request: Request) -> Response:
        """The file, for whoever has its address; a key has no business here."""
        if request.account:
            raise rules.invalid("the host of videos was sent an API key")
        until = request.params["until"].removesuffix(".mp4")
        job = next((job for job in self._studio.list() if job.id == request.params["id"]), None)
        if job is None or job.deleted or not until.isdecimal() or int(until) <= time.time():
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        return Response(200, self._studio.video(job), {"Content-Type": "video/mp4"})

    # Parts of operations

    def _for_members(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def checked(request: Request) -> Response:
            if not request.account:
                message = "login fail: Please carry the API secret key in the 'Authorization' field of the header"
                raise Refusal(401, message, "1004")
            return handler(request)

        return checked

    def _admit(self, account: str) -> None:
        """Money and room."""
        if account in self.settings.arrears:
            raise Refusal(402, "insufficient balance", "1008")
        running = [job for job in self._studio.list(account) if self._word(job) in {"queued", "running"}]
        if self.settings.concurrency and len(running) >= self.settings.concurrency:
            raise Refusal(429, "rate limit, please retry later", "1002")

    def _task(self, request: Request) -> Job:
        job = self._studio.get(request.account, request.params["id"])
        if job is None:
            raise Refusal(500, "record not found", "1000")
        if job.created_at + self.settings.known_seconds <= time.time():
            raise rules.invalid("invalid task_id")
        return job

    def _furnished(self, job: Job, wish: rules.Wish) -> dict[str, Any]:
        """Fetches what the order brings and puts it into the job; returns what else there is to know of it."""
        shapes: list[tuple[int, int]] = []
        images = wish.of("first_frame") + wish.of("last_frame") + wish.of("reference_image")
        for number, url in enumerate(images, 1):
            key, picture = self._media.image(url)
            shapes.append((picture.width, picture.height))
            if url in wish.of("first_frame"):
                job.first_frame = key
            else:
                job.roles.append(("Last frame" if url in wish.of("last_frame") else f"Image {number}", key))
        clips = self._media.videos(wish.of("reference_video"))
        job.roles += [(f"Video {number}", key) for number, (key, _) in enumerate(clips, 1)]
        shapes += [(facts.width, facts.height) for _, facts in clips]
        follows = wish.ratio == "adaptive" or job.first_frame is not None or wish.of("last_frame")
        ratio = rules.nearest(*shapes[0]) if follows else wish.ratio
        job.width, job.height = rules.pixels(wish.resolution, ratio)
        seconds = sum(math.ceil(facts.duration - 0.05) for _, facts in clips)
        return {"resolution": wish.resolution, "ratio": ratio, "seconds": seconds, "images": len(images)}

    def _remember(self, job: Job, facts: dict[str, Any]) -> None:
        self._tasks[job.id] = {**facts, "id": job.id}
        self.store.put("task", job.id, self._tasks[job.id])

    def _word(self, job: Job) -> str:
        if self._tasks[job.id].get("cancelled"):
            return "cancelled"
        status = self._studio.status(job)[0]
        return _WORDS.get(triggers.status_word(job.prompt, status), "post_processing")

    def _present(self, job: Job, request: Request) -> dict[str, Any]:
        facts, word = self._tasks[job.id], self._word(job)
        task: dict[str, Any] = {
            "id": job.id,
            "model": job.model,
            "status": word,
            "created_at": job.created_at,
            "updated_at": int(job.completed_at or time.time()),
            "resolution": facts["resolution"],
            "duration": job.seconds,
            "ratio": facts["ratio"],
            "task_type": "generation",
            "modality": "video",
        }
        if word in {"running", "post_processing"}:
            self._studio.prepare(job)
        if word == "failed":
            task["error"] = _FAILURES[triggers.fate(job.prompt)]
        if word == "succeeded":
            until = int(time.time() + self.settings.output_seconds)
            task["content"] = {"url": f"http://{request.headers['Host']}/videos/{job.id}/{until}.mp4"}
            seconds = {"input_seconds": facts["seconds"], "output_seconds": job.seconds}
            total = facts["seconds"] + job.seconds
            task["usage"] = {"total_seconds": total, **seconds, "input_image_count": facts["images"]}
        return task


def _new_id() -> str:
    """Fifteen digits, in a string."""
    return str(400_000_000_000_000 + secrets.randbelow(100_000_000_000_000))

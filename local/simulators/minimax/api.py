"""MiniMax's second video API as documented: create, query, list, delete, and the addresses of the videos."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from local.simulators.minimax import rules
from local.simulators.minimax.media import Media
from local.simulators.minimax.settings import Settings
from local.simulators.shared import triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.keyed import KeyedProvider, Rows, expired
from local.simulators.shared.provider import Request, Response, Route
from local.simulators.shared.studio import Job

_WORDS = {"queued": "queued", "in_progress": "running", "completed": "succeeded", "failed": "failed"}
_FAILURES = {
    "moderation": {"code": "1027", "message": "output video contains sensitive content (1027)"},
    "internal": {"code": "1000", "message": "internal error (1000)"},
}
# HTTP status -> the error type in the answer, and the code if the refusal itself has none.
_ERRORS = {
    400: ("bad_request_error", "2013"),
    401: ("authorized_error", "1004"),
    402: ("insufficient_balance_error", "1008"),
    422: ("unprocessable_entity_error", "1026"),
    429: ("rate_limit_error", "1002"),
}
_TASK, _TASKS = "/v2/query/video_generation/{id}", "/v2/query/video_generation"


class MiniMaxProvider(KeyedProvider[Settings]):
    """The simulated MiniMax API."""

    content_folder = "videos"

    def __init__(self, state: Path, settings: Settings) -> None:
        super().__init__(state, settings)
        self._media = Media(self.vault, self.inputs, lambda: self.settings)
        # The facts of a task that its job does not hold: resolution, ratio, inputs, and whether it was cancelled.
        self._tasks = Rows(self.store, "task")
        self.parts.append(self._tasks)

    def operations(self) -> Iterable[Route]:
        return [
            Route("POST", "/v2/video_generation", "create_video", self.members(self.create)),
            Route("GET", _TASK, "get_task", self.members(self.get_task)),
            Route("GET", _TASKS, "list_tasks", self.members(self.list_tasks)),
            Route("DELETE", "/v2/video_generation/{id}", "delete_task", self.members(self.delete_task)),
            Route("GET", "/videos/{id}/{until}", "get_content", self.content),
        ]

    def no_key(self) -> Refusal:
        message = "login fail: Please carry the API secret key in the 'Authorization' field of the header"
        return Refusal(401, message, "1004")

    def wrong_key(self, refusal: Refusal) -> Refusal:
        return Refusal(401, "invalid api key", "2049")

    def refuse(self, refusal: Refusal) -> Response:
        word, usual = _ERRORS.get(refusal.status, ("server_error", "1000"))
        code = refusal.code if refusal.code and refusal.code.isdecimal() else usual
        if self.settings.error_shape == "base_resp":
            said = {"status_code": int(code), "status_msg": refusal.message}
            return Response.of({"task_id": "", "base_resp": said}, 200, refusal.headers)
        error = {"type": word, "message": f"{refusal.message} ({code})", "http_code": str(refusal.status)}
        body = {"type": "error", "error": error, "request_id": secrets.token_hex(16)}
        return Response.of(body, refusal.status, refusal.headers)

    # Operations

    def create(self, request: Request) -> Response:
        if request.body.kind != "json":
            raise rules.invalid("the body must be JSON")
        wish = rules.wish(request.body.json, self.settings.retired)
        self._admit(request.account)
        triggers.moderate(wish.prompt, Refusal(422, "video description contains sensitive content", "1026"))
        job = Job(_new_id(), request.account, "generate", wish.model, wish.prompt, wish.seconds, 0, 0)
        self._tasks.put(job.id, self._furnished(job, wish))
        self.studio.add(job)
        request.created = job.id
        return Response.of({"task_id": job.id})

    def get_task(self, request: Request) -> Response:
        return Response.of({"task": self._present(self._task(request), request)})

    def list_tasks(self, request: Request) -> Response:
        number, size = request.query.get("page_num", "1"), request.query.get("page_size", "20")
        if not number.isdecimal() or not size.isdecimal() or not int(number) or not 1 <= int(size) <= 100:
            raise rules.invalid("page_num must be 1 or more, page_size 1 to 100")
        jobs = self.studio.list(request.account)[::-1]
        page = jobs[(int(number) - 1) * int(size) :][: int(size)]
        return Response.of({"items": [self._present(job, request) for job in page], "total": len(jobs)})

    def delete_task(self, request: Request) -> Response:
        job = self._task(request)
        if self.studio.status(job)[0] == "queued":
            self._tasks.put(job.id, {**self._tasks[job.id], "cancelled": True})
            return Response.of({"task_id": job.id, "status": "cancelled"})
        self.studio.delete(job)
        return Response.of({"task_id": job.id, "status": "deleted"})

    def content(self, request: Request) -> Response:
        """Return the file to anyone who has its address. Raises Refusal if the request carries an API key."""
        if request.account:
            raise rules.invalid("the host of videos was sent an API key")
        job = self.addressed(request)
        return expired() if job is None else self.sent(job)

    # Parts of operations

    def _admit(self, account: str) -> None:
        """Check the account's balance and its concurrency limit. Raises Refusal."""
        if account in self.settings.arrears:
            raise Refusal(402, "insufficient balance", "1008")
        running = [job for job in self.studio.list(account) if self._word(job) in {"queued", "running"}]
        if self.settings.concurrency and len(running) >= self.settings.concurrency:
            raise Refusal(429, "rate limit, please retry later", "1002")

    def _task(self, request: Request) -> Job:
        job = self.studio.get(request.account, request.params["id"])
        if job is None:
            raise Refusal(500, "record not found", "1000")
        if job.created_at + self.settings.known_seconds <= time.time():
            raise rules.invalid("invalid task_id")
        return job

    def _furnished(self, job: Job, wish: rules.Wish) -> dict[str, Any]:
        """Fetch the files of a request and add them to the job. Return the facts that the job does not hold."""
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

    def _word(self, job: Job) -> str:
        if self._tasks[job.id].get("cancelled"):
            return "cancelled"
        status = self.studio.status(job)[0]
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
            self.studio.prepare(job)
        if word == "failed":
            task["error"] = _FAILURES[triggers.fate(job.prompt)]
        if word == "succeeded":
            task["content"] = {"url": self.address(request, job, self.settings.output_seconds)}
            seconds = {"input_seconds": facts["seconds"], "output_seconds": job.seconds}
            total = facts["seconds"] + job.seconds
            task["usage"] = {"total_seconds": total, **seconds, "input_image_count": facts["images"]}
        return task


def _new_id() -> str:
    """Return a new id: a string of fifteen digits."""
    return str(400_000_000_000_000 + secrets.randbelow(100_000_000_000_000))

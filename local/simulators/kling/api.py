"""Kling's API as documented: videos, tasks, elements, and the addresses of the videos."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from local.simulators.kling import elements, rules
from local.simulators.kling.elements import Elements
from local.simulators.kling.media import Media
from local.simulators.kling.orders import Desk
from local.simulators.kling.settings import Settings
from local.simulators.shared import triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.keyed import KeyedProvider, Rows, expired
from local.simulators.shared.provider import Request, Response, Route
from local.simulators.shared.studio import Job

_ELEMENTS = "/v1/general/advanced-custom-elements"
_REASONS = {
    "moderation": "Failure to pass the risk control system",
    "internal": "The service is busy, please try again later",
}
_CODES = {400: 1201, 401: 1002, 403: 1103, 404: 1203, 405: 1202, 413: 1201, 429: 1302, 503: 5001, 504: 5002}


class KlingProvider(KeyedProvider[Settings]):
    """The simulated Kling API."""

    def __init__(self, state: Path, settings: Settings) -> None:
        super().__init__(state, settings)
        self._media = Media(self.vault, self.inputs)
        self._elements = Elements(self.store, self.clock)
        self._desk = Desk(self._media, self._elements)
        # The facts of a task that its job does not hold: external id, resolution, and which price applies.
        self._tasks = Rows(self.store, "task")
        self.parts += [self._elements, self._tasks]

    def operations(self) -> Iterable[Route]:
        return [
            *(
                Route("POST", f"/{family}/{{model}}", "create_video", self.members(self._creator(family)))
                for family in ("text-to-video", "image-to-video", "omni-video")
            ),
            Route("GET", "/tasks", "get_tasks", self.members(self.get_tasks)),
            Route("POST", "/tasks", "list_tasks", self.members(self.list_tasks)),
            Route("POST", _ELEMENTS, "create_element", self.members(self.create_element)),
            Route("GET", _ELEMENTS, "list_elements", self.members(self.list_elements)),
            Route("GET", f"{_ELEMENTS}/{{id}}", "get_element", self.members(self.get_element)),
            Route("POST", "/v1/general/{path}", "delete_element", self.members(self.delete_element)),
            Route("GET", "/outputs/{id}", "get_content", self.content),
        ]

    def no_key(self) -> Refusal:
        return Refusal(401, "Authorization is empty.", "1001")

    def wrong_key(self, refusal: Refusal) -> Refusal:
        if refusal.code == "account_deactivated":
            return Refusal(429, "Account status abnormal.", "1100")
        return Refusal(401, "Authentication error.", "1002")

    def refuse(self, refusal: Refusal) -> Response:
        code = refusal.code if refusal.code and refusal.code.isdecimal() else _CODES.get(refusal.status, 5000)
        return _answer(None, refusal.status, int(code), refusal.message)

    def facts(self, job: Job) -> dict[str, Any]:
        return {"external_id": self._tasks[job.id]["external_id"]}

    # Videos

    def _creator(self, family: str) -> Callable[[Request], Response]:
        def create(request: Request) -> Response:
            wish = rules.wish(family, request.params["model"], _document(request))
            if wish.name in self.settings.retired:
                raise Refusal(404, f"The model '{wish.name}' has been discontinued and is no longer available.", "1203")
            self._admit(request.account, wish.external_id)
            triggers.moderate(wish.prompt, _unsafe())
            job = self._desk.job(request.account, wish, self.settings)
            rate = 2 if wish.of("base_video", "feature_video") else int(wish.audio == "native")
            row = {"external_id": wish.external_id, "resolution": wish.resolution, "rate": rate}
            self._tasks.put(job.id, row)
            ordered = self.studio.add(job)
            request.created, request.reference = job.id, wish.external_id
            return _answer(self._present(request, ordered))

        return create

    def get_tasks(self, request: Request) -> Response:
        given = [name for name in ("task_ids", "external_task_ids") if request.query.get(name)]
        if len(given) != 1:
            raise rules.invalid("Exactly one of task_ids and external_task_ids is needed.")
        wanted = request.query[given[0]].split(",")
        if len(wanted) > 20:
            raise rules.invalid("At most 20 ids.")
        jobs = [
            job
            for job in self.studio.list(request.account)
            if (job.id if given[0] == "task_ids" else self._tasks[job.id]["external_id"]) in wanted
        ]
        return _answer([self._present(request, job) for job in jobs])  # unknown ids are left out, without an error

    def list_tasks(self, request: Request) -> Response:
        names = {"start_time", "end_time", "cursor", "limit", "filters"}
        fields = rules.only(_document(request), names, "the body")
        limit, cursor = fields.get("limit", 100), str(fields.get("cursor", "0"))
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 500 or not cursor.isdecimal():
            raise rules.invalid("limit must be 1 to 500, cursor one that was given.")
        found = [self._present(request, job) for job in self.studio.list(request.account)[::-1]]
        for entry in fields.get("filters", []):
            key = rules.choice(entry, "key", ("status", "product_type"), None)
            values = entry.get("values", [])
            found = [task for task in found if ("video" if key == "product_type" else task["status"]) in values]
        start = int(cursor)
        page, more = found[start : start + limit], len(found) > start + limit
        following = {"next_cursor": str(start + limit)} if more else {}
        return _answer({"result": page, "count": len(page), "has_more": more, **following})

    def content(self, request: Request) -> Response:
        job_id = request.params["id"].removesuffix(".mp4")
        job = next((job for job in self.studio.list() if job.id == job_id), None)
        if job is None or (job.completed_at or 0) + self.settings.output_seconds <= time.time():
            return expired()
        return self.sent(job)

    # Elements

    def create_element(self, request: Request) -> Response:
        wish = elements.wish(_document(request))
        self._unique(request.account, wish.external_id)
        triggers.moderate(f"{wish.name} {wish.description}", _unsafe())
        if wish.clip is not None:
            picture, facts = self._media.video(wish.clip, "refer_videos", rules.ELEMENT_SECONDS)
            shape = (max(facts.width, facts.height), min(facts.width, facts.height))
            if shape != (1920, 1080):
                raise rules.invalid(f"refer_videos: {facts.width}x{facts.height}; 1080P in 16:9 or 9:16 is needed.")
        else:
            keys = [self._media.image(place, "element_image_list", element=True)[0] for place in wish.pictures]
            picture = keys[0]
        element = self._elements.add(request.account, wish, picture)
        request.created = element.task_id
        document = self._elements.present(element, math.inf)
        return _answer({name: document[name] for name in document if name != "task_status_msg"})

    def get_element(self, request: Request) -> Response:
        element = self._elements.by_task(request.account, request.params["id"])
        return _answer(self._elements.present(element, self.settings.element_seconds))

    def list_elements(self, request: Request) -> Response:
        number, size = request.query.get("pageNum", "1"), request.query.get("pageSize", "30")
        if not number.isdecimal() or not size.isdecimal() or not 1 <= int(size) <= 500:
            raise rules.invalid("pageNum must be 1 to 1000, pageSize 1 to 500.")
        start = (int(number) - 1) * int(size)
        page = self._elements.page(request.account)[start : start + int(size)]
        return _answer([self._elements.present(element, self.settings.element_seconds) for element in page])

    def delete_element(self, request: Request) -> Response:
        paths = {"advanced": "delete-advanced-elements", "plain": "delete-elements"}
        known = paths.values() if self.settings.delete_path == "both" else [paths[self.settings.delete_path]]
        if request.params["path"] not in known:
            raise Refusal(404, "The requested method is invalid.", "1202")
        fields = rules.only(_document(request), {"element_id"}, "the body")
        element = self._elements.usable(request.account, str(fields.get("element_id")))
        self._elements.delete(element)
        return _answer({"task_id": element.task_id, "task_status": "succeed"})

    # Parts of operations

    def _admit(self, account: str, external_id: str | None) -> None:
        """Check the account's balance, its concurrency limit, and that the external id is new. Raises Refusal."""
        if account in self.settings.arrears:
            raise Refusal(429, "Account balance not enough.", "1102")
        if self.settings.concurrency and self.unfinished(account) >= self.settings.concurrency:
            raise Refusal(429, "parallel task over resource pack limit", "1303")
        self._unique(account, external_id)

    def _unique(self, account: str, external_id: str | None) -> None:
        known = {self._tasks[job.id]["external_id"] for job in self.studio.list(account)}
        known |= {element.external_id for element in self._elements.page(account)}
        if external_id is not None and external_id in known:
            raise rules.invalid(f"external_task_id {external_id} already exists.")

    def _present(self, request: Request, job: Job) -> dict[str, Any]:
        status, _ = self.studio.status(job)
        words = {"queued": "submitted", "in_progress": triggers.status_word(job.prompt, "in_progress")}
        words |= {"completed": self.settings.success, "failed": "failed"}
        word = words[status].replace("in_progress", "processing")
        failed = status == "failed"
        document: dict[str, Any] = {
            "id": job.id,
            "status": word,
            "message": _REASONS[triggers.fate(job.prompt)] if failed else "",
            "create_time": job.created_at * 1000,
            "update_time": int(time.time() * 1000),
            "external_id": self._tasks[job.id]["external_id"] or "",
        }
        if status == "in_progress":
            self.studio.prepare(job)
        if status == "completed":
            address = f"http://{request.headers['Host']}/outputs/{job.id}.mp4"
            video = {"type": "video", "id": job.id, "url": address, "duration": f"{job.seconds}.041"}
            document |= {"outputs": [video], "billing": [self._bill(job)]}
        return document

    def _bill(self, job: Job) -> dict[str, str]:
        task = self._tasks[job.id]
        units = rules.MODELS[job.model].rates[task["resolution"]][task["rate"]] * job.seconds
        if self.settings.charged == "unit":
            return {"charge_type": "unit", "amount": f"{units:g}", "package_type": "video"}
        amount = f"{units * 0.14:.3f}"
        return {
            "charge_type": "cash",
            "cash_type": "balance",
            "amount": amount,
            "currency": "USD",
            "list_price": amount,
        }


def _unsafe() -> Refusal:
    return Refusal(400, "Trigger the platform's content security policy", "1301")


def _document(request: Request) -> Any:
    if request.body.kind != "json":
        raise Refusal(400, "The body must be JSON.", "1200")
    return request.body.json


def _answer(data: Any, status: int = 200, code: int = 0, message: str = "SUCCEED") -> Response:
    """Build an answer in Kling's envelope. An error has no data."""
    document = {"code": code, "message": message, "request_id": secrets.token_hex(16)}
    return Response.of(document if data is None else {**document, "data": data}, status)

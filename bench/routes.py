"""The routes of a call to the provider's simulator: directly, through our function, through the peer."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from contextlib import ExitStack
from typing import Any, Protocol

import httpx

from bench.case import MeasuredCase, again, case_of
from bench.environment import pin
from bench.recording import Player
from local.lambda_ import events, functions
from local.lambda_.invoke import Case
from local.lambda_.seed import Seeds, wait
from local.lambda_.seed_files import file
from local.settings import HOST, Settings

CALLS = ("get_character", "create_video", "edit_video", "extend_video")  # also the names of the functions
_CREATE = {"model": "sora-2", "prompt": "Luna runs over wet stones", "seconds": "4", "size": "1280x720"}
_EDIT = {"prompt": "Add warm golden lighting"}
_EXTENSION = {"prompt": "Luna waves goodbye and walks into the sunset", "seconds": "5"}

Request = tuple[str, str, Any]  # method, path, JSON body


class Route(Protocol):
    """A way to make a call; `pid` is the process that answers the call."""

    pid: int

    def ask(self) -> float:
        """Make the call once and return the milliseconds. Raises SystemExit if the answer is not as expected."""


class Server:
    """The simulator, the peer or the local gateway, over a connection that stays open."""

    def __init__(self, port: int, key: str, request: Request, pid: int = 0) -> None:
        self.pid = pid
        self._method, self._path, body = request
        self._body = None if body is None else json.dumps(body).encode()
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)

    def ask(self) -> float:
        for _ in range(2):
            with contextlib.suppress(ConnectionError):  # the server may have closed an idle connection: one retry
                return self._ask()
            self._connection.close()
        raise SystemExit(f"{self._method} {self._path}: the server closes every connection")

    def _ask(self) -> float:
        started = time.perf_counter()
        self._connection.request(self._method, self._path, self._body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        took = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise SystemExit(f"{self._method} {self._path}: {response.status} {answer.decode(errors='replace')}")
        return took


class Ours:
    """A warm execution environment of our function, with its own player. Both end with `at`."""

    def __init__(self, settings: Settings, at: ExitStack, core: int | None, subject: MeasuredCase) -> None:
        self._subject = subject
        self._deck = at.enter_context(Player(settings.aws_url))
        self._sandbox = at.enter_context(subject.start(self._deck))
        self.pid = self._sandbox.pid
        if core is not None:
            pin(self.pid, {core})
        subject.ask(self._sandbox, self._deck, subject.first)

    def ask(self) -> float:
        return again(lambda: self._subject.ask(self._sandbox, self._deck, self._subject.later)).milliseconds


def case(settings: Settings, call: str) -> Case:
    """Return the case of a call. The event of `create_video` is small: no character, no file."""
    if call != "create_video":
        return case_of(settings, call)
    route, seeds = functions.route(settings, call), Seeds(settings)
    event = events.event({"request": {"json": _CREATE}}, route, lambda: seeds.value("caller"))
    return Case(call, event, {"status": 200, "body": {"object": "video"}}, seeds)


def requests(port: int, key: str, **more: str) -> dict[str, Request]:
    """Build the same calls for another server: the simulator or the peer. Make a character and a video there first.

    `more` are additional fields that the server needs to make a character.
    """
    with httpx.Client(
        base_url=f"http://{HOST}:{port}/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60
    ) as client:
        clip = {"video": file("luna.mp4")}
        character = (
            client.post("/videos/characters", data={"name": "Luna", **more}, files=clip).raise_for_status().json()["id"]
        )
        video = client.post("/videos", json=_CREATE).raise_for_status().json()["id"]

        def finished() -> bool:
            return bool(client.get(f"/videos/{video}").raise_for_status().json()["status"] == "completed")

        wait(finished, f"{video} was not finished")
    source = {"video": {"id": video}}
    return {
        "get_character": ("GET", f"/v1/videos/characters/{character}", None),
        "create_video": ("POST", "/v1/videos", _CREATE),
        "edit_video": ("POST", "/v1/videos/edits", {**source, **_EDIT}),
        "extend_video": ("POST", "/v1/videos/extensions", {**source, **_EXTENSION}),
    }

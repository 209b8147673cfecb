"""An OpenAI-shaped server in this process, as an httpx transport: jobs advance when the test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes.clock import Clock
from tests.fakes.edges import Edges
from understudy.api import bodies

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x00" * 4096

Answering = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class Heard:
    """A request as it arrived, and the time of arrival."""

    method: str
    host: str
    path: str
    raw_path: str  # as it was sent, with its escapes
    headers: httpx.Headers
    content: bytes
    at: float

    @property
    def body(self) -> dict[str, Any]:
        return bodies.parse(self.content, self.headers.get("content-type"))

    @property
    def key(self) -> str:
        """The bearer key."""
        return str(self.headers.get("authorization", "")).removeprefix("Bearer ")


@dataclass
class Upstream:
    """Several servers, distinguished by host.

    Each entry of `script` answers one request instead of the server, in order. An entry of `rules` answers every
    request that matches its method, host and end of path.
    """

    edges: Edges
    clock: Clock
    heard: list[Heard] = field(default_factory=list)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    characters: dict[str, dict[str, Any]] = field(default_factory=dict)
    script: list[Answering] = field(default_factory=list)
    rules: dict[tuple[str, str, str], Answering] = field(default_factory=dict)
    instant: bool = False  # jobs are done as soon as they are asked for

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def submits(self, host: str | None = None) -> list[Heard]:
        """Return the requests that cost money, optionally only those to one host."""
        return [
            one
            for one in self.heard
            if one.method == "POST" and "characters" not in one.path and (host is None or one.host == host)
        ]

    def polls(self) -> list[Heard]:
        return [one for one in self.heard if one.method == "GET" and not one.path.endswith("/content")]

    def finish(self, status: str = "completed", **changes: Any) -> None:
        for video in self.videos.values():
            video.update({"status": status, "progress": 100, **changes})

    def has_video(self, host: str, video_id: str, **facts: Any) -> None:
        """Add a finished video to a server, as if somebody had made it without our gateway."""
        made = {"id": video_id, "object": "video", "status": "completed", "progress": 100, "model": "sora-2"}
        self.videos[f"{host}/{video_id}"] = {**made, "seconds": "8", "size": "1280x720", **facts}

    def has_character(self, host: str, character_id: str, name: str = "Luna") -> None:
        """Add a character to a server, as if somebody had made it without our gateway."""
        self.characters[f"{host}/{character_id}"] = {"id": character_id, "name": name, "created_at": 1}

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.edges.touch(f"{request.method} {request.url.path}")
        content = request.read()
        url = request.url
        self.heard.append(
            Heard(request.method, url.host, url.path, url.raw_path.decode(), request.headers, content, self.clock.now)
        )
        try:
            return self._answer(request)
        finally:
            self.edges.touch("answer")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.script:
            return self.script.pop(0)(request)
        host, path = request.url.host, request.url.path
        for (method, on, ending), rule in self.rules.items():
            if method == request.method and on in ("*", host) and path.endswith(ending):
                return rule(request)
        return self.serve(request)

    def serve(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of a healthy server."""
        host, parts = request.url.host, request.url.path.removeprefix("/v1/").split("/")
        match request.method, parts:
            case "POST", ["videos", "characters"]:
                name = self.heard[-1].body["name"]
                made = {"id": f"char_{host}_{len(self.characters)}", "name": name, "created_at": 1}
                self.characters[f"{host}/{made['id']}"] = made
                return httpx.Response(200, json=made)
            case "GET", ["videos", "characters", character] if f"{host}/{character}" in self.characters:
                return httpx.Response(200, json=self.characters[f"{host}/{character}"])
            case "POST", ["videos", *_] if lost := self._unknown(host, self.heard[-1].body):
                return refuse(404, "not_found", f"Character with id '{lost}' not found.")(request)
            case "POST", ["videos", *_]:
                return httpx.Response(200, json=self._make(host, self.heard[-1].body))
            case "GET", ["videos", video] if f"{host}/{video}" in self.videos:
                if self.instant:
                    self.videos[f"{host}/{video}"].update(status="completed", progress=100)
                return httpx.Response(200, json=self.videos[f"{host}/{video}"])
            case "GET", ["videos", video, "content"] if f"{host}/{video}" in self.videos:
                return httpx.Response(200, content=MP4, headers={"content-type": "video/mp4"})
            case "DELETE", ["videos", video] if self.videos.pop(f"{host}/{video}", None):
                return httpx.Response(200, json={"id": video, "deleted": True})
        return httpx.Response(404, json={"error": {"message": "no such thing", "code": "not_found"}})

    def _unknown(self, host: str, body: dict[str, Any]) -> str | None:
        """Return the first character of an order that this server does not know, or None."""
        named = [one["id"] for one in body.get("characters", [])]
        return next((one for one in named if f"{host}/{one}" not in self.characters), None)

    def _make(self, host: str, body: dict[str, Any]) -> dict[str, Any]:
        video_id = f"video_{sum(one.startswith(f'{host}/') for one in self.videos)}"  # every server counts for itself
        video = {
            "id": video_id,
            "object": "video",
            "status": "queued",
            "progress": 0,
            "seconds": str(body.get("seconds", "4")),
            "size": body.get("size", "720x1280"),
        }
        self.videos[f"{host}/{video_id}"] = video
        return video


def refuse(status: int, code: str = "refused", message: str = "no", **headers: str) -> Answering:
    """Return a function that answers with a refusal in OpenAI's envelope."""
    envelope = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": code}})
    return lambda request: httpx.Response(status, content=envelope, headers={"retry-after": "7", **headers})


def answer(status: int, content: bytes | str, mime_type: str = "text/html") -> Answering:
    """Return a function that answers with this status and content."""
    return lambda request: httpx.Response(status, content=content, headers={"content-type": mime_type})


def lose(error: type[httpx.TransportError] = httpx.ReadTimeout) -> Answering:
    """Return a function that raises the error instead of answering."""

    def raise_(request: httpx.Request) -> httpx.Response:
        raise error("lost", request=request)

    return raise_

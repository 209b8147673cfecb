"""An OpenAI-shaped server inside the process, as an httpx transport: jobs advance when the test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from understudy import wire

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x00" * 4096


@dataclass
class Upstream:
    """Several servers, told apart by host. `script` may answer instead, once per entry, in order."""

    requests: list[httpx.Request] = field(default_factory=list)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    characters: dict[str, dict[str, Any]] = field(default_factory=dict)
    script: list[Callable[[httpx.Request], httpx.Response]] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def submits(self, host: str | None = None) -> list[httpx.Request]:
        """The requests that cost money, optionally of one host."""
        return [
            request
            for request in self.requests
            if request.method == "POST"
            and "characters" not in request.url.path
            and (host is None or request.url.host == host)
        ]

    def body(self, request: httpx.Request) -> dict[str, Any]:
        return wire.parse(request.read(), request.headers["content-type"])

    def finish(self, status: str = "completed", **changes: Any) -> None:
        for video in self.videos.values():
            video.update(status=status, progress=100, **changes)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if self.script:
            return self.script.pop(0)(request)
        host, parts = request.url.host, request.url.path.removeprefix("/v1/").split("/")
        match request.method, parts:
            case "POST", ["videos", "characters"]:
                made = {"id": f"char_{host}_{len(self.characters)}", "name": self.body(request)["name"], "created_at": 1}
                self.characters[made["id"]] = made
                return httpx.Response(200, json=made)
            case "POST", ["videos", *_]:
                return httpx.Response(200, json=self._make(host, self.body(request)))
            case "GET", ["videos", video] if f"{host}/{video}" in self.videos:
                return httpx.Response(200, json=self.videos[f"{host}/{video}"])
            case "GET", ["videos", video, "content"] if f"{host}/{video}" in self.videos:
                return httpx.Response(200, content=MP4, headers={"content-type": "video/mp4"})
            case "DELETE", ["videos", video] if self.videos.pop(f"{host}/{video}", None):
                return httpx.Response(200, json={"id": video, "deleted": True})
        return httpx.Response(404, json={"error": {"message": "no such thing", "code": "not_found"}})

    def _make(self, host: str, body: dict[str, Any]) -> dict[str, Any]:
        video_id = f"video_{len(self.videos)}"
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


def refuse(status: int, code: str = "refused", message: str = "no", **headers: str) -> Callable[..., httpx.Response]:
    """A scripted refusal in OpenAI's envelope."""
    envelope = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": code}})
    return lambda request: httpx.Response(status, content=envelope, headers={"retry-after": "7", **headers})


def lose(error: type[httpx.TransportError] = httpx.ReadTimeout) -> Callable[..., httpx.Response]:
    """A scripted lost answer."""

    def raise_(request: httpx.Request) -> httpx.Response:
        raise error("lost", request=request)

    return raise_

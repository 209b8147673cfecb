"""A provider's account over a transport with prepared answers, for tests of one provider module alone."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from understudy.api import bodies
from understudy.network import http_client
from understudy.network.http_client import Client
from understudy.providers.base import Account, Media

KEY = "sk-secret-0123456789"
BASE = "https://provider.example/v1"


@dataclass
class Server:
    """A server that gives `answers` in order, repeats the last one, and records the requests."""

    answers: list[httpx.Response] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)

    def answer(self, status: int, body: Any = None, *, headers: Mapping[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append(httpx.Response(status, content=content, headers=dict(headers or {})))

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def request(self) -> httpx.Request:
        """The only request."""
        (request,) = self.requests
        return request

    @property
    def body(self) -> dict[str, Any]:
        """The fields of the only request."""
        return bodies.parse(self.request.content, self.request.headers.get("content-type"), structured=frozenset())

    def account(self, *, key: str | None = KEY, base_url: str = BASE, **options: Any) -> Account:
        return Account(base_url, key, Client(time.monotonic() + 60), options)


def install(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Route every HTTP request of the layer to a new server, and return that server."""
    server = Server()
    http = httpx.Client(transport=httpx.MockTransport(server.handle))
    monkeypatch.setattr(http_client, "_http", lambda: http)
    return server


def media(name: str = "clip.mp4", mime_type: str = "video/mp4", data: bytes = b"bytes") -> Media:
    """Return a file in the form in which the core passes files to a provider."""
    return Media(name, mime_type, len(data), lambda: io.BufferedReader(io.BytesIO(data)), lambda: f"https://s3/{name}")

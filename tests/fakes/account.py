"""A provider's account over a transport that answers as told, for tests of one provider file alone."""

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
    """Answers with `answers`, one after the other, the last one for good; keeps what it was sent."""

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
    """A server that everything goes to."""
    server = Server()
    http = httpx.Client(transport=httpx.MockTransport(server.handle))
    monkeypatch.setattr(http_client, "_http", lambda: http)
    return server


def media(name: str = "clip.mp4", mime_type: str = "video/mp4", data: bytes = b"bytes") -> Media:
    """A file as the core hands it over."""
    return Media(name, mime_type, len(data), lambda: io.BufferedReader(io.BytesIO(data)), lambda: f"https://s3/{name}")

"""The interface between a simulated provider and the shared server: callers, operations and errors."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict

from local.simulators.shared.body import Body
from local.simulators.shared.errors import Refusal
from local.simulators.shared.store import Store


@dataclass(frozen=True)
class Caller:
    """The account of an API key. `key` is set only for a simulator's key (`sim-...`), which is no secret."""

    account: str | None
    key: str | None = None


@dataclass
class Request:
    """A request with its body parsed.

    `params` are decoded parts of the path. Handlers set `created` to the id of the new object, and `reference` to the
    name that the caller gave to the object.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    account: str
    params: dict[str, str]
    body: Body
    created: str | None = None
    reference: str | None = None


@dataclass
class Response:
    """An answer: bytes, or a file to stream."""

    status: int = 200
    body: bytes | Path = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        body = json.dumps(document, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json", **(headers or {})})


@dataclass(frozen=True)
class Route:
    """An operation. `path` has `{name}` for each id: the raw path is matched, the handler gets the decoded id."""

    method: str
    path: str
    operation: str
    handler: Callable[[Request], Response]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))

    def match(self, path: str) -> dict[str, str] | None:
        found = self._pattern.fullmatch(path)
        return {name: unquote(part) for name, part in found.groupdict().items()} if found else None


class BaseSettings(BaseModel):
    """Settings that `--set` changes at the start and `POST /_sim/settings` while a simulator runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speed: float = 1.0
    require_length: bool = True  # multipart bodies without Content-Length get a 411
    max_body_bytes: int = 2 * 1024**3


class Provider(ABC):
    """The base of every simulated provider. `store` keeps state over restarts; bodies are streamed to `folder`."""

    settings: BaseSettings
    store: Store
    folder: Path

    @abstractmethod
    def routes(self) -> Iterable[Route]: ...

    @abstractmethod
    def identify(self, headers: Message) -> Caller:
        """Read the API key, without checking whether the key is valid."""

    @abstractmethod
    def authorise(self, caller: Caller, headers: Message) -> str:
        """Check the API key and return its account. Raises Refusal."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> Response:
        """Build the response for a refusal, in the provider's error format."""

    @abstractmethod
    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs of all accounts, for the control API."""

    @abstractmethod
    def configure(self, changes: dict[str, Any]) -> None:
        """Apply changed settings. Raises pydantic.ValidationError."""

    @abstractmethod
    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        """Revoke all keys of an account, or one key. With `restore`, undo the revocation."""

    @abstractmethod
    def reset(self) -> None:
        """Delete everything that was created."""

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the operation for a method and path, and the ids in the path. Raises Refusal (404, 405)."""
        others = False
        for route in self.routes():
            params = route.match(path)
            if params is not None and route.method == method:
                return route, params
            others = others or params is not None
        if others:
            raise Refusal(405, f"The method {method} is not allowed for {path}.", "method_not_allowed")
        raise Refusal(404, f"There is no operation {method} {path}.", "unknown_url")

"""What a simulated provider brings to the shared server: who calls, which operation, how it says no."""

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
    """The account behind a credential. `key` is the credential if it is a simulator's (`sim-...`): it may be shown."""

    account: str | None
    key: str | None = None


@dataclass
class Request:
    """A request with its body parsed. `params` are decoded parts of the path; handlers set `created` to a new id, and
    `reference` to the name that the caller has given it."""

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
    """An answer: bytes, or a file to be streamed."""

    status: int = 200
    body: bytes | Path = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        body = json.dumps(document, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json", **(headers or {})})


@dataclass(frozen=True)
class Route:
    """An operation: `path` has `{name}` for parts that are ids; they are matched raw and handed over decoded."""

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
    """What can be changed while a simulator runs, by `POST /_sim/settings` or `--set`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speed: float = 1.0
    require_length: bool = True  # multipart bodies without Content-Length get a 411
    max_body_bytes: int = 2 * 1024**3


class Provider(ABC):
    """Base of every simulated provider. `store` keeps what outlives a restart, bodies are streamed to `folder`."""

    settings: BaseSettings
    store: Store
    folder: Path

    @abstractmethod
    def routes(self) -> Iterable[Route]: ...

    @abstractmethod
    def identify(self, headers: Message) -> Caller:
        """Reads the credential without judging it."""

    @abstractmethod
    def authorise(self, caller: Caller, headers: Message) -> str:
        """The account that may go on. Raises Refusal."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> Response:
        """Puts the provider's envelope around a refusal."""

    @abstractmethod
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs of all accounts, for the control API."""

    @abstractmethod
    def configure(self, changes: dict[str, Any]) -> None:
        """Applies changed settings. Raises pydantic.ValidationError."""

    @abstractmethod
    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        """Makes an account's credentials, or one credential, worthless; or good again."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets everything that was made."""

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The operation asked for. Raises Refusal (404, 405)."""
        others = False
        for route in self.routes():
            params = route.match(path)
            if params is not None and route.method == method:
                return route, params
            others = others or params is not None
        if others:
            raise Refusal(405, f"The method {method} is not allowed for {path}.", "method_not_allowed")
        raise Refusal(404, f"There is no operation {method} {path}.", "unknown_url")

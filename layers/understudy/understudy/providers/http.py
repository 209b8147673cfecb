"""HTTP types for provider files: what they send, what they receive, and the client that they get."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

Headers = Mapping[str, str]
MAX_DEPTH = 100  # of nested JSON; Python cannot print what is nested much deeper


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response of limited size. Header names are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, or None if the body is not JSON or is nested more than MAX_DEPTH deep."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return None if self.body.count(b"[") + self.body.count(b"{") > MAX_DEPTH and _is_deep(found) else found


def _is_deep(found: Any) -> bool:
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(MAX_DEPTH):
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for values in inner for one in values if isinstance(one, dict | list)]
    return bool(level)


@dataclass(frozen=True, slots=True)
class Part:
    """A file in a multipart form, read while it is sent. Its size is known, so the body has a Content-Length."""

    filename: str
    mime_type: str
    file: BinaryIO


class HttpClient(Protocol):
    """An HTTP client with a deadline. Raises only Refused and OutcomeUnknown."""

    def post(
        self, url: str, headers: Headers, *, json: Any = None, form: list[tuple[str, str | Part]] | None = None
    ) -> Answer:
        """Send a request that may cost money, once. A `form` is sent as multipart, with its fields in this order."""

    def post_free(
        self,
        url: str,
        headers: Headers,
        *,
        json: Any = None,
        form: list[tuple[str, str | Part]] | None = None,
        file: Part | None = None,
    ) -> Answer:
        """Send a POST that costs nothing: a file in a form, a bare file, or the request for an upload URL."""

    def get(self, url: str, headers: Headers) -> Answer:
        """Send a GET."""

    def delete(self, url: str, headers: Headers) -> Answer:
        """Send a DELETE."""

    def stream(
        self, url: str, headers: Headers
    ) -> AbstractContextManager[tuple[int, Mapping[str, str], Iterator[bytes]]]:
        """Read a file in chunks: (status, headers, chunks)."""

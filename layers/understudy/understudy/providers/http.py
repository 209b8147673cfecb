"""HTTP as provider files use it: what they send, what they get, and the client that they are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole, bounded HTTP answer; header names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, or None if it is something else."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Part:
    """A file in a multipart form, read as it is sent; its size is known, so the body has a Content-Length."""

    filename: str
    mime_type: str
    file: BinaryIO


class HttpClient(Protocol):
    """A client with a deadline. Raises only Refused and OutcomeUnknown."""

    def post(
        self, url: str, headers: Headers, *, json: Any = None, form: list[tuple[str, str | Part]] | None = None
    ) -> Answer:
        """Send a request that may cost money, once. A `form` goes out as multipart, in its order."""

    def post_free(
        self,
        url: str,
        headers: Headers,
        *,
        json: Any = None,
        form: list[tuple[str, str | Part]] | None = None,
        file: Part | None = None,
    ) -> Answer:
        """POST something that costs nothing: a file in a form, a bare file, or the request for a place to put one."""

    def get(self, url: str, headers: Headers) -> Answer:
        """Read."""

    def delete(self, url: str, headers: Headers) -> Answer:
        """Delete."""

    def stream(
        self, url: str, headers: Headers
    ) -> AbstractContextManager[tuple[int, Mapping[str, str], Iterator[bytes]]]:
        """Read a file piece by piece: (status, headers, chunks)."""

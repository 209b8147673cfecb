"""A refusal by a simulated provider, before its envelope is put around it."""

from __future__ import annotations


class Refusal(Exception):
    """What a provider says instead of doing it: HTTP status, sentence, machine code, and the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}

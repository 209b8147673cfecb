"""An error of a simulated provider, before the provider's error format is applied."""

from __future__ import annotations


class Refusal(Exception):
    """A provider's refusal: HTTP status, message, machine-readable code, the wrong field, and headers."""

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

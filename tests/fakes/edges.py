"""The places where our code touches the outside world: each touch is counted, and the process can die at any touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Killed(BaseException):
    """The function's process has died: no later code runs, and no `except Exception` catches this."""


@dataclass
class Edges:
    """Counts the calls to AWS, queue and providers before each call, and calls to providers also after each call."""

    touched: list[str] = field(default_factory=list)
    fatal: int | str | None = None  # at which touch from now, by number or name, the process dies; None: never

    def touch(self, name: str) -> None:
        self.touched.append(name)
        if self.fatal in (0, name):
            self.fatal = None
            raise Killed(name)
        if isinstance(self.fatal, int):
            self.fatal -= 1

    def aws(self, model: Any, **_: Any) -> None:
        """Count a call to AWS; register this as a handler of botocore's `before-call`."""
        self.touch(model.name)

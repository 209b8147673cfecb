"""Where our code touches the world: each touch is counted, and the process can die at any of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Killed(BaseException):
    """The function's process is gone: nothing after this point runs, no `except Exception` sees it."""


@dataclass
class Edges:
    """Counts the calls to AWS, to the queue and to providers, before each takes effect and after a provider's did."""

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
        """As a handler of botocore's `before-call`."""
        self.touch(model.name)

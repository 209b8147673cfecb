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
    fatal: int | None = None  # the touch, from 0, at which the process dies; None: never

    def touch(self, name: str) -> None:
        self.touched.append(name)
        if len(self.touched) - 1 == self.fatal:
            self.fatal = None
            raise Killed(name)

    def aws(self, model: Any, **_: Any) -> None:
        """As a handler of botocore's `before-call`."""
        self.touch(model.name)

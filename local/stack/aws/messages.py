"""MiniStack looks for messages every tenth of a second, not every second.

AWS Lambda's pollers take a message within milliseconds.
"""

from __future__ import annotations

import threading

from ministack.services import lambda_svc  # type: ignore[import-not-found]

LOOKS_EVERY = 0.1  # seconds


class Wake(threading.Event):
    """The event on which MiniStack's poller waits between two polls: for at most 0.1 s, not for MiniStack's 1 s."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(LOOKS_EVERY if timeout is None else min(timeout, LOOKS_EVERY))


def install() -> None:
    """Let the poller wait on a `Wake`."""
    lambda_svc._esm_wake = Wake()

"""The time of a simulated provider: faster or slower than real time, or stopped."""

from __future__ import annotations

import threading
import time


class Clock:
    """A clock that runs `speed` times as fast as real time. At a speed of 0 no job makes progress."""

    def __init__(self, speed: float = 1.0, start: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._speed = speed
        self._base = start
        self._since = time.monotonic()

    def now(self) -> float:
        with self._lock:
            return self._read()

    def set_speed(self, speed: float) -> None:
        """Change the speed. The clock continues from its current reading."""
        with self._lock:
            self._base = self._read()
            self._since = time.monotonic()
            self._speed = speed

    def advance_to(self, reading: float) -> None:
        """Move the clock forward to at least `reading`, so that after a restart no job is in the future."""
        with self._lock:
            self._base += max(0.0, reading - self._read())

    def _read(self) -> float:
        return self._base + (time.monotonic() - self._since) * self._speed

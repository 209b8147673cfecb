"""Time as the simulated provider sees it: faster, slower or standing still."""

from __future__ import annotations

import threading
import time


class Clock:
    """Seconds that pass `speed` times as fast as real ones; a speed of 0 holds every job where it is."""

    def __init__(self, speed: float = 1.0, start: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._speed = speed
        self._base = start
        self._since = time.monotonic()

    def now(self) -> float:
        with self._lock:
            return self._read()

    def set_speed(self, speed: float) -> None:
        """Goes on from the present reading at another pace."""
        with self._lock:
            self._base = self._read()
            self._since = time.monotonic()
            self._speed = speed

    def advance_to(self, reading: float) -> None:
        """Never less than `reading`: after a restart no job may seem to lie in the future."""
        with self._lock:
            self._base += max(0.0, reading - self._read())

    def _read(self) -> float:
        return self._base + (time.monotonic() - self._since) * self._speed

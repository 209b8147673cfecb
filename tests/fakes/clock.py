"""A clock that moves only when a test moves it."""

from __future__ import annotations

import datetime
import importlib
import pkgutil
import time
from functools import cache
from types import ModuleType

import pytest

import understudy

START = 1_800_000_000.0
_CIRCUITS = "aws_lambda_powertools.utilities.circuit_breaker"


class Clock:
    """Replaces the `time` module in every module of the layer."""

    def __init__(self) -> None:
        self.now = START

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def time(self) -> float:
        return self.now

    def time_ns(self) -> int:
        """Return the time in ns; each call moves the clock by 1 ms, so ids made in sequence differ and sort."""
        self.now += 0.001
        return round(self.now * 1000) * 1_000_000

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now

    def gmtime(self, seconds: float | None = None) -> time.struct_time:
        return time.gmtime(self.now if seconds is None else seconds)

    def strftime(self, form: str, moment: time.struct_time) -> str:
        return time.strftime(form, moment)

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class _Datetime:
    """Replaces `import datetime as dt` where only `dt.datetime.now()` is used."""

    def __init__(self, clock: Clock) -> None:
        self.datetime, self._clock = self, clock

    def now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._clock.now, datetime.UTC)


@cache
def layer_modules() -> list[ModuleType]:
    """Import every module of the layer and return all of them."""
    found = pkgutil.walk_packages(understudy.__path__, f"{understudy.__name__}.")
    return [understudy, *(importlib.import_module(one.name) for one in found)]


def install(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Make every module of the layer use a new clock, and return that clock."""
    clock = Clock()
    for module in layer_modules():
        if getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", clock)
    for name in ("base", "persistence.base", "persistence.dynamodb"):
        monkeypatch.setattr(importlib.import_module(f"{_CIRCUITS}.{name}"), "dt", _Datetime(clock))
    return clock

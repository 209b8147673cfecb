"""What a series of measurements comes down to: its median and its spread."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Half of the measurements lie between `low` and `high`: the quartiles."""

    median: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many of the measurements lie; `percent` from 1 to 99."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def say(text: str) -> None:
    """What is being done."""
    print(f"  {text}", file=sys.stderr, flush=True)

"""Statistics of a series of measurements: median, quartiles and percentiles."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median and quartiles: half of the measurements are between `low` and `high`."""

    median: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def spread(values: Sequence[float]) -> Spread:
    """Compute median and quartiles of one or more values."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which `percent` (1 to 99) of the measurements are."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def say(text: str) -> None:
    """Print a progress message to standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)

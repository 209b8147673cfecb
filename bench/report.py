"""What was measured as one document: docs/benchmarks.json. Everything else (render.py, chart.py) is made of that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import cold_start, cost, growth, memory, overhead, size
from bench.figures import Spread, spread
from bench.prices import PRICES
from local.settings import ROOT

Document = dict[str, Any]

# Times an empty handler, at most. What is not named here and does not load httpx uses the table only.
GOALS = {"list_models": 4.0, "table": 6.0, "provider": 9.0}
SEALED = {"inspect_clip", "stitch_clips"}
MODULES = ROOT / "tests" / "expected_modules.json"  # what each function loads; CI compares it


def cold_starts(series: list[cold_start.Series]) -> Document:
    """Milliseconds to the first answer, and how many times an empty handler's."""
    empty = spread([one.milliseconds for each in series for one in each.empty])
    document: Document = {"empty": {**_spread("ms", empty), "ratio": 1.0}}
    goals = _goals()
    for one in series:
        document[one.name] = {
            **_spread("ms", one.milliseconds),
            **_spread("ratio", one.ratio, 2),
            "goal": goals.get(one.name),
            "cpu_ms": round(one.cpu_milliseconds.median),
            "aws_calls": one.aws_calls,
            "provider_calls": one.provider_calls,
        }
    return document


def warm_calls(series: list[cold_start.Series]) -> Document:
    """What a warm call of each function takes, without AWS's own time."""
    return {
        one.name: {
            **_spread("ms", one.warm.milliseconds),
            "cpu_ms": round(one.warm.cpu_milliseconds, 1),
            "aws_calls": one.warm.aws_calls,
            "read_units": one.warm.read_units,
            "write_units": one.warm.write_units,
            "log_bytes": one.warm.log_bytes,
            "memory": one.memory,
        }
        for one in series
        if one.warm
    }


def overheads(results: Mapping[str, overhead.Result]) -> Document:
    """What a call costs on top of the direct one, ours and the peer's."""
    document: Document = {}
    for call, result in results.items():
        added = {"added_ms": overhead.OURS, "peer_added_ms": overhead.PEER}
        document[call] = {
            "direct_ms": round(result.ways[overhead.DIRECT].percentile(50), 1),
            **{
                key: value
                for name, way in added.items()
                if way in result.ways
                for key, value in _spread(name, result.added(way)).items()
            },
            "aws_calls": result.aws_calls,
            **{way: _figures(figures, way) for way, figures in result.ways.items()},
        }
    return document


def _figures(figures: overhead.Figures, way: str) -> Document:
    document: Document = {f"p{percent}_ms": round(figures.percentile(percent), 1) for percent in (50, 95, 99)}
    if way != overhead.DIRECT:
        document["cpu_ms"] = round(figures.cpu, 1)
    return {**document, "requests_per_second": round(figures.rate)}


def memories(series: list[cold_start.Series], cases: Mapping[str, memory.Result]) -> Document:
    """Megabytes more: of an idle function than an empty handler, of a large file than a small one."""
    idle = {f"{one.name}_idle": {"added_mb": round(one.added_megabytes.median, 1)} for one in series if one.warm}
    large = {
        f"{name}_1gb": {
            "small_mb": round(case.small, 1),
            "large_mb": round(case.large, 1),
            "added_mb": round(case.added, 1),
            "seconds": round(case.seconds, 1),
        }
        for name, case in cases.items()
    }
    return {**large, **idle}


def sizes(measured: Mapping[str, size.Size]) -> Document:
    """Megabytes on disk and zipped."""
    document: Document = {}
    for name, one in measured.items():
        document[f"{name}_mb"] = round(one.unzipped, 2)
        if one.zipped is not None:
            document[f"{name}_zipped_mb"] = round(one.zipped, 2)
    return document


def growths(counts: Mapping[str, Mapping[int, growth.Count]]) -> Document:
    """Requests, items and capacity units of a call, by rows in the table."""
    return {
        call: {
            f"{rows}_{what}": value
            for rows, count in by_rows.items()
            for what, value in (("requests", count.requests), ("items", count.items), ("units", count.capacity))
        }
        for call, by_rows in counts.items()
    }


def costs(series: list[cold_start.Series]) -> Document:
    """The cost model with all that it is made of."""
    prices = {name: price._asdict() for name, price in PRICES.items()}
    return {**_rounded(cost.model(cost.used(series))), "assumed": cost.ASSUMED, "prices": prices}


def write(document: Document, folder: Path) -> None:
    """Write benchmarks.json."""
    (folder / "benchmarks.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _goals() -> dict[str, float]:
    loaded = json.loads(MODULES.read_text("utf-8"))
    kinds = {
        name: "provider" if "httpx" in modules["import"] + modules["answer"] else "table"
        for name, modules in loaded.items()
        if name not in SEALED
    }
    return {name: GOALS.get(name, GOALS[kind]) for name, kind in kinds.items()}


def _spread(name: str, values: Spread, digits: int = 1) -> Document:
    """`ms` with `ms_low` and `ms_high`."""
    return {
        name: round(values.median, digits),
        f"{name}_low": round(values.low, digits),
        f"{name}_high": round(values.high, digits),
    }


def _rounded(node: Any) -> Any:
    """Dollars to four digits: a model has no more."""
    if isinstance(node, dict):
        return {name: _rounded(value) for name, value in node.items()}
    return float(f"{node:.4g}")

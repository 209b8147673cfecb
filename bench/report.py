"""Turns all measurements into one document, docs/benchmarks.json, which render.py and chart.py read."""

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

# The largest allowed ratio to an empty handler. Other functions are "provider" if they load httpx, else "table".
GOALS = {"list_models": 4.0, "table": 6.0, "provider": 9.0}
SEALED = {"inspect_clip", "stitch_clips"}
MODULES = ROOT / "tests" / "expected_modules.json"  # the modules that each function loads; CI compares them


def cold_starts(series: list[cold_start.Series]) -> Document:
    """Collect the cold starts: milliseconds to the first answer, and the ratio to an empty handler."""
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
    """Collect the warm calls of each function, without the time of AWS."""
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
    """Collect what our function and the peer add to the direct call."""
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
    """Collect added megabytes: an idle function against an empty handler, a large file against a small file."""
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
    """Collect megabytes on disk and zipped."""
    document: Document = {}
    for name, one in measured.items():
        document[f"{name}_mb"] = round(one.unzipped, 2)
        if one.zipped is not None:
            document[f"{name}_zipped_mb"] = round(one.zipped, 2)
    return document


def growths(counts: Mapping[str, Mapping[int, growth.Count]]) -> Document:
    """Collect the requests, items and capacity units of each call, by the number of rows in the table."""
    return {
        call: {
            f"{rows}_{what}": value
            for rows, count in by_rows.items()
            for what, value in (("requests", count.requests), ("items", count.items), ("units", count.capacity))
        }
        for call, by_rows in counts.items()
    }


def costs(series: list[cold_start.Series]) -> Document:
    """Compute the cost model. The document also has its assumptions and prices."""
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
    """Return median and quartiles, as `ms`, `ms_low` and `ms_high` for the name `ms`."""
    return {
        name: round(values.median, digits),
        f"{name}_low": round(values.low, digits),
        f"{name}_high": round(values.high, digits),
    }


def _rounded(node: Any) -> Any:
    """Round dollars to four significant digits, because the model is not more exact."""
    if isinstance(node, dict):
        return {name: _rounded(value) for name, value in node.items()}
    return float(f"{node:.4g}")

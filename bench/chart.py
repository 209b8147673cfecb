"""`python -m bench.chart benchmarks.json benchmarks.svg`: draws the chart of docs/benchmarks.md.

This module runs in its own environment (locks/bench.txt), which has only matplotlib.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

BLUE, ORANGE, GREY, RED = "#2b6cb0", "#dd6b20", "#a0aec0", "#c53030"
MOST_ADDED = 64  # MB
STYLE = {
    "svg.hashsalt": "understudy",  # the same figures give the same file
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}


def digest(text: str) -> str:
    """Return a digest of the JSON. The chart's description has it, so that a test can compare chart and JSON."""
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Read the figures and draw the chart."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    text = source.read_text("utf-8")
    document = json.loads(text)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplot_mosaic(
            [["cold", "warm"], ["cold", "memory"], ["cold", "cost"]], figsize=(11, 8), layout="constrained"
        )
        _cold_starts(axes["cold"], document["cold_start"])
        _overhead(axes["warm"], document["overhead"], document["run"]["peer"])
        _memory(axes["memory"], document["memory"])
        _cost(axes["cost"], document["cost"])
        figure.savefig(target, metadata={"Date": None, "Description": f"sha256 of the figures: {digest(text)}"})


def _cold_starts(axes: Any, cold: dict[str, Any]) -> None:
    names = sorted((name for name in cold if name != "empty"), key=lambda name: -cold[name]["ratio"])
    ratios = [cold[name]["ratio"] for name in names]
    low = [cold[name]["ratio"] - cold[name]["ratio_low"] for name in names]
    high = [cold[name]["ratio_high"] - cold[name]["ratio"] for name in names]
    colours = [GREY if name == "everything" else BLUE for name in names]
    axes.barh(names, ratios, xerr=[low, high], color=colours, error_kw={"elinewidth": 0.8})
    for at, name in enumerate(names):
        if cold[name]["goal"]:
            axes.plot([cold[name]["goal"]] * 2, [at - 0.4, at + 0.4], color=RED, linewidth=1.5)
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.set_title("Cold start, times an empty handler (red: goal)")


def _overhead(axes: Any, overhead: dict[str, Any], peer: str | None) -> None:
    calls = list(overhead)
    ours = [overhead[call]["added_ms"] for call in calls]
    if peer:
        axes.bar([at - 0.2 for at in range(len(calls))], ours, 0.4, color=BLUE, label="Understudy")
        theirs = [overhead[call]["peer_added_ms"] for call in calls]
        axes.bar([at + 0.2 for at in range(len(calls))], theirs, 0.4, color=ORANGE, label=peer)
        for at, theirs_ in enumerate(theirs):
            axes.plot([at - 0.4, at], [theirs_ / 3] * 2, color=RED, linewidth=1.5)
        axes.legend(frameon=False, ncols=2)
    else:
        axes.bar(range(len(calls)), ours, color=BLUE)
    axes.set_ylim(top=1.35 * axes.dataLim.ymax)  # room for the legend
    axes.set_xticks(range(len(calls)), calls)
    axes.set_title("Warm call, ms added to the direct one (red: goal)")


def _memory(axes: Any, memory: dict[str, Any]) -> None:
    cases = [name for name in memory if name.endswith("_1gb")]
    axes.bar(cases, [memory[name]["added_mb"] for name in cases], 0.5, color=BLUE)
    axes.axhline(MOST_ADDED, color=RED, linewidth=1.5)
    axes.set_ylim(top=MOST_ADDED * 1.1)
    axes.set_title("Memory for a file of 1 GB, MB added (red: goal)")


def _cost(axes: Any, cost: dict[str, Any]) -> None:
    even = cost["even_at_videos_a_month"]
    videos = [even * step / 20 for step in range(31)]
    ours = [cost["idle_month"] + cost["per_thousand_videos"] * count / 1000 for count in videos]
    axes.plot(videos, ours, color=BLUE, label="Understudy")
    axes.axhline(cost["always_on_month"], color=ORANGE, label="proxy that is always on")
    axes.legend(frameon=False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("videos a month")
    axes.set_title("Dollars a month, without what providers take (model)")


if __name__ == "__main__":
    main()

"""`make bench`: runs all measurements on their own local stack and writes docs/benchmarks.json, .md and .svg.

    python -m bench [--quick] [--output FOLDER]
    python -m bench --render

--quick repeats each measurement only a few times: this checks that the benchmarks run, but the figures are not
reliable. It writes to .build/bench, not to docs/. --render measures nothing: after a change to the text, it writes the
page, the chart and the README again from the existing figures.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import cold_start, environment, growth, litellm_proxy, memory, overhead, render, report, size
from bench.figures import say
from local.settings import ROOT, Settings
from local.stack import lifecycle

OWN_PORT = 4900  # the stack at this port is used by benchmarks only, and is deleted before and after them
PYTHON = ROOT / ".venvs" / "bench" / "bin" / "python"  # with the plotting library


def main() -> None:
    """Run the command line: measure and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="few repetitions, written to .build/bench")
    parser.add_argument("--render", action="store_true", help="measure nothing, write from the figures that there are")
    parser.add_argument("--output", type=Path, help="folder for what is written; without it docs/")
    given = parser.parse_args()
    folder: Path = given.output or (ROOT / ".build" / "bench" if given.quick else ROOT / "docs")
    folder.mkdir(parents=True, exist_ok=True)
    if not given.render:
        settings = Settings(int(os.environ.get("PORT") or OWN_PORT))
        report.write(_on_a_stack(settings, quick=given.quick), folder)
    _publish(folder)


def _on_a_stack(settings: Settings, *, quick: bool) -> dict[str, Any]:
    if settings.port == OWN_PORT:
        lifecycle.reset(settings)
    try:
        with environment.running(settings):
            return measure(settings, quick=quick)
    finally:
        if settings.port == OWN_PORT:
            lifecycle.reset(settings)


def _publish(folder: Path) -> None:
    """Write the page and the chart from the figures, and for docs/ also the README's figures."""
    figures, page = folder / "benchmarks.json", folder / "benchmarks.md"
    document = json.loads(figures.read_text("utf-8"))
    page.write_text(render.markdown(document), "utf-8")
    subprocess.run([PYTHON, "-m", "bench.chart", figures, folder / "benchmarks.svg"], cwd=ROOT, check=True)
    if folder == ROOT / "docs":
        readme = ROOT / "README.md"
        readme.write_text(render.into_readme(readme.read_text("utf-8"), document), "utf-8")
    say(f"{page}: measured in {document['run']['seconds']} s")


def measure(settings: Settings, *, quick: bool = False) -> dict[str, Any]:
    """Measure everything on the running stack. Return the document for benchmarks.json."""
    started = time.monotonic()
    environment.forget_seeds(settings)
    sizes = size.measure(settings)
    series = cold_start.measure(settings, cold_start.names(), 2 if quick else cold_start.ROUNDS)
    through = overhead.gateway(settings)
    rounds = 2 if quick else overhead.ROUNDS
    overheads = overhead.measure(settings, rounds)
    memories = memory.measure(settings, 50 if quick else memory.GIGABYTE)
    counts = growth.measure(settings, (100, 1_000, 5_000) if quick else growth.ROWS)
    return {
        "run": {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "commit": _commit(),
            "seconds": round(time.monotonic() - started),
            "quick": quick,
            "rounds": {"cold_start": len(series[0].starts), "overhead": rounds},
            "machine": environment.machine(),
            "peer": f"LiteLLM {litellm_proxy.version()}" if litellm_proxy.installed() else None,
        },
        "cold_start": report.cold_starts(series),
        "warm": report.warm_calls(series),
        "overhead": report.overheads(overheads),
        "local_gateway": {"get_character_ms": round(through.median, 1)},
        "memory": report.memories(series, memories),
        "size": report.sizes(sizes),
        "growth": report.growths(counts),
        "cost": report.costs(series),
    }


def _commit() -> str | None:
    """Return the current commit, with a `+` if files have changed since the commit."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return ran.stdout.strip() or None


if __name__ == "__main__":
    main()

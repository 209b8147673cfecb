"""The order in which pytest-xdist's workers get the test files, and the cost of each folder of tests.

Workers take whole files. The first worker takes files from the front of the list, where tests need a processor. The
other workers take files from the end, where tests wait for the deployed stack. So a test that waits nearly always runs
beside a test that computes.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

FRONT = "gw0"  # pytest-xdist's name of the first worker
SAMPLE_SECONDS = 0.25
# Fields of the first line of /proc/stat: user, nice, system, irq, softirq; not idle and not waiting for a disk.
BUSY_FIELDS = (1, 2, 3, 6, 7)


class BothEnds(LoadScopeScheduling):
    """A queue of test files from which workers take at both ends."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node.gateway.id != FRONT:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BothEnds:
    config.option.loadscopereorder = False  # else files with many tests come first
    return BothEnds(config, log)


class Cost:
    """The cost of the tests of each folder: seconds of wall-clock time and seconds of all processors of this machine.

    Processor time while several tests run is divided equally among them. Without /proc only the wall-clock time is
    measured.
    """

    def __init__(self) -> None:
        self._started = time.time()
        self._samples = [(self._started, busy_seconds())]
        self._spans: list[tuple[str, float, float]] = []  # folder, start, end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._samples.append((time.time(), busy_seconds()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        folder = report.nodeid.split("/")[1] if "/" in report.nodeid else report.nodeid
        self._spans.append((folder, report.start, report.stop))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        self._over.set()
        self._thread.join()
        self._samples.append((time.time(), busy_seconds()))
        clock, work = self._by_folder()
        total = self._samples[-1][1] - self._samples[0][1]
        terminalreporter.section("what it took")
        terminalreporter.line(f"{'':14}{'tests, s':>10}{'processors, s':>16}")
        for folder in sorted(clock, key=lambda folder: -clock[folder]):
            terminalreporter.line(f"{folder:14}{clock[folder]:10.0f}{work[folder]:16.0f}")
        terminalreporter.line(f"{'in all':14}{time.time() - self._started:10.0f}{total:16.0f}")

    def _by_folder(self) -> tuple[dict[str, float], dict[str, float]]:
        clock, work = defaultdict[str, float](float), defaultdict[str, float](float)
        for folder, start, end in self._spans:
            clock[folder] += end - start
        moments = sorted(
            [(start, folder, 1) for folder, start, _ in self._spans]
            + [(end, folder, -1) for folder, _, end in self._spans]
        )
        running, place = defaultdict[str, int](int), 0
        for (begin, before), (end, after) in zip(self._samples, self._samples[1:], strict=False):
            while place < len(moments) and moments[place][0] <= (begin + end) / 2:
                _, folder, change = moments[place]
                running[folder] += change
                place += 1
            count = sum(running.values())
            for folder, share in running.items():
                work[folder] += (after - before) * share / count if count else 0.0
        return clock, work


def busy_seconds() -> float:
    """Return the seconds that the machine's processors have worked since it started, or 0 without /proc."""
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()
    except OSError:
        return 0.0
    return sum(int(fields[n]) for n in BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(Cost(), "cost")

"""The environment of measurements: the machine and the local stack, and ways to keep both idle."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from local.lambda_.runtime import cpu_milliseconds
from local.processes import Process
from local.settings import ROOT, Settings
from local.stack import lifecycle

DEPLOYMENTS = ROOT / "bench" / "deployments.toml"
PATIENCE_SECONDS = 60
QUIET = 0.1  # of one core


def machine() -> dict[str, Any]:
    """Return a description of this machine."""
    return {
        "processor": _first(r"model name\s*: (.+)", "/proc/cpuinfo") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(_first(r"MemTotal:\s+(\d+) kB", "/proc/meminfo") or 0) / 2**20),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Start the local stack with a current build and bench/deployments.toml. Stop it afterwards if it did not run."""
    was_running = lifecycle.runs(settings)
    os.environ["DEPLOYMENTS"] = str(DEPLOYMENTS)
    lifecycle.up(settings)
    try:
        yield
    finally:
        if not was_running:
            lifecycle.down(settings)


def forget_seeds(settings: Settings) -> None:
    """Forget the events' characters and videos: the simulator keeps those of an earlier run for an hour only."""
    settings.remember(seeds={})


def wait_for_quiet(settings: Settings) -> None:
    """Wait until the processes of the stack are idle, for a minute at most: earlier requests may still cause work."""
    pids = stack_pids(settings)
    for _ in range(PATIENCE_SECONDS):
        before = sum(map(cpu_milliseconds, pids))
        time.sleep(1)
        if sum(map(cpu_milliseconds, pids)) - before < 1000 * QUIET:
            return


@contextlib.contextmanager
def nobody_listening(settings: Settings) -> Iterator[None]:
    """Disable all event source mappings, so that only the measured function works on uploads."""
    client = settings.client("lambda")
    uuids = [one["UUID"] for one in client.list_event_source_mappings()["EventSourceMappings"]]
    try:
        for uuid in uuids:
            client.update_event_source_mapping(UUID=uuid, Enabled=False)
        yield
    finally:
        for uuid in uuids:
            client.update_event_source_mapping(UUID=uuid, Enabled=True)


@contextlib.contextmanager
def core_of_its_own(settings: Settings) -> Iterator[int | None]:
    """Yield a core for the measured process (see `pin`); None on a machine with one core.

    This process and the processes of the stack move to the other cores.
    """
    cores = os.sched_getaffinity(0)
    if len(cores) == 1:
        yield None
        return
    mine, others = max(cores), cores - {max(cores)}
    bystanders = [os.getpid(), *stack_pids(settings)]
    for pid in bystanders:
        pin(pid, others)
    try:
        yield mine
    finally:
        for pid in bystanders:
            pin(pid, cores)


def pin(pid: int, cores: Iterable[int]) -> None:
    """Restrict a process, and all processes that it starts later, to these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def stack_pids(settings: Settings) -> list[int]:
    """Return the process ids of the local stack: the local AWS, the simulators, the front."""
    files = sorted((settings.folder / "run").glob("*.pid"))
    found = (Process(file.stem, settings.folder, 0).pid() for file in files)
    return [pid for pid in found if pid is not None]


def _first(pattern: str, path: str) -> str | None:
    with contextlib.suppress(OSError):
        if found := re.search(pattern, Path(path).read_text()):
            return found[1]
    return None

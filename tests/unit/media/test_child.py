"""Each case runs in a new process, because a worker of pytest has children and more memory than a function."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from understudy_media import child
from understudy_media.limits import MIB

MEMORY = 512 * MIB


def crash() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def exhaust() -> dict[str, Any]:
    return {"size": len(bytearray(2048 * MIB))}


def hang() -> dict[str, Any]:
    time.sleep(60)
    return {}


def fail() -> dict[str, Any]:
    raise RuntimeError


def fit() -> dict[str, Any]:
    return {"size": len(bytearray(100 * MIB))}


def dies(work: str) -> None:
    with pytest.raises(child.ChildDied):
        child.run(globals()[work], seconds=10, memory_bytes=MEMORY)


def has_room() -> None:
    assert child.run(fit, seconds=10, memory_bytes=MEMORY) == {"size": 100 * MIB}


def is_killed() -> None:
    begun = time.monotonic()
    with pytest.raises(child.ChildTimeout):
        child.run(hang, seconds=0.2, memory_bytes=None)
    assert time.monotonic() - begun < 5
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def alone(case: str) -> None:
    """Run an expression of this module in a process of its own, and check that it succeeds."""
    command = [sys.executable, "-c", f"from tests.unit.media import test_child; test_child.{case}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr


def test_the_answer_comes_back_whole() -> None:
    answer = {"text": "ü" * 300_000, "pid": 0}
    got = child.run(lambda: {**answer, "pid": os.getpid()}, seconds=10, memory_bytes=None)
    assert got["text"] == answer["text"]
    assert got["pid"] != os.getpid()


@pytest.mark.parametrize("work", ["crash", "exhaust", "fail"])
def test_a_child_that_dies_leaves_its_parent_alive(work: str) -> None:
    alone(f"dies({work!r})")


def test_memory_within_the_limit_is_given() -> None:
    alone("has_room()")


def test_a_child_that_hangs_is_killed() -> None:
    alone("is_killed()")

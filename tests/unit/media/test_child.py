from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from understudy_media import child
from understudy_media.limits import MIB


def test_the_answer_comes_back_whole() -> None:
    answer = {"text": "ü" * 300_000, "pid": 0}
    got = child.run(lambda: {**answer, "pid": os.getpid()}, seconds=10, memory_bytes=None)
    assert got["text"] == answer["text"]
    assert got["pid"] != os.getpid()


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


@pytest.mark.parametrize("work", [crash, exhaust, fail])
def test_a_child_that_dies_leaves_its_parent_alive(work: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(child.ChildDied):
        child.run(work, seconds=10, memory_bytes=512 * MIB)


def test_memory_within_the_limit_is_given() -> None:
    assert child.run(lambda: {"size": len(bytearray(100 * MIB))}, seconds=10, memory_bytes=512 * MIB) == {
        "size": 100 * MIB
    }


def test_a_child_that_hangs_is_killed() -> None:
    begun = time.monotonic()
    with pytest.raises(child.ChildTimeout):
        child.run(hang, seconds=0.2, memory_bytes=None)
    assert time.monotonic() - begun < 5
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)

"""Work in a process of its own, which may crash, hang or ask for all the memory without taking the function with it."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any


class ChildTimeout(Exception):
    """The child was killed because its time was over."""


class ChildDied(Exception):
    """The child ended without an answer: a crash in a decoder, or no memory left."""


def run(work: Callable[[], Mapping[str, Any]], *, seconds: float, memory_bytes: int | None) -> dict[str, Any]:
    """What `work` returns (as JSON), computed by a forked child within `seconds` and `memory_bytes` of data.

    FFmpeg can spin or fault inside C where no Python check runs, and a fault in it must not outlive the file that
    caused it: the next caller's clip is opened by a new process. Forking costs little, since everything is imported
    already. Raises ChildTimeout or ChildDied.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, read_end, write_end, memory_bytes)
    os.close(write_end)
    try:
        data = _read_all(read_end, time.monotonic() + seconds)
    finally:
        os.close(read_end)
        # Killing a child that has answered is harmless; one that has not must not live on.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise ChildDied from error
    return answer


def _be_child(work: Callable[[], Mapping[str, Any]], read_end: int, write_end: int, memory_bytes: int | None) -> None:
    status = 1
    try:
        os.close(read_end)
        if memory_bytes is not None:
            # An allocation beyond it fails, and FFmpeg reports that; without, the kernel would kill the whole function.
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        data = json.dumps(work()).encode()
        while data:
            data = data[os.write(write_end, data) :]
        status = 0
    finally:
        # Not sys.exit: the parent's exit handlers and buffers are not ours to run and flush.
        os._exit(status)


def _read_all(descriptor: int, end: float) -> bytes:
    chunks: list[bytes] = []
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise ChildTimeout
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)

"""Runs work in a separate process, which may crash, hang or use up memory without ending the function."""

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
    """Run `work` in a forked child, within `seconds` and `memory_bytes` of data. Return its result, passed as JSON.

    FFmpeg can hang or crash inside C, where no Python check runs. A fault in FFmpeg must not outlive the file that
    caused it, so a new process opens the next caller's clip. Forking costs little, since everything is imported
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
        # Killing a child that has answered does no harm. A child that has not answered must not go on.
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
            # An allocation beyond the limit fails, and FFmpeg reports it. Without it, the kernel kills the function.
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        data = json.dumps(work()).encode()
        while data:
            data = data[os.write(write_end, data) :]
        status = 0
    finally:
        # Not sys.exit: the child must not run the parent's exit handlers or flush its buffers.
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

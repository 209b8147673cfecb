"""Background processes are found again, replaced when their digest changes, and leave nothing behind."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from local.processes import DidNotStart, Process, digest

# Listens, and has a child that would outlive it.
SERVER = """
import socket, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child.pid", "w").write(str(child.pid))
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(60)
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ensure(process: Process, made_of: str = "a", code: str = SERVER) -> None:
    command = [sys.executable, "-c", code, str(process.port)]
    process.ensure(command, {"PATH": os.environ["PATH"]}, lambda: _listens(process.port), made_of)


def test_it_starts_is_found_and_stops_with_its_children(tmp_path: Path, port: int) -> None:
    process = Process("server", tmp_path, port)
    assert process.pid() is None
    _ensure(process)
    pid = process.pid()
    assert pid is not None
    assert Process("server", tmp_path, port).pid() == pid
    child = int((tmp_path / "child.pid").read_text())
    process.stop(seconds=5)
    assert process.pid() is None
    assert not _listens(port)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child outlived it")


def test_it_is_kept_while_it_is_made_of_the_same_and_replaced_after(tmp_path: Path, port: int) -> None:
    process = Process("server", tmp_path, port)
    _ensure(process)
    first = process.pid()
    _ensure(process)
    assert process.pid() == first
    _ensure(process, "b")
    assert process.pid() not in (first, None)
    process.stop(seconds=5)


def test_one_that_dies_says_its_last_words(tmp_path: Path, port: int) -> None:
    process = Process("server", tmp_path, port)
    with pytest.raises(DidNotStart, match="out of tea"):
        _ensure(process, code="raise SystemExit('out of tea')")
    assert process.pid() is None


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        with pytest.raises(DidNotStart, match=str(port)):
            _ensure(Process("server", tmp_path, port))


def test_a_digest_changes_with_what_it_is_of(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("1")
    before = digest(tmp_path, "x")
    assert digest(tmp_path, "x") == before
    assert digest(tmp_path, "y") != before
    file.write_text("2")
    assert digest(tmp_path, "x") != before

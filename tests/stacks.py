"""The deployed local stack of a test process: on its own ports, started during the first tests, removed at the end.

Every worker of pytest-xdist has its own stack, so no test sees another worker's keys, faults or killed functions. With
UNDERSTUDY_STACK=4500, the tests use the stack on that port as it is, start it if necessary, and leave it running.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.settings import HOST, Settings
from local.stack.lifecycle import runs
from tests.integration.live import Stack, call_stack, start_stack
from tests.lanes import FRONT
from tests.logs import judge

HERE = Path(__file__).parent
REUSE = "UNDERSTUDY_STACK"
FIRST_PORT, LAST_PORT, STEP = 4500, 9500, 50  # a stack of the tests takes ports out of 50
LIVE = {  # folders whose tests want it
    "integration": "against the deployed local stack",
    "clients": "real clients against the deployed local stack",
    "logs": "what the deployed local stack has logged",
}
OURS = "of-tests"  # a file in the folder of a stack that tests may empty
STARTS_WITHIN = 300
TROUBLES = 40
STACK: pytest.StashKey[TestStack] = pytest.StashKey()
TROUBLE: pytest.StashKey[list[str]] = pytest.StashKey()
# A call that failed or took ten seconds, in the log of the proxy; a warning of the local AWS.
STRANGE = re.compile(r" 5\d\d \d+ ms$| \d{5,} ms$|\b(WARNING|ERROR)\b")


class Block:
    """Ports that no other test process of this machine uses while this process lives; PORT sets the first port."""

    def __init__(self) -> None:
        chosen = os.environ.get("PORT")
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        for port in [int(chosen) + worker * STEP] if chosen else range(FIRST_PORT, LAST_PORT, STEP):
            if self._take(port):
                self.port = port
                return
        raise pytest.UsageError(
            f"The {STEP} ports from PORT={chosen} on are not free. Choose others, or leave PORT out."
            if chosen
            else f"No {STEP} ports in a row are free between {FIRST_PORT} and {LAST_PORT}."
        )

    def _take(self, port: int) -> bool:
        lock = (Path(tempfile.gettempdir()) / f"understudy-tests-{port}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        settings = Settings(port)
        if (settings.folder / OURS).exists():  # of a test process that was ended before it could tidy up
            call_stack("reset", settings)
        # Another folder belongs to somebody's own stack, which may be stopped at the moment.
        if settings.folder.exists() or not all(map(_free, range(port, port + STEP))):
            lock.close()
            return False
        self._lock = lock  # until this process ends
        return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class TestStack:
    """The stack of this process, started in the background; `get` waits for it, `end` removes it."""

    __test__ = False

    def __init__(self) -> None:
        self._reused = os.environ.get(REUSE)
        self._block = None if self._reused else Block()
        self.settings = Settings(self._block.port if self._block else int(self._reused or 0))
        self._start = None if self._reused and runs(self.settings) else self._up()

    def _up(self) -> subprocess.Popen[str]:
        if not self._reused:
            self.settings.folder.mkdir(parents=True, exist_ok=True)
            (self.settings.folder / OURS).touch()
        return start_stack(self.settings)

    def get(self) -> Stack:
        """Return the running stack, with a key of its own team and a key of another team.

        Raises AssertionError if the stack did not start.
        """
        if self._start:
            said, _ = self._start.communicate(timeout=STARTS_WITHIN)
            assert self._start.returncode == 0, said
            self._start = None
        made = Stack(self.settings, self.settings.facts()["key"], "")
        return Stack(self.settings, made.key, made.mint("others"))

    def trouble(self) -> list[str]:
        """Return the lines of the stack's logs that may explain a failed test."""
        logs = [self.settings.folder / "logs" / f"{name}.log" for name in ("front", "aws")]
        lines = [line for log in logs if log.exists() for line in log.read_text("utf-8", "replace").splitlines()]
        return [f"{self.settings.port}: {line[:300]}" for line in lines if STRANGE.search(line)][-TROUBLES:]

    def end(self) -> None:
        """Remove the stack that was started, even if no test used it."""
        if self._start:
            self._start.wait(STARTS_WITHIN)
        if not self._reused:
            call_stack("reset", self.settings)


def pytest_configure(config: pytest.Config) -> None:
    for folder, what in LIVE.items():
        config.addinivalue_line("markers", f"{folder}: {what}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the stack by their folder."""
    for item in items:
        if item.path.is_relative_to(HERE) and (folder := item.path.relative_to(HERE).parts[0]) in LIVE:
            item.add_marker(folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the stack as soon as it is known that a test of this process needs it."""
    # The controller of pytest-xdist runs no tests, and its first worker runs other tests first.
    wanted = any(item.get_closest_marker(folder) for item in session.items for folder in LIVE)
    if wanted and not session.config.option.collectonly and os.environ.get("PYTEST_XDIST_WORKER") != FRONT:
        session.config.stash[STACK] = TestStack()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if stack := session.config.stash.get(STACK, None):
        if session.testsfailed:
            session.config.stash[TROUBLE] = stack.trouble()
            getattr(session.config, "workeroutput", {})["trouble"] = stack.trouble()
        stack.end()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Take over what a worker of pytest-xdist has found in the logs of its stack."""
    trouble = node.config.stash.setdefault(TROUBLE, [])
    trouble += getattr(node, "workeroutput", {}).get("trouble", [])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print, below everything else, what the stacks of failed tests have logged."""
    if not hasattr(config, "workerinput"):
        for line in config.stash.get(TROUBLE, []):
            print(line)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The deployed stack of this process; after the stack's last test its whole log is checked."""
    stash = request.config.stash
    if STACK not in stash:
        stash[STACK] = TestStack()
    stack = stash[STACK].get()
    yield stack
    assert judge.everything(stack) == [], "the functions have logged what they must not"


if __name__ == "__main__":
    print(Block().port)

"""`make sam-local`: the built functions in Docker, under AWS's own emulator; not a part of `make test`.

The tests use the stack of PORT. If that stack does not run, it is started and afterwards stopped. As many events run at
a time as there are processors: each event starts SAM CLI, builds an image and starts a container.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from local.lambda_ import docker, image, invoke, sam_local
from local.lambda_.runtime import Outcome
from local.lambda_.sam_local import Emulator
from local.lambda_.seed import Seeds
from local.settings import Settings
from local.stack import lifecycle

Ran = tuple[invoke.Case, Outcome]
IMAGE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rest: the events of each function but the first one")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if IMAGE in config.stash:
        terminalreporter.write_line(f"Containers were made of {config.stash[IMAGE]}.")


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    """The settings of a running stack, with Docker beside it."""
    settings = Settings.from_environment()
    with _or_exit(), docker.daemon(settings):
        ran_already = lifecycle.runs(settings)
        lifecycle.up(settings)  # also deploys what has changed
        try:
            yield settings
        finally:
            if not ran_already:
                lifecycle.down(settings)


@pytest.fixture(scope="session")
def emulator(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with _or_exit(), sam_local.ready(settings) as emulator:
        request.config.stash[IMAGE] = emulator.image
        yield emulator


@contextlib.contextmanager
def _or_exit() -> Iterator[None]:
    """End the run with one message if Docker or the image is missing, instead of failing every test."""
    try:
        yield
    except (docker.NoDocker, image.NoImage) as error:
        pytest.exit(f"sam local cannot run here: {error}", returncode=1)


@pytest.fixture(scope="session")
def outcome(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Ran]]:
    """A function that returns the outcome of an event; all events of the run start with the first test, in order."""
    Seeds(emulator.settings).forget_stale()
    one_at_a_time = threading.Lock()  # seeds remember each other in a file

    def run(file: Path) -> Ran:
        with one_at_a_time:
            case = invoke.case(emulator.settings, file)
        return case, emulator.invoke(case)

    pool = ThreadPoolExecutor(os.cpu_count())
    running: dict[Path, Future[Ran]] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "file" in item.callspec.params:
            file: Path = item.callspec.params["file"]
            running[file] = pool.submit(run, file)
    yield lambda file: running[file].result()
    pool.shutdown(cancel_futures=True)

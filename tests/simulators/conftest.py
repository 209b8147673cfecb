"""One simulator process for these tests, emptied between them, and clips and clients to use with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from local.simulators.process import Simulator
from local.simulators.shared.render import sample_clip

SPEED = 40.0  # a job is done after 50 ms, and after its rendering


@pytest.fixture(scope="session")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("simulator"), speed=SPEED) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """The shared simulator, emptied and with its first settings."""
    before = shared_simulator.settings()
    shared_simulator.reset()
    yield shared_simulator
    shared_simulator.settings(**before)


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """A function that starts another simulator, which is stopped at the end of the test."""
    started: list[Simulator] = []

    def start(**options: Any) -> Simulator:
        options.setdefault("speed", SPEED)
        started.append(Simulator(tmp_path / f"state{len(started)}", **options).start())
        return started[-1]

    yield start
    for each in started:
        each.stop()


# Clients are made once: each costs a TLS context, which is more than most tests here.


@pytest.fixture(scope="session")
def shared_client(shared_simulator: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=shared_simulator.base_url, api_key="sim-a") as client:
        yield client


@pytest.fixture(scope="session")
def shared_http(shared_simulator: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared_simulator.base_url, timeout=20) as http:
        yield http


@pytest.fixture
def client(simulator: Simulator, shared_client: OpenAI) -> OpenAI:
    """The official SDK with the key of account a."""
    return shared_client


@pytest.fixture
def anonymous(simulator: Simulator, shared_http: httpx.Client) -> httpx.Client:
    """An HTTP client without a key."""
    shared_http.headers.pop("Authorization", None)
    return shared_http


@pytest.fixture
def http(simulator: Simulator, shared_http: httpx.Client) -> httpx.Client:
    """An HTTP client with the key of account a."""
    shared_http.headers["Authorization"] = "Bearer sim-a"
    return shared_http


@pytest.fixture(scope="session")
def luna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the mascot Luna: 2 s, 640x360."""
    return sample_clip(tmp_path_factory.mktemp("clips") / "luna.mp4", 2, (640, 360), "Luna")


@pytest.fixture(scope="session")
def moss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the mascot Moss: 2 s, 360x640."""
    return sample_clip(tmp_path_factory.mktemp("clips") / "moss.mp4", 2, (360, 640), "Moss")

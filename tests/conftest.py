"""What all tests share: their order, their marks, and one deployed stack for those that need it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local.simulators.process import Simulator
    from tests.integration.live import Api, Stack

# Folder -> its place in the run. What is quick and near comes first; `logs` reads what all the others have left.
ORDER = ["unit", "contract", "template", "simulators", "security", "integration", "clients", "logs"]
LIVE = ("integration", "clients", "logs")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "integration: against the deployed local stack")
    config.addinivalue_line("markers", "clients: real clients against the deployed local stack")
    config.addinivalue_line("markers", "logs: what the deployed local stack has logged")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unit tests first; tests of the stack are marked by their folder."""
    here = Path(__file__).parent
    folders = {item: item.path.relative_to(here).parts[0] for item in items if item.path.is_relative_to(here)}
    for item, folder in folders.items():
        if folder in LIVE:
            item.add_marker(folder)
    items.sort(key=lambda item: ORDER.index(folders[item]) if folders.get(item) in ORDER else len(ORDER))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack of the tests' own, empty at the start and gone at the end.

    UNDERSTUDY_STACK=4500 uses the one on that port as it is, starts it if need be, and leaves it running.
    """
    from local.settings import Settings
    from local.stack import runs
    from tests.integration import live

    reused = os.environ.get(live.REUSE)
    settings = Settings(int(reused or live.PORT))
    if not reused:
        live.call_stack("reset", settings.port)
    try:
        if not (reused and runs(settings)):
            live.call_stack("up", settings.port)
        made = live.Stack(settings, settings.facts()["key"], "")
        yield live.Stack(settings, made.key, made.mint("others"))
    finally:
        if not reused:
            live.call_stack("reset", settings.port)


@pytest.fixture(scope="session")
def base_url(stack: Stack) -> str:
    return stack.base_url


@pytest.fixture(scope="session")
def key(stack: Stack) -> str:
    return stack.key


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """The API as the stack's own team calls it."""
    from tests.integration.live import Api

    return Api(stack.base_url, stack.key)


@pytest.fixture(scope="session")
def others(stack: Stack) -> Api:
    """The API as another team calls it."""
    from tests.integration.live import Api

    return Api(stack.base_url, stack.other_key)


@pytest.fixture(scope="session")
def upstream(stack: Stack) -> Simulator:
    """The control of the OpenAI-shaped simulator."""
    return stack.simulator("openai")


@pytest.fixture(scope="session")
def luna_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the mascot Luna: 2 s, 1280x720."""
    from local.simulators.render import sample_clip

    return sample_clip(tmp_path_factory.mktemp("clips") / "luna.mp4", 2, (1280, 720), "Luna")


@pytest.fixture(scope="session")
def moss_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the mascot Moss: 3 s, 720x1280."""
    from local.simulators.render import sample_clip

    return sample_clip(tmp_path_factory.mktemp("clips") / "moss.mp4", 3, (720, 1280), "Moss")


@pytest.fixture(scope="session")
def luna(api: Api, luna_clip: Path) -> str:
    """The id of a character, made without a model."""
    return str(api.character(luna_clip)["id"])


@pytest.fixture(scope="session")
def movie(api: Api, luna: str) -> str:
    """The id of a finished video of 4 seconds, 1280x720."""
    body = {"model": "sora-2", "size": "1280x720", "seconds": "4", "characters": [{"id": luna}]}
    return str(api.finished(prompt="Luna runs over wet stones", **body)["id"])

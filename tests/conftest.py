"""Fixtures and hooks for all tests: the order of the tests, the number of examples, the deployed stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from local.simulators.process import Simulator
    from tests.integration.live import Api, Stack

pytest_plugins = ("tests.rings", "tests.lanes", "tests.stacks")

# The order of the folders. Quick tests without a stack come first; `logs` reads what the other tests have logged.
ORDER = ["unit", "contract", "template", "simulators", "local", "security", "integration", "clients", "logs"]
# The longest files of `integration`, last: a worker that takes files from the end (lanes.py) begins with them.
LONG = [f"test_{name}.py" for name in ("faults", "live_providers", "limits", "routing", "idempotency", "schema")]

# No deadline: on a busy machine the time of an example means nothing.
EXAMPLES = {"quick": 25, "thorough": 100}
for name, count in EXAMPLES.items():
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile(name, deadline=None, suppress_health_check=slow, max_examples=count)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("thorough" if config.getoption("--all") else "quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by folder."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> tuple[int, int]:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        name = item.path.name
        return ORDER.index(folder) if folder in ORDER else len(ORDER), LONG.index(name) if name in LONG else -1

    items.sort(key=place)


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
    from local.simulators.shared.render import sample_clip

    return sample_clip(tmp_path_factory.mktemp("clips") / "luna.mp4", 2, (1280, 720), "Luna")


@pytest.fixture(scope="session")
def moss_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the mascot Moss: 3 s, 720x1280."""
    from local.simulators.shared.render import sample_clip

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

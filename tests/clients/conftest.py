"""Run each client as a program of its own, in its own environment and for a team of its own.

Two clients of a module run at a time.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.litellm_proxy import Proxy
from local.settings import ROOT
from tests.integration.live import Api, Stack

HERE = Path(__file__).parent
VENVS = ROOT / ".venvs"
PROXY_PORT = 20  # above the stack's own

# Client -> its command.
PROGRAMS: dict[str, list[str | Path]] = {
    "openai-3": [VENVS / "project" / "bin" / "python", HERE / "openai_python.py"],
    "openai-2": [VENVS / "client-openai2" / "bin" / "python", HERE / "openai_python.py"],
    "node": [VENVS / "client-node" / "bin" / "node", HERE / "node" / "client.mjs"],
    "litellm": [VENVS / "client-litellm" / "bin" / "python", HERE / "litellm_sdk.py"],
    "announcement": [VENVS / "client-litellm" / "bin" / "python", ROOT / "docs" / "announcement.py"],
}

Run = Callable[[str], Any]


def environment_of(caller: Api, home: Path) -> dict[str, str]:
    """Return the environment of a program that calls as `caller`, without the tests' variables except PATH."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or LiteLLM asks the internet for prices first
        "OPENAI_BASE_URL": caller.base_url,
        "OPENAI_API_KEY": caller.key,
    }


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of 1280x720."""
    path = tmp_path_factory.mktemp("images") / "image.png"
    Image.new("RGB", (1280, 720), (30, 120, 60)).save(path)
    return path


@pytest.fixture(scope="session")
def teams(stack: Stack) -> dict[str, Api]:
    """A team for each client, so that each client lists only its own videos."""
    return {name: Api(stack.base_url, stack.mint(f"client-{name}")) for name in PROGRAMS}


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest, teams: dict[str, Api], luna_clip: Path, image: Path) -> Iterator[Run]:
    """The output of a client: the JSON that the client printed, or else its text.

    The programs in the module's CLIENTS start when the first test asks for this fixture.
    """
    url = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()

    def run(name: str) -> str:
        caller = teams[name]
        environment = {
            **environment_of(caller, luna_clip.parent),
            "BASE_URL": caller.base_url,
            "KEY": caller.key,
            "CLIP": str(luna_clip),
            "IMAGE": str(image),
            "IMAGE_URL": url,
            "UNFINISHED": str(caller.video(model="unhurried")["id"]),
        }
        ran = subprocess.run(
            PROGRAMS[name], env=environment, cwd=luna_clip.parent, capture_output=True, text=True, timeout=240
        )
        assert ran.returncode == 0, f"{name}: {ran.stderr[-3000:]}"
        return ran.stdout

    pool = ThreadPoolExecutor(2)
    running = {name: pool.submit(run, name) for name in request.module.CLIENTS}

    def client(name: str) -> Any:
        output = running[name].result(timeout=600)
        return json.loads(output) if output.startswith("{") else output

    yield client
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def litellm_proxy(stack: Stack) -> Iterator[Callable[[], str]]:
    """A LiteLLM proxy whose only deployment is our API.

    Call the fixture's value to wait until the proxy is ready and to get its base URL.
    """
    proxy = Proxy(stack.base_url, stack.mint("client-proxy"), stack.settings.port + PROXY_PORT)

    def ready() -> str:
        proxy.wait()
        return f"http://127.0.0.1:{proxy.port}/v1"

    with proxy:
        yield ready

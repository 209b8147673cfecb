"""Each client runs as a program of its own, in its own environment, for a team of its own; two at a time.

More at once would only be slower: each call that meets another one in the same function starts a worker more.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.settings import ROOT
from tests.integration.live import Api, Stack

HERE = Path(__file__).parent
VENVS = ROOT / ".venvs"
PROXY_KEY = "sk-proxy"
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


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of 1280x720."""
    path = tmp_path_factory.mktemp("images") / "image.png"
    Image.new("RGB", (1280, 720), (30, 120, 60)).save(path)
    return path


@pytest.fixture(scope="session")
def teams(stack: Stack) -> dict[str, Api]:
    """A team for each client, so that each lists its own videos only."""
    return {name: Api(stack.base_url, stack.mint(f"client-{name}")) for name in PROGRAMS}


@pytest.fixture(scope="session")
def client(teams: dict[str, Api], luna_clip: Path, image: Path, litellm_proxy: object) -> Iterator[Run]:
    """What a client has seen: the JSON that it printed, or its text. All are on their way from the first one on."""
    url = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()

    def run(name: str) -> str:
        caller = teams[name]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(luna_clip.parent),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the internet for prices first
            "BASE_URL": caller.base_url,
            "KEY": caller.key,
            "OPENAI_BASE_URL": caller.base_url,
            "OPENAI_API_KEY": caller.key,
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
    running = {name: pool.submit(run, name) for name in PROGRAMS}

    def client(name: str) -> Any:
        output = running[name].result(timeout=240)
        return json.loads(output) if output.startswith("{") else output

    yield client
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def litellm_proxy(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """A LiteLLM proxy whose only deployment is our API. Calling it waits until it answers and gives its base URL."""
    folder = tmp_path_factory.mktemp("proxy")
    port = stack.settings.port + PROXY_PORT
    upstream = {"model": "openai/sora-2", "api_base": stack.base_url, "api_key": stack.mint("client-proxy")}
    config = {
        "model_list": [{"model_name": "sora-2", "litellm_params": upstream}],
        "general_settings": {"master_key": PROXY_KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    command: list[str | Path] = [VENVS / "client-litellm" / "bin" / "litellm", "--config", folder / "config.yaml"]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def ready() -> str:
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=2).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
            else:
                return f"http://127.0.0.1:{port}/v1"
        raise AssertionError(f"LiteLLM's proxy did not start: {(folder / 'log').read_text()[-3000:]}")

    yield ready
    process.terminate()
    process.wait(30)

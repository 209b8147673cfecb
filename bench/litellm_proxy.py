"""LiteLLM's proxy in front of the same simulator: the peer with which Understudy is compared.

The peer needs its environment from `make clients`. If it is not installed, measurements leave the peer out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from local.settings import HOST, ROOT

FOLDER = ROOT / ".venvs" / "client-litellm"
KEY = "sk-proxy"
STARTS_WITHIN = 120.0


def installed() -> bool:
    """Return whether the peer is installed."""
    return (FOLDER / "bin" / "litellm").exists()


def version() -> str:
    """Return the peer's version in the lock file."""
    lines = (ROOT / "locks" / "client-litellm.txt").read_text().splitlines()
    return next(line.split()[0].partition("==")[2] for line in lines if line.startswith("litellm=="))


class Proxy:
    """A proxy process with one worker, no database and no debug log. Its only deployment is `base_url`."""

    def __init__(self, base_url: str, key: str, port: int) -> None:
        self.port = port
        self._folder = Path(tempfile.mkdtemp(prefix="understudy-peer-"))
        upstream = {"model": "openai/sora-2", "api_base": base_url, "api_key": key}
        config = {
            "model_list": [{"model_name": "sora-2", "litellm_params": upstream}],
            "general_settings": {"master_key": KEY},
        }
        (self._folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
        command: list[str | Path] = [FOLDER / "bin" / "litellm", "--config", self._folder / "config.yaml"]
        # LiteLLM's docs recommend this for production: no debug output, no .env files.
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._folder),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise the proxy first downloads prices
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
        }
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--host", HOST, "--port", str(port), "--telemetry", "False"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait(self) -> None:
        """Wait until the proxy answers. Raises SystemExit with the end of its log if it does not."""
        until = time.monotonic() + STARTS_WITHIN
        while self._process.poll() is None and time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://{HOST}:{self.port}/health/liveliness", timeout=2).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
            else:
                return
        raise SystemExit(f"LiteLLM's proxy did not start: {(self._folder / 'log').read_text()[-3000:]}")

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._folder)

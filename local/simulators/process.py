"""Starts, stops and controls a simulator for tests and for the local stack. Uses the standard library only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

_ROOT = Path(__file__).resolve().parents[2]
_STARTS_WITHIN = 20.0
_TAKES_WITHIN = 10.0


class SimulatorError(RuntimeError):
    """A simulator did not start, did not answer, or refused a control call; the message says why."""


class Simulator:
    """One simulator process and its control API.

        with Simulator(tmp_path, speed=50) as simulator:
            client = OpenAI(base_url=simulator.base_url, api_key="sim-a")
            simulator.fault(method="POST", path="/videos$", action="reset", when="after")

    With `port` 0 the simulator uses any free port, and a restart keeps that port. The process ends when its parent
    ends. A `detached` process keeps running after the command that started it; `pid` tells which process to end later.
    """

    def __init__(
        self,
        state: Path,
        *,
        port: int = 0,
        flavour: str | None = None,
        speed: float = 1.0,
        arguments: Sequence[str] = (),
        module: str = "local.simulators.openai",
        detached: bool = False,
        python: str = sys.executable,
    ) -> None:
        self.state = state.resolve()
        self.port = port
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [python, "-m", module, "--state", str(self.state), "--speed", str(speed), *arguments]
        if flavour is not None:
            self._command += ["--flavour", flavour]

    @property
    def url(self) -> str:
        """The simulator's address: scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL for clients."""
        return f"{self.url}/v1"

    @property
    def log(self) -> Path:
        return self.state / "simulator.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def attach(self) -> Simulator:
        """Connect to the simulator that already runs on this state folder. Raises SimulatorError if none answers."""
        try:
            self.port = _announced_port(self.state)
            self._call("GET", "health")
        except OSError as error:
            raise SimulatorError(f"no simulator answers for {self.state}") from error
        return self

    def start(self) -> Simulator:
        """Start the process and wait until it answers. Raises SimulatorError with the end of its log."""
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "simulator.json").unlink(missing_ok=True)
        command = [*self._command, "--port", str(self.port)]
        with self.log.open("ab") as log:
            if self._detached:
                self._process = subprocess.Popen(
                    command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            else:
                self._process = subprocess.Popen(
                    [*command, "--exit-with-stdin"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log
                )
        self._wait(self._process)
        return self

    def stop(self) -> None:
        """Stop the process. Its state stays in the state folder."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def kill(self) -> None:
        """Kill the process, without time to clean up."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def wait_dead(self, seconds: float = 10.0) -> int:
        """Wait until the process ends because of a fault, and return its exit code."""
        if self._process is None:
            raise SimulatorError("the simulator is not running")
        return self._process.wait(seconds)

    def restart(self) -> Simulator:
        """Start a new process with the same state on the same port."""
        self.stop()
        return self.start()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # The control API

    def requests(self, **filters: str | int) -> list[dict[str, Any]]:
        """Return the records of requests, oldest first.

        Filters: method, account, operation, outcome, path (regex), since (number).
        """
        return list(self._call("GET", f"requests?{urlencode(filters)}"))

    def clear_requests(self) -> None:
        self._call("DELETE", "requests")

    def counts(self) -> dict[str, Any]:
        return dict(self._call("GET", "counts"))

    def jobs(self, least: int = 0) -> list[dict[str, Any]]:
        """Return all jobs, oldest first. Wait until there are at least `least` jobs.

        The simulator may create a job after its client has given up. Raises SimulatorError if there are fewer jobs
        after ten seconds.
        """
        until = time.monotonic() + _TAKES_WITHIN
        while len(jobs := list(self._call("GET", "jobs"))) < least:
            if time.monotonic() > until:
                raise SimulatorError(f"there are {len(jobs)} jobs, not {least}")
            time.sleep(0.02)
        return jobs

    def fault(self, **order: Any) -> int:
        """Add a fault and return its number. The module `faults` describes the keys."""
        return int(self._call("POST", "faults", order)[0]["id"])

    def faults(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "faults"))

    def remove_fault(self, number: int) -> None:
        self._call("DELETE", f"faults/{number}")

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings. Return all settings."""
        return dict(self._call("POST", "settings", changes))

    def revoke(self, account: str | None = None, key: str | None = None, restore: bool = False) -> None:
        who = {"account": account} if account is not None else {"key": key}
        self._call("POST", "revoke", {**who, "restore": restore})

    def reset(self) -> None:
        """Delete jobs, characters, files, requests, faults and revocations. Settings stay."""
        self._call("POST", "reset")

    def _call(self, method: str, path: str, document: Any = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SimulatorError(f"{method} {path}: {error.read().decode()}") from error

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _STARTS_WITHIN
        announcement = self.state / "simulator.json"
        while time.monotonic() < until and process.poll() is None:
            if announcement.exists():
                self.port = _announced_port(self.state)
                self._call("GET", "health")
                return
            time.sleep(0.02)
        self.stop()
        raise SimulatorError(f"the simulator did not start: {self.log.read_text()[-2000:]}")


def _announced_port(state: Path) -> int:
    return int(json.loads((state / "simulator.json").read_text())["url"].rpartition(":")[2])

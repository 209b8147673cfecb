"""One Lambda function as a plain process, under AWS's own runtime client (`awslambdaric`).

    with Sandbox(function) as sandbox:
        outcome = sandbox.invoke({"key": "value"})

A sandbox is what Lambda calls an execution environment: a cold start, and then warm for every later event. Its process
can import from the function's folder, the layers and the packages that Lambda provides, and nothing else that is
installed here. The function is told its memory size, but the size is not enforced. Unlike in Lambda, the disk is not
read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from local.lambda_.runtime_api import Invocation, RuntimeApi

REQUEST_BYTES = 6 * 1024 * 1024  # a synchronous event (Lambda quotas, 2026-11); answers: runtime_api.RESPONSE_BYTES
INIT_SECONDS = 30.0  # Lambda gives 10, and then the function's own timeout
# Lambda provides the runtime client and the SDK. The media layer uses this SDK.
PROVIDED = (
    *("awslambdaric", "simplejson", "snapshot-restore-py"),
    *("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"),
)


@dataclass(frozen=True)
class Function:
    """A function to run.

    `layers` are folders that Lambda would copy into /opt. `environment` holds the function's own variables, the region
    and the credentials of the function's role.
    """

    name: str
    code: Path
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    handler: str = "app.handler"
    timeout: float = 3.0  # seconds
    memory: int = 128  # MB
    arn: str = "arn:aws:lambda:us-east-1:000000000000:function:local"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an event: the handler's return value, or the error that Lambda shows.

    An error is {"errorType", "errorMessage", ...}. `milliseconds` is the time from the moment when the runtime took the
    event until its answer. `log` is the output since the previous outcome.
    """

    request_id: str
    result: Any
    error: dict[str, Any] | None
    milliseconds: float
    log: str


class RequestTooLarge(ValueError):
    """The event has more bytes than Lambda accepts; the function was not called."""


class Sandbox:
    """One execution environment, started at once. An error of the function becomes an Outcome, not an exception."""

    def __init__(self, function: Function, *, python: str = sys.executable) -> None:
        self.function = function
        self.init_milliseconds: float | None = None  # from the start of the process until it asked for an event
        self._scratch = Path(tempfile.mkdtemp(prefix="understudy-"))
        self._log_path, self._log_read = self._scratch / "log", 0
        self._api = RuntimeApi(function.arn, function.timeout)
        self._started = time.perf_counter()
        with self._log_path.open("wb") as log:
            # -S: the function must not see the packages of the environment that runs this process.
            self._process = subprocess.Popen(
                [python, "-S", "-m", "awslambdaric", function.handler],
                cwd=function.code,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children end with it
            )

    def invoke(self, event: Any) -> Outcome:
        """Run the function with one event. Raises RequestTooLarge, and RuntimeError if the sandbox has ended."""
        payload = json.dumps(event).encode()
        if len(payload) > REQUEST_BYTES:
            raise RequestTooLarge(f"{len(payload)} byte payload is too large (limit {REQUEST_BYTES} bytes)")
        if self.ended:
            raise RuntimeError("this sandbox has ended: start another one")
        invocation = Invocation(payload)
        self._api.offer(invocation)
        error = self._wait(invocation)
        if error is not None and error["errorType"] == "Sandbox.Timedout":
            self._kill()
        return self._outcome(invocation, error)

    @property
    def ended(self) -> bool:
        """Whether the process has ended: it crashed, timed out or was stopped."""
        return self._process.poll() is not None

    @property
    def peak_memory(self) -> int | None:
        """The peak memory of the process, in bytes, without its children; None if /proc does not know the process."""
        return peak_memory(self.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def disk_bytes(self) -> int:
        """The size of all files in the function's temporary folder, in bytes."""
        return sum(file.stat().st_size for file in self._temporary.rglob("*") if file.is_file())

    def stop(self) -> None:
        """Kill the process and all its children, and delete the sandbox's files."""
        self._kill()
        self._api.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _wait(self, invocation: Invocation) -> dict[str, Any] | None:
        """Wait for the runtime's answer. Return None, or an error if the process timed out or ended."""
        give_up = time.monotonic() + INIT_SECONDS
        while not invocation.answered.wait(0.02):
            if invocation.deadline is not None:
                if time.time() > invocation.deadline:
                    return self._error(
                        invocation, "Sandbox.Timedout", f"Task timed out after {self.function.timeout:.2f} seconds"
                    )
            elif time.monotonic() > give_up:
                return self._error(
                    invocation, "Sandbox.Timedout", f"Initialisation timed out after {INIT_SECONDS:.0f} seconds"
                )
            # The process may have answered just before it ended, so the server gets 0.2 s to receive that answer.
            if self.ended and not invocation.answered.wait(0.2):
                status = self._process.returncode
                crash = f"Runtime exited with error: {'signal' if status < 0 else 'exit status'} {abs(status)}"
                return self._api.init_error or self._error(invocation, "Runtime.ExitError", crash)
        return None

    def _outcome(self, invocation: Invocation, error: dict[str, Any] | None) -> Outcome:
        if self.init_milliseconds is None and self._api.first_asked is not None:
            self.init_milliseconds = (self._api.first_asked - self._started) * 1000
        took = invocation.milliseconds(time.perf_counter())
        return Outcome(
            invocation.request_id,
            json.loads(invocation.result) if error is None and invocation.result is not None else None,
            error or invocation.error,
            took,
            self._new_log(),
        )

    @staticmethod
    def _error(invocation: Invocation, kind: str, message: str) -> dict[str, Any]:
        return {"errorType": kind, "errorMessage": f"RequestId: {invocation.request_id} Error: {message}"}

    def _new_log(self) -> str:
        with self._log_path.open("rb") as log:
            log.seek(self._log_read)
            new = log.read()
        self._log_read += len(new)
        return new.decode(errors="replace")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def _temporary(self) -> Path:
        return self._scratch / "tmp"

    def _environment(self) -> dict[str, str]:
        function = self.function
        runtime = self._scratch / "runtime"
        for folder in (runtime, self._temporary):
            folder.mkdir()
        for package in provided():
            (runtime / package.name).symlink_to(package)
        layers = [folder / "python" for folder in function.layers]
        return {
            # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (2026-11)
            "PATH": os.environ.get("PATH", ""),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": self._scratch.name,
            **function.environment,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(function.code),
            "LAMBDA_RUNTIME_DIR": str(runtime),
            # In Lambda's order: the code, its layers, what Lambda provides.
            "PYTHONPATH": os.pathsep.join(map(str, [function.code, *layers, runtime])),
            "PYTHONDONTWRITEBYTECODE": "1",  # as on Lambda's read-only disk: the built artifacts stay unchanged
            "TMPDIR": str(self._temporary),
        }


def peak_memory(pid: int) -> int | None:
    """Return the peak memory of a process, in bytes, without its children; None if /proc does not know the process."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) * 1024
    return None


def cpu_milliseconds(pid: int) -> float:
    """Return the processor time of a process and of its ended children, in milliseconds.

    The resolution is that of the kernel's clock ticks, mostly 10 ms. Return 0 if /proc does not know the process.
    """
    with contextlib.suppress(OSError):
        # proc(5): the name may hold any character. Of the fields after it, utime to cstime are the 12th to the 15th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * 1000 / os.sysconf("SC_CLK_TCK")
    return 0.0


@cache
def provided() -> list[Path]:
    """Return the paths of the installed modules and packages of PROVIDED."""
    found = set[Path]()
    for name in PROVIDED:
        distribution = metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        found |= {Path(str(distribution.locate_file(top))) for top in tops if not top.endswith(".dist-info")}
    return sorted(found)

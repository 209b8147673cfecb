"""The stack's background processes: starts them, finds them again, and stops them with all their children."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.settings import HOST


class DidNotStart(Exception):
    """A process ended or did not become ready, or its port is taken; the message says why."""


@dataclass(frozen=True)
class Process:
    """A background process with a pid file and a log in `folder`."""

    name: str
    folder: Path
    port: int

    @property
    def log(self) -> Path:
        """The process's output since its last start."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "run" / f"{self.name}.pid"

    @property
    def _made_of(self) -> Path:
        return self.folder / "run" / f"{self.name}.made-of"

    def pid(self) -> int | None:
        """Return the process id, or None if the process does not run."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(self._pid_file.read_text())
            if _alive(pid):
                return pid
        return None

    def ensure(
        self, command: Sequence[str | Path], environment: Mapping[str, str], ready: Callable[[], bool], made_of: str
    ) -> None:
        """Start the process, unless it runs with the same `made_of`, a digest of its code and settings.

        A process with another `made_of` is replaced. Waits up to 30 s until `ready` returns True. Raises DidNotStart,
        also if the port is taken.
        """
        if self.pid() is not None and self._made_of.exists() and self._made_of.read_text() == made_of:
            return
        self.stop()
        self._start(command, environment, ready)
        self._made_of.write_text(made_of)

    def _start(self, command: Sequence[str | Path], environment: Mapping[str, str], ready: Callable[[], bool]) -> None:
        if _taken(self.port):
            raise DidNotStart(f"Port {self.port} is in use by another program; choose others with PORT=.")
        for file in (self.log, self._pid_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + 30
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                last = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise DidNotStart(f"{self.name} did not start. Its last words ({self.log}):\n{last}")
            time.sleep(0.05)

    def stop(self, seconds: float = 20) -> None:
        """Stop the process and all its children. The process gets `seconds` to save its state."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while _alive(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            # The process leads its own session, so this process group is the process and its children.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            # Its threads may hold the port a moment longer than the process is alive.
            deadline = time.monotonic() + 5
            while _taken(self.port) and time.monotonic() < deadline:
                time.sleep(0.05)
        self._pid_file.unlink(missing_ok=True)


def end(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Stop a child process that leads its own session, and all its children. The child gets `seconds` to clean up."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def digest(*parts: str | Path) -> str:
    """Return a digest of texts, of files, and of the Python modules in folders."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            sha.update(part.encode() + b"\0")
        else:
            for file in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
                sha.update(str(file).encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:  # our own child that has ended would stay as a zombie
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, IndexError):
        return not Path("/proc/self").exists()  # a system without /proc


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0

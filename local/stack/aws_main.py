"""The process of the local AWS: MiniStack with three changes.

1. A layer is unpacked once, not for every execution environment. Unpacking our layer takes half a second and a thousand
   files. MiniStack has only one process, which answers no requests meanwhile. Fifty environments at the same time
   delayed all requests for longer than the gateway's timeout.

2. MiniStack looks for messages every tenth of a second, not every second. AWS Lambda's pollers take a message within
   milliseconds.

3. Functions for which no caller waits run at a lower priority. On Amazon each environment has a processor of its own;
   here a dozen copies of `run_job` would delay a call of the API until it times out.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import threading
import types
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ministack.app import main  # type: ignore[import-not-found]
from ministack.core import lambda_runtime  # type: ignore[import-not-found]
from ministack.services import lambda_svc  # type: ignore[import-not-found]

LOOKS_EVERY = 0.1  # seconds, for messages
BACKGROUND = ("-run-job", "-ingest-upload", "-stitch-clips")  # functions by the end of their names
NICE = ("nice", "-n", "5")  # a third of the processor time that other processes get


class Layers(zipfile.ZipFile):
    """A zip file that, if it is a layer (`layer_N`), is unpacked once and extracted as symbolic links."""

    @property
    def _is_layer(self) -> bool:
        return Path(str(self.filename)).name.startswith("layer_")

    def namelist(self) -> list[str]:
        """Return the names in the file; for a layer, the names of its links.

        MiniStack checks each name for a path out of the folder.
        """
        names = super().namelist()
        return sorted({name.partition("/")[0] for name in names}) if self._is_layer else names

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        if not self._is_layer:
            return super().extractall(path, members, pwd)
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        unpacked = Path(tempfile.gettempdir()) / "layers" / digest
        if not unpacked.exists():
            self._unpack(unpacked)
        for entry in unpacked.iterdir():
            (Path(path) / entry.name).symlink_to(entry)
        return None

    def _unpack(self, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=target.parent))
        super().extractall(half, super().namelist())
        try:
            half.rename(target)
        except OSError:  # another environment was first
            shutil.rmtree(half)


class Wake(threading.Event):
    """The event on which MiniStack's poller waits between two polls: for at most 0.1 s, not for MiniStack's 1 s."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(LOOKS_EVERY if timeout is None else min(timeout, LOOKS_EVERY))


def start_environment(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the process of an execution environment, as MiniStack does with `subprocess.Popen`."""
    name = options["env"]["AWS_LAMBDA_FUNCTION_NAME"]
    return subprocess.Popen([*(NICE if name.endswith(BACKGROUND) else ()), *command], **options)


if __name__ == "__main__":
    lambda_svc._esm_wake = Wake()
    lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | {"ZipFile": Layers})
    lambda_runtime.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": start_environment})
    sys.exit(main())

"""Functions that nobody waits for run with a lower priority than the others.

On Amazon each environment has a processor of its own. Here a dozen copies of `run_job` would delay a call of the API
until it times out.
"""

from __future__ import annotations

import subprocess
import types
from collections.abc import Sequence
from typing import Any

from ministack.core import lambda_runtime  # type: ignore[import-not-found]

BACKGROUND = ("-run-job", "-sweep-jobs", "-ingest-upload", "-stitch-clips")  # functions by the end of their names
NICE = ("nice", "-n", "5")


def start_environment(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the process of an execution environment, as MiniStack does with `subprocess.Popen`."""
    name = options["env"]["AWS_LAMBDA_FUNCTION_NAME"]
    return subprocess.Popen([*(NICE if name.endswith(BACKGROUND) else ()), *command], **options)


def install() -> None:
    """Have MiniStack's runtime of functions start its processes with `start_environment`."""
    lambda_runtime.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": start_environment})

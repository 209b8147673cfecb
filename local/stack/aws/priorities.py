"""The local AWS goes before functions, and functions for which a caller waits go before the others.

On Amazon each environment has a processor of its own. Here fifty first orders at the same moment left the local AWS
3 % of a processor, and all functions failed because it did not answer within 5 s. A dozen copies of `run_job` would
delay a call of the API until it times out.
"""

from __future__ import annotations

import subprocess
import types
from collections.abc import Sequence
from typing import Any

from ministack.core import lambda_runtime  # type: ignore[import-not-found]

BACKGROUND = ("-run-job", "-sweep-jobs", "-ingest-upload", "-stitch-clips")  # functions by the end of their names
WAITED_FOR = ("nice", "-n", "5")  # a third of the processor time that the local AWS gets
NOT_WAITED_FOR = ("nice", "-n", "10")  # a tenth


def start_environment(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the process of an execution environment, as MiniStack does with `subprocess.Popen`."""
    name = options["env"]["AWS_LAMBDA_FUNCTION_NAME"]
    return subprocess.Popen([*(NOT_WAITED_FOR if name.endswith(BACKGROUND) else WAITED_FOR), *command], **options)


def install() -> None:
    """Have MiniStack's runtime of functions start its processes with `start_environment`."""
    lambda_runtime.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": start_environment})

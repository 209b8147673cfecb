"""The local AWS: MiniStack (MIT, PyPI), one process, in its own virtual environment."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from local.processes import Process, digest
from local.settings import HOST, ROOT, Settings

PROGRAM = ROOT / "local" / "stack" / "aws"


def process(settings: Settings) -> Process:
    """Return the process of a stack's local AWS."""
    return Process("aws", settings.folder, settings.port + 1)


def start(settings: Settings) -> None:
    """Start the local AWS with the state of its last run. Raises DidNotStart."""
    scratch = settings.folder / "tmp"
    if process(settings).pid() is None:
        shutil.rmtree(scratch, ignore_errors=True)  # functions of the last run were unpacked here
    scratch.mkdir(parents=True, exist_ok=True)
    venv = ROOT / ".venvs" / "ministack"
    environment = _environment(settings)
    made_of = digest(venv / ".made-from", PROGRAM, repr(environment))
    command: list[str | Path] = [venv / "bin" / "python", "-P", PROGRAM / "__main__.py"]
    process(settings).ensure(command, environment, lambda: _ready(settings), made_of)


def stop(settings: Settings) -> None:
    """Stop the local AWS. It saves its state only when it is stopped."""
    process(settings).stop()


def _environment(settings: Settings) -> dict[str, str]:
    # Functions run as children and inherit these variables, so the caller's environment must not be in them.
    state = settings.folder / "aws"
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(settings.folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": str(settings.folder / "tmp"),
        "PYTHONUNBUFFERED": "1",
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(settings.port + 1),
        # Required to enforce signatures, expiry, upload policies, bucket CORS and IAM.
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        # An unused execution environment ends after a minute; each takes 50 MB.
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        **{name: settings.root_credentials[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }


def _ready(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.aws_url}/_ministack/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False

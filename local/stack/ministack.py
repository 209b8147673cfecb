"""The local AWS: MiniStack (MIT, PyPI), one process, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request

from local.processes import Process, digest
from local.settings import HOST, ROOT, Settings

MAIN = ROOT / "local" / "stack" / "aws_main.py"


def process(settings: Settings) -> Process:
    """The local AWS of a stack."""
    return Process("aws", settings.folder, settings.port + 1)


def start(settings: Settings) -> None:
    """Start it with the state of the last run. Raises DidNotStart."""
    scratch = settings.folder / "tmp"
    if process(settings).pid() is None:
        shutil.rmtree(scratch, ignore_errors=True)  # functions of the last run were unpacked here
    scratch.mkdir(parents=True, exist_ok=True)
    venv = ROOT / ".venvs" / "ministack"
    environment = _environment(settings)
    made_of = digest(venv / ".made-from", MAIN, repr(environment))
    process(settings).ensure([venv / "bin" / "python", "-P", MAIN], environment, lambda: _ready(settings), made_of)


def stop(settings: Settings) -> None:
    """Stop it; it saves its state on the way, and only then."""
    process(settings).stop()


def _environment(settings: Settings) -> dict[str, str]:
    # Functions run as its children and inherit this: nothing of the caller's environment may change what they do.
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
        # Signatures, expiry, upload policies, bucket CORS and IAM are enforced only so.
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        # An environment more than a function needs ends after a minute; each takes 50 MB.
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def _ready(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.aws_url}/_ministack/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False

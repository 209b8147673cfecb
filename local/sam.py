"""The real `sam build` and `sam deploy` of our template, against the local AWS."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local.settings import REGION, ROOT, STACK, Settings

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCH = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


class SamFailed(Exception):
    """`sam` ended with an error; the message holds its last lines."""


def build(settings: Settings, deployments: Path) -> None:
    """Build functions and layers for the Python and the processor of this machine. Raises SamFailed."""
    parameters = ["--parameter-overrides", f"PythonRuntime={RUNTIME}", f"Arch={ARCH}"]
    environment = {"PYTHON_RUNTIME": RUNTIME, "ARCH": ARCH, "DEPLOYMENTS": str(deployments)}
    _sam(settings, "build", ["--build-dir", str(settings.folder / "build"), *parameters], environment)


def deploy(settings: Settings) -> dict[str, str]:
    """Deploy what was built. Returns the stack's outputs. Raises SamFailed."""
    arguments = ["--template-file", str(settings.folder / "build" / "template.yaml"), "--stack-name", STACK]
    arguments += ["--region", REGION, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"]
    arguments += ["--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    arguments += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters(settings).items())]
    _sam(settings, "deploy", arguments, settings.root_credentials)
    return outputs(settings)


def parameters(settings: Settings) -> dict[str, str]:
    """The template parameters of a local stack."""
    return {"PythonRuntime": RUNTIME, "Arch": ARCH, "LocalEndpoint": settings.aws_url, "LogLevel": "INFO"}


def outputs(settings: Settings) -> dict[str, str]:
    """The outputs of the deployed stack; empty when there is none."""
    cloudformation = settings.client("cloudformation")
    try:
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    except cloudformation.exceptions.ClientError:
        return {}
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def digest(deployments: Path) -> str:
    """Of everything that a build and a deployment depend on: the same digest, the same stack."""
    sha = hashlib.sha256(f"{RUNTIME} {ARCH}".encode())
    for file in [*_sources(), deployments]:
        sha.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return sha.hexdigest()


def _sources() -> Iterator[Path]:
    yield ROOT / "template.yaml"
    yield ROOT / "samconfig.toml"
    for folder in ("functions", "layers"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in file.parts):
                yield file


def _sam(settings: Settings, command: str, arguments: list[str], environment: dict[str, str]) -> None:
    venvs = ROOT / ".venvs"
    # The interpreter itself has to come before any version manager's shims.
    path = f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    base = {"PATH": path, "HOME": os.environ.get("HOME", ""), "LANG": "C.UTF-8"}
    base |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    quick = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.3"}
    log = settings.folder / "logs" / f"sam-{command}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        result = subprocess.run(
            [venvs / "sam" / "bin" / "sam", command, *arguments],
            cwd=ROOT,
            env={**base, **quick, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    if result.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise SamFailed(f"`sam {command}` failed ({log}):\n{last}")

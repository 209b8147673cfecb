"""Runs the real `sam build` and `sam deploy` for our template, against the local AWS."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from local.settings import REGION, ROOT, STACK, Settings

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCH = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
SNAP_START = os.environ.get("SNAP_START") or "None"  # the template's parameter
ALLOWED_ORIGIN = os.environ.get("ALLOWED_ORIGIN") or "*"  # likewise
SAM = ROOT / ".venvs" / "sam" / "bin" / "sam"
# The bucket for the uploads of `sam deploy`. `--resolve-s3` would deploy another stack for that bucket.
ARTIFACTS = "understudy-artifacts"


class SamFailed(Exception):
    """`sam` ended with an error; the message holds its last lines."""


def build(settings: Settings, deployments: Path, folder: Path | None = None) -> None:
    """Build functions and layers for this machine's Python and processor, into `folder` or for `deploy`.

    Raises SamFailed.
    """
    parameters = ["--parameter-overrides", f"PythonRuntime={RUNTIME}", f"Arch={ARCH}"]
    built = {"PYTHON_RUNTIME": RUNTIME, "ARCH": ARCH, "DEPLOYMENTS": str(deployments)}
    with one_build():
        _sam(settings, "build", ["--build-dir", str(folder or settings.folder / "build"), *parameters], built)


@contextlib.contextmanager
def one_build() -> Iterator[None]:
    """Wait until no other process builds in this checkout, because builds share .build/ and SAM CLI's own files."""
    lock = ROOT / ".build" / "lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def deploy(settings: Settings, sources: str) -> dict[str, str]:
    """Deploy the build and return the outputs of the stack. The stack has the digest of its `sources` as a tag.

    Raises SamFailed.
    """
    _pack_layers(settings.folder / "build")
    settings.client("s3").create_bucket(Bucket=ARTIFACTS)  # in this region, no error if the bucket exists
    arguments = ["--template-file", str(settings.folder / "build" / "template.yaml"), "--stack-name", STACK]
    arguments += ["--region", REGION, "--s3-bucket", ARTIFACTS, "--capabilities", "CAPABILITY_IAM"]
    arguments += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--tags", f"sources={sources}"]
    arguments += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters(settings).items())]
    _sam(settings, "deploy", arguments, settings.root_credentials)
    return deployed(settings)[0]


def _pack_layers(folder: Path) -> None:
    """Zip the built layers without compression. `sam deploy` uploads a zip file unchanged.

    Otherwise `sam deploy` compresses 130 MB, which takes 9 s of each deployment.
    """
    template = folder / "template.yaml"
    text = template.read_text("utf-8")
    for layer in re.findall(r"^      ContentUri: (\w+Layer)$", text, re.MULTILINE):
        with zipfile.ZipFile(folder / f"{layer}.zip", "w", zipfile.ZIP_STORED) as archive:
            for file in sorted((folder / layer).rglob("*")):
                if file.is_file():
                    # A fixed time: the same files give the same archive, and so the same version of the layer.
                    archive.writestr(zipfile.ZipInfo(str(file.relative_to(folder / layer))), file.read_bytes())
    template.write_text(re.sub(r"^(      ContentUri: \w+Layer)$", r"\1.zip", text, flags=re.MULTILINE), "utf-8")


def parameters(settings: Settings) -> dict[str, str]:
    """Return the template parameters of a local stack."""
    return {
        "PythonRuntime": RUNTIME,
        "Arch": ARCH,
        "LocalEndpoint": settings.aws_url,
        "LogLevel": "INFO",
        "SnapStart": SNAP_START,
        "AllowedOrigin": ALLOWED_ORIGIN,
    }


def deployed(settings: Settings) -> tuple[dict[str, str], str]:
    """Return the outputs of the deployed stack and the digest of its sources; both are empty if there is no stack.

    The answer comes from the local AWS, not from a file: after a crash, the local AWS has the state of its last normal
    stop.
    """
    cloudformation = settings.client("cloudformation")
    try:
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    except cloudformation.exceptions.ClientError:
        return {}, ""
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
    return outputs, tags.get("sources", "")


def digest(deployments: Path) -> str:
    """Return a digest of everything that a build and a deployment depend on. Equal digests mean equal stacks."""
    sha = hashlib.sha256(f"{RUNTIME} {ARCH} {SNAP_START} {ALLOWED_ORIGIN}".encode())
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


def environment(**variables: str) -> dict[str, str]:
    """Return the environment for `sam`: a few of the caller's variables, and `variables`."""
    # The interpreter itself has to come before any version manager's shims.
    path = f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    base = {"PATH": path, "HOME": os.environ.get("HOME", ""), "LANG": "C.UTF-8"}
    base |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "DOCKER_"))}
    return {**base, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.3", **variables}


def _sam(settings: Settings, command: str, arguments: list[str], variables: dict[str, str]) -> None:
    log = settings.folder / "logs" / f"sam-{command}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        result = subprocess.run(
            [SAM, command, *arguments],
            cwd=ROOT,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    if result.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise SamFailed(f"`sam {command}` failed ({log}):\n{last}")

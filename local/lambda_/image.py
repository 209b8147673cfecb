"""The image in which `sam local` runs functions: AWS's image or, if that cannot be pulled, a stand-in.

The stand-in has the same name, the same layout and the same runtime client. It is made of Debian packages and of
packages from the project's environment. SAM CLI adds its emulator of Lambda and the layers to either image.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.lambda_ import debian, docker
from local.lambda_.runtime import provided
from local.processes import digest
from local.settings import ROOT

# Interpreter -> the Debian release that has it. No release has 3.12, and Lambda's 3.11 is too old for our layer.
RELEASES = {"python3.13": "trixie"}
LABEL = "understudy.stand-in-for-lambda"


class NoImage(Exception):
    """The image for this Python cannot be pulled or made; the message says why."""


def ensure(runtime: str, arch: str) -> str:
    """Pull or make the image that SAM CLI needs, unless it exists. Return a description of the image, for people.

    Raises NoImage and docker.DockerFailed.
    """
    name = f"public.ecr.aws/lambda/{runtime.replace('python', 'python:')}-{arch}"
    made_of = _made_of(name)
    if made_of is None:
        return f"AWS's image {name}"
    try:
        docker.run("pull", "--quiet", name)
    except docker.DockerFailed:
        pass
    else:
        return f"AWS's image {name}, pulled"
    recipe = digest(runtime, Path(__file__), Path(debian.__file__), ROOT / ".venvs" / "project" / ".made-from")
    if made_of != recipe:
        _make(name, runtime, recipe)
    return f"a stand-in for {name}, which cannot be pulled here"


def _made_of(name: str) -> str | None:
    """Return the recipe of the stand-in, '' if there is no image, or None if the image is not a stand-in."""
    images = docker.run("image", "ls", "--quiet", name)
    if not images:
        return ""
    label = docker.run("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', name)
    return label or None


def _make(name: str, runtime: str, recipe: str) -> None:
    """Make the stand-in and import it into Docker. Raises NoImage and docker.DockerFailed."""
    if runtime not in RELEASES:
        raise NoImage(f"{name} cannot be pulled, and there is no stand-in for {runtime}: run it with python3.13")
    with tempfile.TemporaryDirectory(prefix="understudy-image-") as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        packages = ["coreutils", "dash", f"{runtime}-minimal", f"lib{runtime}-stdlib", "libstdc++6"]
        try:
            debian.unpack(RELEASES[runtime], packages, root, Path(scratch) / "apt")
        except debian.NotFetched as error:
            raise NoImage(f"{name} cannot be pulled, and no stand-in can be made: {error}") from error
        _lay_out(root, runtime)
        _import(root, name, recipe)


def _lay_out(root: Path, runtime: str) -> None:
    """Arrange the files like those of Lambda's image.

    https://docs.aws.amazon.com/lambda/latest/dg/python-image.html (2026-11)
    """
    for folder in ("doc", "info", "lintian", "locale", "man"):
        shutil.rmtree(root / "usr" / "share" / folder, ignore_errors=True)
    for folder in ("opt", "var/lang/bin", "var/runtime", "var/task"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for link in (runtime, "python3"):
        (root / "var" / "lang" / "bin" / link).symlink_to(f"/usr/bin/{runtime}")
    for package in provided():
        target = root / "var" / "runtime" / package.name
        shutil.copytree(package, target) if package.is_dir() else shutil.copy(package, target)
    bootstrap = root / "var" / "runtime" / "bootstrap"
    bootstrap.write_text(
        f"""#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_{runtime}
export PYTHONPATH=/var/task:/opt/python/lib/{runtime}/site-packages:/opt/python:/var/runtime
exec ${{AWS_LAMBDA_EXEC_WRAPPER:-}} /var/lang/bin/{runtime} -m awslambdaric "$_HANDLER"
"""
    )
    bootstrap.chmod(0o755)
    # Debian compiles its library at installation, which did not happen. Without this, every cold start would compile.
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "-s", str(root), "-p", "/"]
    subprocess.run([*command, str(root / "usr" / "lib" / runtime), str(root / "var" / "runtime")], check=True)


def _import(root: Path, name: str, recipe: str) -> None:
    libraries = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    changes = [
        "ENV LANG=en_US.UTF-8 TZ=:/etc/localtime LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime",
        "ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        f"ENV LD_LIBRARY_PATH={libraries}",
        "WORKDIR /var/task",
        f"LABEL {LABEL}={recipe}",
    ]
    options = [part for change in changes for part in ("--change", change)]
    archive = ["tar", "--create", "--directory", str(root), "--owner=0", "--group=0", "."]
    with subprocess.Popen(archive, stdout=subprocess.PIPE) as tar:
        docker.run("import", *options, "-", name, stdin=tar.stdout)

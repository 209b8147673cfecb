"""Make the environments of this checkout: `python scripts/venvs.py project sam ministack`.

Each environment is `.venvs/NAME` and has exactly the packages in `locks/NAME.txt`. An environment is made again only if
that file or the Python has changed. `project` also has the command `understudy`, which runs from this checkout. The
environments are separate because they need different versions of the same packages. The script needs only the Python
that runs it: pip installs uv, and uv installs the rest.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
STAMP = ".made-from"
NODE = "client-node"


def main(names: list[str]) -> None:
    """Make the environments that are missing or out of date."""
    uv = _uv()
    for name in names:
        if name == "bootstrap" or _fresh(name):
            continue
        started = time.monotonic()
        print(f"environment {name}: installing", file=sys.stderr, flush=True)
        _sync(uv, name)
        print(f"environment {name}: ready after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if "project" in names:
        _install(uv)
    if NODE in names:
        _npm_ci()


def _lock(name: str) -> Path:
    return ROOT / "locks" / f"{name}.txt"


def _digest(name: str) -> str:
    return hashlib.sha256(sys.executable.encode() + sys.version.encode() + _lock(name).read_bytes()).hexdigest()


def _fresh(name: str) -> bool:
    stamp = VENVS / name / STAMP
    return stamp.exists() and stamp.read_text() == _digest(name)


def _uv() -> Path:
    """Install the pinned uv with pip and hashes, into its own environment, unless it is there. Return its path."""
    folder = VENVS / "bootstrap"
    if not _fresh("bootstrap"):
        venv.create(folder, clear=True, with_pip=True)
        pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "install", "--require-hashes", "--only-binary=:all:", "-r", _lock("bootstrap")], check=True
        )
        (folder / STAMP).write_text(_digest("bootstrap"))
    return folder / "bin" / "uv"


def _sync(uv: Path, name: str) -> None:
    folder = VENVS / name
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": str(folder)}
    quiet: list[str | Path] = [uv, "--quiet", "--no-config"]
    subprocess.run([*quiet, "venv", "--clear", "--python", sys.executable, folder], check=True, env=environment)
    install = [*quiet, "pip", "sync", "--require-hashes", "--python", folder / "bin" / "python"]
    subprocess.run([*install, _lock(name)], check=True, env=environment)
    (folder / STAMP).write_text(_digest(name))


def _install(uv: Path) -> None:
    """Install the command `understudy` into the project's environment. It runs from this checkout (pyproject.toml)."""
    folder, project = VENVS / "project", ROOT / "pyproject.toml"
    stamp = folder / ".installed-from"
    digest = hashlib.sha256(project.read_bytes() + _digest("project").encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    quiet: list[str | Path] = [uv, "--quiet", "--no-config", "--offline"]
    install = [*quiet, "pip", "install", "--python", folder / "bin" / "python", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--editable", ROOT], check=True)
    stamp.write_text(digest)


def _npm_ci() -> None:
    """Install the packages of every package-lock.json of the tests, with the environment's Node."""
    binaries = VENVS / NODE / "bin"
    for lock in sorted((ROOT / "tests").glob("*/*/package-lock.json")):
        packages = lock.parent / "node_modules"
        digest = hashlib.sha256(_digest(NODE).encode() + lock.read_bytes()).hexdigest()
        if (packages / STAMP).exists() and (packages / STAMP).read_text() == digest:
            continue
        started = time.monotonic()
        environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
        npm: list[str | Path] = [binaries / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([*npm, "--loglevel=error"], cwd=lock.parent, env=environment, check=True, stdout=sys.stderr)
        (packages / STAMP).write_text(digest)
        seconds = time.monotonic() - started
        print(f"{packages.relative_to(ROOT)}: ready after {seconds:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"Could not make the environments: {' '.join(map(str, error.cmd))} failed.")

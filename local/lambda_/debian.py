"""Unpacks packages of a Debian release into a folder: a root filesystem with only the needed packages.

apt fetches and verifies the packages, with its own settings, lists and cache. Nothing is installed on this machine, and
no special rights are needed. The packages' scripts do not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

# Debian's keys; also in Ubuntu's package debian-archive-keyring.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Unpacked first: it has the links from /bin, /lib and so on into /usr, which the other packages need.
FIRST = "base-files"


class NotFetched(Exception):
    """The packages cannot be fetched; the message says why."""


def unpack(release: str, packages: Sequence[str], root: Path, scratch: Path) -> None:
    """Unpack packages and their dependencies into `root`. apt keeps its files in `scratch`. Raises NotFetched."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotFetched("this machine has no apt")
    if not KEYRING.is_file():
        raise NotFetched(f"{KEYRING} is missing: install debian-archive-keyring")
    settings = _settings(release, scratch)
    _run(["apt-get", "--quiet", "update"], settings)
    wanted = sorted({FIRST, *packages})
    _run(["apt-get", "--quiet", "--yes", "--download-only", "install", *wanted], settings)
    files = sorted((scratch / "cache" / "archives").glob("*.deb"), key=lambda file: _order(file.name))
    for file in files:
        _run(["dpkg-deb", "--extract", str(file), str(root)], settings)


def _order(name: str) -> tuple[bool, str]:
    return not name.startswith(f"{FIRST}_"), name


def _settings(release: str, scratch: Path) -> Path:
    """Write the settings with which apt leaves this machine's own state alone. Return the file. Raises NotFetched."""
    for folder in ("state", "lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
    (scratch / "status").touch()  # nothing is installed there, so every dependency is fetched
    (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {release} main\n")
    settings = scratch / "apt.conf"
    settings.write_text(
        f"""
Dir::Etc::SourceList "{scratch}/sources.list";
Dir::Etc::SourceParts "-";
Dir::State "{scratch}/state";
Dir::State::Lists "{scratch}/lists";
Dir::State::Status "{scratch}/status";
Dir::Cache "{scratch}/cache";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
"""
    )
    return settings


def _mirror() -> str:
    """Return the mirror from which this machine gets its own Debian packages. Raises NotFetched."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    mirrors = subprocess.run(command, capture_output=True, text=True).stdout.split()
    if not mirrors:
        raise NotFetched("apt knows no mirror of Debian here; `apt-get update` comes first")
    return mirrors[0]


def _run(command: list[str], settings: Path) -> None:
    environment = {**os.environ, "APT_CONFIG": str(settings), "LC_ALL": "C"}
    ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ran.returncode:
        last = "\n".join((ran.stdout + ran.stderr).splitlines()[-5:])
        raise NotFetched(f"`{' '.join(command[:3])}` failed:\n{last}")

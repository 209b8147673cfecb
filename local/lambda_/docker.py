"""Docker for `make sam-local`: the running daemon, else a daemon that is started for as long as it is needed."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from local.processes import end
from local.settings import Settings

PATIENCE_SECONDS = 60
NETWORKS = ipaddress.IPv4Network("198.18.0.0/15")  # reserved for benchmarks (RFC 2544), so nothing else is routed there


class NoDocker(Exception):
    """Docker is not available; the message says why, in one line."""


class DockerFailed(Exception):
    """A docker command ended with an error; the message holds the end of its error output."""


@contextlib.contextmanager
def daemon(settings: Settings) -> Iterator[None]:
    """Use the running Docker daemon, or start one. A daemon started here ends with the context; its images stay.

    Raises NoDocker.
    """
    if shutil.which("docker") is None:
        raise NoDocker("there is no `docker` command; Debian's package is docker.io")
    if answers():
        yield
        return
    if "DOCKER_HOST" in os.environ:
        raise NoDocker(f"no Docker daemon answers at DOCKER_HOST, {os.environ['DOCKER_HOST']}")
    if shutil.which("dockerd") is None:
        raise NoDocker("no Docker daemon answers, and there is no `dockerd` to start; Debian's package is docker.io")
    if os.geteuid() != 0:
        raise NoDocker("no Docker daemon answers, and only root can start one")
    process = _start(settings)
    try:
        yield
    finally:
        with contextlib.suppress(DockerFailed):
            run("image", "prune", "--force")  # images that newer builds have replaced
        end(process, 30)  # containerd ends with it


def answers() -> bool:
    """Return whether a Docker daemon answers."""
    return subprocess.run(["docker", "version"], capture_output=True).returncode == 0


def run(*arguments: str, stdin: Any = subprocess.DEVNULL) -> str:
    """Run a docker command and return its output. Raises DockerFailed."""
    ran = subprocess.run(["docker", *arguments], stdin=stdin, capture_output=True, text=True)
    if ran.returncode:
        raise DockerFailed(f"`docker {arguments[0]}` failed: {ran.stderr.strip()[-2000:]}")
    return ran.stdout.strip()


def gateway() -> str:
    """Return this machine's address on the network of the containers. Raises DockerFailed."""
    networks = json.loads(run("network", "inspect", "bridge"))
    for config in networks[0]["IPAM"]["Config"]:
        subnet = ipaddress.ip_network(config["Subnet"])
        if subnet.version == 4:  # older daemons leave the gateway out; it is the network's first address
            return str(config.get("Gateway") or next(iter(subnet.hosts())))
    raise DockerFailed("Docker's network `bridge` has no IPv4 address")


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a daemon with the usual socket, but with its own image store. Raises NoDocker."""
    log = settings.folder / "logs" / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["dockerd", "--data-root", str(settings.folder / "docker")]
    # Containers connect to this machine only, so Docker need not change this machine's firewall.
    command += ["--iptables=false", "--ip-masq=false", "--bip", _bridge()]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            end(process, 30)
            last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
            raise NoDocker(f"dockerd did not start ({log}): {' '.join(last)[-500:]}")
        time.sleep(0.1)
    return process


def _bridge() -> str:
    """Return the bridge's address in a random /24 network, usually a different network each time.

    After its daemon was killed, a container keeps its interface on the bridge and still answers there. In the same
    network a new container could get the address of an old container.
    """
    network = NETWORKS.network_address + 256 * secrets.randbelow(NETWORKS.num_addresses // 256)
    return f"{network + 1}/24"

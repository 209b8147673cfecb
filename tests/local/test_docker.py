"""A missing or broken Docker is explained in one line, and a daemon that was started is stopped.

The commands `docker` and `dockerd` are stand-ins.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from pathlib import Path

import pytest

from local.lambda_ import docker
from local.settings import Settings

# The stand-in client succeeds while the daemon runs; the file MARK exists as long.
CLIENT = '[ -e "$MARK" ]'
DAEMON = 'echo "$@" > "$MARK.arguments"; trap "rm $MARK; exit 0" TERM; touch "$MARK"; while :; do sleep 0.1; done'


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH in which Docker could be."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "touch", "rm", "sleep"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(4999)
    settings.__dict__["folder"] = tmp_path / "stack"
    return settings


def _command(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _reason(settings: Settings) -> str:
    with pytest.raises(docker.NoDocker) as raised, docker.daemon(settings):
        pass
    reason = str(raised.value)
    assert "\n" not in reason
    return reason


def test_without_the_command(commands: Path, settings: Settings) -> None:
    assert "no `docker` command" in _reason(settings)


def test_without_a_daemon_and_without_one_to_start(commands: Path, settings: Settings) -> None:
    _command(commands, "docker", CLIENT)
    assert "no `dockerd` to start" in _reason(settings)


def test_only_root_can_start_one(commands: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(commands, "docker", CLIENT)
    _command(commands, "dockerd", DAEMON)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in _reason(settings)


def test_a_daemon_that_was_named_is_not_replaced(
    commands: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _command(commands, "docker", CLIENT)
    _command(commands, "dockerd", DAEMON)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "DOCKER_HOST, tcp://127.0.0.1:1" in _reason(settings)


def test_one_that_does_not_start_is_quoted(commands: Path, settings: Settings) -> None:
    _command(commands, "docker", CLIENT)
    _command(commands, "dockerd", "echo first; echo no such luck; exit 1")
    reason = _reason(settings)
    assert reason.endswith("no such luck")
    assert str(settings.folder / "logs" / "dockerd.log") in reason


def test_one_of_our_own_ends_with_its_use(commands: Path, settings: Settings, tmp_path: Path) -> None:
    _command(commands, "docker", CLIENT)
    _command(commands, "dockerd", DAEMON)
    with docker.daemon(settings):
        assert docker.answers()
        assert f"--data-root {settings.folder / 'docker'}" in (tmp_path / "mark.arguments").read_text()
    assert not docker.answers()


def test_no_network_is_one_that_dead_containers_may_still_be_in(
    commands: Path, settings: Settings, tmp_path: Path
) -> None:
    _command(commands, "docker", CLIENT)
    _command(commands, "dockerd", DAEMON)
    bridges = set()
    for _ in range(3):
        with docker.daemon(settings):
            (bridge,) = re.findall(r"--bip (\S+)", (tmp_path / "mark.arguments").read_text())
        assert ipaddress.ip_interface(bridge).network.subnet_of(docker.NETWORKS)
        bridges.add(bridge)
    assert len(bridges) > 1


def test_one_that_answers_is_used_and_left_running(commands: Path, settings: Settings, tmp_path: Path) -> None:
    _command(commands, "docker", CLIENT)
    (tmp_path / "mark").touch()
    with docker.daemon(settings):
        pass
    assert docker.answers()


@pytest.mark.parametrize(
    ("config", "address"),
    [
        ([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.9"}], "172.17.0.9"),
        ([{"Subnet": "172.18.0.0/16"}], "172.18.0.1"),
        ([{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, {"Subnet": "10.1.0.0/24"}], "10.1.0.1"),
    ],
)
def test_the_gateway_is_named_or_the_first_address(commands: Path, config: list[dict[str, str]], address: str) -> None:
    _command(commands, "docker", f"echo '{json.dumps([{'IPAM': {'Config': config}}])}'")
    assert docker.gateway() == address


def test_a_command_that_fails_is_quoted(commands: Path) -> None:
    _command(commands, "docker", "echo no space left >&2; exit 1")
    with pytest.raises(docker.DockerFailed, match="`docker import` failed: no space left"):
        docker.run("import", "-")

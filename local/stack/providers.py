"""The providers of a local stack: fills in the deployments file, starts the simulators, creates the secrets.

In a deployments file `${simulator.NAME}` stands for the address of a simulator. The stack starts that simulator.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from local.processes import Process, digest
from local.settings import HOST, ROOT, STACK, Settings

DEFAULT = ROOT / "local" / "deployments.toml"
_PLACEHOLDER = re.compile(r"\$\{simulator\.([a-z0-9_]+)\}")

# Placeholder -> how its simulator is started. The position in this table gives the port, so the port never changes.
SIMULATORS: dict[str, list[str]] = {
    # LiteLLM's announcement extends by 5 seconds, which OpenAI's own service did not know.
    "openai": ["local.simulators.openai", "--set", f"extend_seconds={[*range(1, 21)]}"],
    "vllm": ["local.simulators.openai", "--flavour", "vllm"],
    "azure": ["local.simulators.openai", "--flavour", "azure"],
    "runwayml": ["local.simulators.runwayml"],
    "kling": ["local.simulators.kling"],
    "gemini": ["local.simulators.gemini"],
    "xai": ["local.simulators.xai"],
    # The clips of simulators and tests have 12 frames a second, which the real MiniMax refuses.
    "minimax": ["local.simulators.minimax", "--set", "clip_rates=[12, 60]"],
}


class BadDeploymentsFile(Exception):
    """The deployments file cannot be used; the message says why."""


def render(settings: Settings) -> tuple[Path, list[str]]:
    """Fill in the placeholders of the deployments file (DEPLOYMENTS, else local/deployments.toml).

    Return the rendered file and the names of the simulators in it. Raises BadDeploymentsFile.
    """
    source = Path(os.environ.get("DEPLOYMENTS") or DEFAULT)
    if not source.is_file():
        raise BadDeploymentsFile(f"DEPLOYMENTS names {source}, which is no file.")
    text = source.read_text("utf-8")
    used = sorted(set(_PLACEHOLDER.findall(text)))
    if unknown := [name for name in used if name not in SIMULATORS]:
        raise BadDeploymentsFile(f"{source}: no simulator {unknown[0]!r}; there are {', '.join(SIMULATORS)}.")
    rendered = settings.folder / "deployments.toml"
    rendered.parent.mkdir(parents=True, exist_ok=True)
    rendered.write_text(_PLACEHOLDER.sub(lambda match: url(settings, match[1]), text), "utf-8")
    try:
        tomllib.loads(rendered.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadDeploymentsFile(f"{source}: {error}") from error
    return rendered, used


def url(settings: Settings, name: str) -> str:
    """Return the address of a simulator, without a path."""
    return f"http://{HOST}:{_port(settings, name)}"


def start_simulators(settings: Settings, names: list[str]) -> None:
    """Start the simulators in `names` and stop the others. Raises DidNotStart."""
    for name in SIMULATORS:
        process = simulator(settings, name)
        if name not in names:
            process.stop()
            continue
        state = settings.folder / "simulators" / name
        state.mkdir(parents=True, exist_ok=True)
        module, *options = SIMULATORS[name]
        command = [sys.executable, "-m", module, "--port", str(process.port), "--state", str(state), *options]
        if speed := os.environ.get("SIMULATOR_SPEED"):
            command += ["--speed", speed]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        made_of = digest(ROOT / ".venvs" / "project" / ".made-from", ROOT / "local" / "simulators", repr(command))
        process.ensure(command, environment, partial(_answers, url(settings, name)), made_of)


def simulator(settings: Settings, name: str) -> Process:
    """Return the process of a simulator."""
    return Process(f"simulator-{name}", settings.folder, _port(settings, name))


def provide_secrets(settings: Settings, rendered: Path) -> list[str]:
    """Create the secrets that the deployments file refers to and that the local AWS does not have yet.

    The value of a simulator's secret is the last part of its name. Other values come from environment variables
    (SECRET_...). Return a sentence for each secret without a value.
    """
    missing = []
    simulators = tuple(url(settings, name) for name in SIMULATORS)
    for deployment in tomllib.loads(rendered.read_text("utf-8")).get("deployments", {}).values():
        reference = deployment.get("secret")
        if not reference or _exists(settings, reference):
            continue
        name = reference.rpartition("/")[2]
        variable = "SECRET_" + re.sub(r"\W", "_", name).upper()
        simulated = str(deployment.get("base_url", "")).startswith(simulators)
        value = name if simulated else os.environ.get(variable)
        if value:
            _create(settings, reference, value)
        else:
            missing.append(f"{reference} is not in the local AWS: give its value as {variable}=... to `make up`.")
    return missing


def _exists(settings: Settings, reference: str) -> bool:
    store, _, name = reference.replace("{stack}", STACK).partition(":")
    client: Any = settings.client("ssm" if store == "ssm" else "secretsmanager")
    try:
        client.get_parameter(Name=name) if store == "ssm" else client.describe_secret(SecretId=name)
    except client.exceptions.ClientError:
        return False
    return True


def _create(settings: Settings, reference: str, value: str) -> None:
    store, _, name = reference.replace("{stack}", STACK).partition(":")
    if store == "ssm":
        settings.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")
    else:
        settings.client("secretsmanager").create_secret(Name=name, SecretString=value)


def _port(settings: Settings, name: str) -> int:
    return settings.simulator_port(list(SIMULATORS).index(name))


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False
    return True

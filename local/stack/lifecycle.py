"""The local stack: `python -m local.stack up|deploy|down|reset|logs|url|key`. The Makefile's targets call it.

The real `sam` deploys the real template to a local AWS that enforces IAM. `up` is quick if nothing has changed since
the last deployment, because the local AWS keeps its state.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from local.processes import DidNotStart, Process, digest
from local.settings import ROOT, Settings
from local.stack import gateway, ministack, providers, sam

TEAM = "local"


class Progress:
    """Prints each step and the seconds since the start, to standard error; `url` and `key` print to standard output."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:6.1f} s  {text}", file=sys.stderr, flush=True)


def up(settings: Settings, *, redeploy: bool = False) -> None:
    """Start all processes and deploy if the sources have changed. Afterwards the stack answers at its base URL.

    Raises DidNotStart, SamFailed or BadDeploymentsFile.
    """
    say = Progress()
    rendered, simulators = providers.render(settings)
    ministack.start(settings)
    say(f"local AWS on {settings.aws_url}")
    providers.start_simulators(settings, simulators)
    for name in simulators:
        say(f"simulator {name} on {providers.url(settings, name)}")
    sources = sam.digest(rendered)
    outputs, made_from = sam.deployed(settings)
    if redeploy or made_from != sources:
        sam.build(settings, rendered)
        say("sam build")
        outputs = sam.deploy(settings, sources)
        gateway.put_responses(settings, outputs["ApiId"])
        say("sam deploy")
    else:
        say("nothing changed since the last deployment")
    settings.remember(sources=sources, outputs=outputs)
    warnings = providers.provide_secrets(settings, rendered)
    _start_front(settings, outputs["ApiId"])
    key = _key(settings, outputs)
    say(f"API on {settings.base_url}")
    for warning in warnings:
        print(f"\n  Note: {warning}", file=sys.stderr)
    print(_welcome(settings.base_url, key), file=sys.stderr)


def down(settings: Settings) -> None:
    """Stop all processes. The state stays."""
    _front(settings).stop(seconds=5)
    providers.start_simulators(settings, [])
    ministack.stop(settings)


def reset(settings: Settings) -> None:
    """Stop all processes and delete all state."""
    down(settings)
    shutil.rmtree(settings.folder, ignore_errors=True)


def runs(settings: Settings) -> bool:
    """Return whether the front of this stack runs."""
    return _front(settings).pid() is not None


def url(settings: Settings) -> str:
    """Return the base URL of the running stack. Raises SystemExit if the stack does not run."""
    if not runs(settings):
        raise SystemExit(f"No local stack runs on port {settings.port}; `make up` starts one.")
    return settings.base_url


def key(settings: Settings) -> str:
    """Return the API key of the running stack. Raises SystemExit if the stack does not run."""
    url(settings)
    return str(settings.facts()["key"])


def mint(settings: Settings, table: str, team: str, *scopes: str) -> str:
    """Make an API key for a team, with the layer's own code and the operator's rights. Return the key."""
    environment = {
        **settings.root_credentials,
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT / "layers" / "understudy"),
        "TABLE_NAME": table,
        "POWERTOOLS_SERVICE_NAME": "understudy",
    }
    code = (
        "import sys; from understudy.access.keys import mint; print(mint(sys.argv[1], scopes=tuple(sys.argv[2:]))[0])"
    )
    command = [sys.executable, "-c", code, team, *scopes]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def logs(settings: Settings) -> None:
    """Follow the functions' logs until interrupted."""
    url(settings)
    client = settings.client("logs")
    group = settings.facts()["outputs"]["LogGroupName"]
    since, seen = int((time.time() - 60) * 1000), set[tuple[object, ...]]()
    while True:
        for event in client.filter_log_events(logGroupName=group, startTime=since).get("events", []):
            identity = (event["logStreamName"], event["timestamp"], event["message"])  # MiniStack gives no eventId
            if identity not in seen:
                seen.add(identity)
                since = max(since, event["timestamp"] - 5000)
                print(event["message"].rstrip(), flush=True)
        time.sleep(0.5)


def _front(settings: Settings) -> Process:
    return Process("front", settings.folder, settings.port)


def _start_front(settings: Settings, api_id: str) -> None:
    file = settings.folder / "front.json"
    file.write_text(json.dumps(gateway.for_front(settings, api_id), indent=2))
    command = [sys.executable, "-m", "local.stack.proxy", "--port", str(settings.port), "--config", str(file)]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    made_of = digest(file, ROOT / "local" / "stack" / "proxy.py")
    _front(settings).ensure(command, environment, lambda: _status(f"{settings.base_url}/") != 0, made_of)


def _key(settings: Settings, outputs: dict[str, str]) -> str:
    """Return the stack's API key. Make a new key if there is none, or if it no longer works (emptied table)."""
    known = settings.facts().get("key")
    if known and _status(f"{settings.base_url}/models", known) == 200:
        return str(known)
    made = mint(settings, outputs["TableName"], TEAM)
    settings.remember(key=made)
    return made


def _status(address: str, key: str = "") -> int:
    """Return the status of a GET, or 0 if there is no answer."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, OSError):
        return 0


def _welcome(base: str, key: str) -> str:
    auth = f"-H 'Authorization: Bearer {key}'"
    return f"""
  Base URL  {base}
  API key   {key}

  curl {base}/models {auth}
  curl {base}/videos/characters {auth} -F name=Luna -F video=@luna.mp4
  curl {base}/videos {auth} -F model=sora-2 -F prompt='Luna runs over wet stones' -F 'characters[][id]=CHARACTER_ID'
  curl {base}/videos/VIDEO_ID {auth}
  curl -L {base}/videos/VIDEO_ID/content {auth} -o video.mp4
"""


def main() -> None:
    """Run the command line."""
    commands: dict[str, Callable[[Settings], object]] = {
        "up": up,
        "deploy": lambda settings: up(settings, redeploy=True),
        "down": down,
        "reset": reset,
        "logs": logs,
        "url": lambda settings: print(url(settings)),
        "key": lambda settings: print(key(settings)),
    }
    parser = argparse.ArgumentParser(prog="python -m local.stack")
    parser.add_argument("command", choices=commands)
    arguments = parser.parse_args()
    try:
        commands[arguments.command](Settings.from_environment())
    except (DidNotStart, sam.SamFailed, providers.BadDeploymentsFile, ValueError) as error:
        raise SystemExit(f"\n{error}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None

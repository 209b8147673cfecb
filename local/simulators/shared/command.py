"""The command line of the simulators."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from local.simulators.shared.provider import BaseSettings, Provider
from local.simulators.shared.server import SimulatorServer

Chosen = TypeVar("Chosen", bound=BaseSettings)


def serve(
    name: str,
    description: str | None,
    settings: Chosen,
    make: Callable[[Path, Chosen], Provider],
    server: type[SimulatorServer] = SimulatorServer,
) -> None:
    """Serve a simulator that has no options of its own. This function does not return."""
    arguments = parser(name, description).parse_args()
    run(name, make(arguments.state, chosen(settings, arguments)), arguments, server)


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Build the parser with the options that every simulator has."""
    program, raw = f"python -m local.simulators.{name}", argparse.RawDescriptionHelpFormatter
    options = argparse.ArgumentParser(program, description=description, formatter_class=raw)
    options.add_argument("--port", type=int, required=True, help="0: any free port")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--state", type=Path, required=True, help="folder for everything that outlives the process")
    options.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than real time jobs run; 0 holds them"
    )
    options.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any setting; the value is JSON or a string"
    )
    options.add_argument(
        "--exit-with-stdin", action="store_true", help="stop when standard input ends: no orphan outlives its parent"
    )
    options.add_argument("--quiet", action="store_true", help="no line per request")
    return options


def chosen(settings: Chosen, arguments: argparse.Namespace, **others: Any) -> Chosen:
    """Return the settings, changed by the options. Raises pydantic.ValidationError."""
    changes = {"speed": arguments.speed, **others, **dict(_setting(item) for item in arguments.set)}
    return type(settings).model_validate({**settings.model_dump(), **changes})


def run(
    name: str, provider: Provider, arguments: argparse.Namespace, server: type[SimulatorServer] = SimulatorServer
) -> None:
    """Serve until SIGTERM or SIGINT. This function does not return.

    The address of the server is printed and written to simulator.json in the state folder.
    """
    serving = server(arguments.host, arguments.port, provider, quiet=arguments.quiet)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    if arguments.exit_with_stdin:
        threading.Thread(target=_follow_parent, args=(stopped,), daemon=True).start()
    _announce(name, arguments.state, f"http://{arguments.host}:{serving.server_port}")
    stopped.wait()
    os._exit(0)  # all state is on the disk; a normal exit would wait for a rendering in progress


def _setting(item: str) -> tuple[str, Any]:
    name, _, value = item.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _follow_parent(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


def _announce(name: str, state: Path, url: str) -> None:
    part = state / "simulator.json.part"
    part.write_text(json.dumps({"pid": os.getpid(), "url": url}))
    part.replace(state / "simulator.json")
    print(f"simulator {name} on {url}/v1, state in {state}", flush=True)

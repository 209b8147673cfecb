"""The command line; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, get_args

from local.simulators.openai.api import OpenAIProvider
from local.simulators.openai.settings import Flavour, Settings, defaults
from local.simulators.openai.vllm import VllmProvider
from local.simulators.server import SimulatorServer


def main() -> None:
    """Serves until SIGTERM or SIGINT; says where on standard output and in DIR/simulator.json."""
    parser = argparse.ArgumentParser(prog="python -m local.simulators.openai", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0: any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state", type=Path, required=True, help="folder for everything that outlives the process")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than real time jobs run; 0 holds them"
    )
    parser.add_argument("--flavour", choices=get_args(Flavour), default="openai")
    parser.add_argument("--models", help="names that are served, by comma")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any setting; the value is JSON or a string"
    )
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="stop when standard input ends: no orphan outlives its parent"
    )
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    arguments = parser.parse_args()
    settings = _settings(arguments)
    kind = VllmProvider if arguments.flavour == "vllm" else OpenAIProvider
    provider = kind(arguments.state, settings, arguments.flavour)
    server = SimulatorServer(arguments.host, arguments.port, provider, quiet=arguments.quiet)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if arguments.exit_with_stdin:
        threading.Thread(target=_follow_parent, args=(stopped,), daemon=True).start()
    _announce(arguments.state, arguments.host, server.server_port)
    stopped.wait()
    os._exit(0)  # nothing is in memory only, and a rendering in progress would hold an orderly exit back


def _follow_parent(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


def _settings(arguments: argparse.Namespace) -> Settings:
    changes: dict[str, Any] = {"speed": arguments.speed}
    if arguments.models:
        changes["models"] = arguments.models.split(",")
    for item in arguments.set:
        name, _, value = item.partition("=")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value
    return Settings.model_validate({**defaults(arguments.flavour).model_dump(), **changes})


def _announce(state: Path, host: str, port: int) -> None:
    part = state / "simulator.json.part"
    part.write_text(json.dumps({"pid": os.getpid(), "url": f"http://{host}:{port}"}))
    part.replace(state / "simulator.json")
    print(f"simulator of an OpenAI-shaped server on http://{host}:{port}/v1, state in {state}", flush=True)


if __name__ == "__main__":
    main()

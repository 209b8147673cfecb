"""The command line; see the package's docstring. Its own because the server is one of its own."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from local.simulators.gemini import __doc__ as description
from local.simulators.gemini.api import GeminiProvider
from local.simulators.gemini.server import GeminiServer
from local.simulators.gemini.settings import Settings


def main() -> None:
    """Serves until SIGTERM or SIGINT; says where on standard output and in DIR/simulator.json."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m local.simulators.gemini", description=description, formatter_class=raw)
    parser.add_argument("--port", type=int, required=True, help="0: any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state", type=Path, required=True, help="folder for everything that outlives the process")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than real time jobs run; 0 holds them"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; JSON or a string")
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop when standard input ends")
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    arguments = parser.parse_args()
    changes = {"speed": arguments.speed, **dict(_setting(item) for item in arguments.set)}
    provider = GeminiProvider(arguments.state, Settings.model_validate(changes))
    server = GeminiServer(arguments.host, arguments.port, provider, quiet=arguments.quiet)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if arguments.exit_with_stdin:
        threading.Thread(target=_follow_parent, args=(stopped,), daemon=True).start()
    url = f"http://{arguments.host}:{server.server_port}"
    part = arguments.state / "simulator.json.part"
    part.write_text(json.dumps({"pid": os.getpid(), "url": url}))
    part.replace(arguments.state / "simulator.json")
    print(f"simulator of the Gemini API on {url}/v1beta, state in {arguments.state}", flush=True)
    stopped.wait()
    os._exit(0)  # nothing is in memory only, and a rendering in progress would hold an orderly exit back


def _follow_parent(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


def _setting(item: str) -> tuple[str, Any]:
    name, _, value = item.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    main()

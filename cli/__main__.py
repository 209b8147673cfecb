"""`python -m cli upload luna.mp4 --name Luna`, `python -m cli keys create --team blue`, `python -m cli redrive`."""

from __future__ import annotations

import argparse
import sys

from cli import keys, redrive, upload


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cli", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (upload, keys, redrive):
        module.add(commands)
    chosen = parser.parse_args(arguments)
    try:
        chosen.run(chosen)
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, RuntimeError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

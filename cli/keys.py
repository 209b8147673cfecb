"""`python -m cli keys create|list|revoke|rotate`: API keys, for operators."""

from __future__ import annotations

import argparse
import time
import tomllib
from pathlib import Path
from typing import Any

from cli import stack

DEPLOYMENTS = Path("config", "deployments.toml")


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("keys", help="make, list, revoke and rotate API keys")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--team", required=True, help="what the key makes belongs to this team")
    create.add_argument("--models", nargs="*", default=[], metavar="MODEL", help="models that it may use (all)")
    create.add_argument("--rpm", type=int, help="calls a minute that make something")
    create.add_argument("--concurrent", type=int, help="videos in the making at once")
    create.add_argument("--budget", type=float, metavar="DOLLARS", help="to be committed in a calendar month")
    create.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="raw_ids:DEPLOYMENT",
        help="may bring the deployment's own ids; for an account that belongs to this team alone; can be repeated",
    )
    create.add_argument(
        "--deployments",
        type=Path,
        default=DEPLOYMENTS,
        metavar="FILE",
        help="what the stack was built with (%(default)s)",
    )
    create.set_defaults(run=_create)
    listing = actions.add_parser("list", help="list keys, without the keys")
    listing.add_argument("--team")
    listing.set_defaults(run=_list)
    for name, run, text in (("revoke", _revoke, "stop a key"), ("rotate", _rotate, "make its successor, then stop it")):
        action = actions.add_parser(name, help=text)
        action.add_argument("key_id", help="as `keys list` shows it; its first characters are enough")
        action.set_defaults(run=run)
    for action in actions.choices.values():
        stack.add_option(action)


def _create(arguments: argparse.Namespace) -> None:
    stack.use_table(arguments.stack)
    from understudy.access import keys

    _check(arguments.scope, arguments.deployments)
    budget = round(arguments.budget * 1_000_000) if arguments.budget is not None else None
    limits = keys.Limits(arguments.rpm, arguments.concurrent, budget)
    key, caller = keys.mint(
        arguments.team, scopes=tuple(arguments.scope), models=tuple(arguments.models), limits=limits
    )
    _show(key, caller.key_id)


def _list(arguments: argparse.Namespace) -> None:
    stack.use_table(arguments.stack)
    from understudy.access import keys

    for row in keys.every():
        if arguments.team in (None, row["team"]):
            made = time.strftime("%Y-%m-%d", time.gmtime(row["created_at"]))
            state = "revoked" if row.get("revoked_at") else "works"
            budget = f"${row['budget'] / 1_000_000:.2f}" if "budget" in row else "-"
            limits = f"rpm {row.get('make_limit', '-')}  concurrent {row.get('concurrent', '-')}  budget {budget}"
            print("  ".join([row["key_id"], made, f"{state:<8}", f"{row['team']:<16}", limits, *row["scopes"]]))


def _revoke(arguments: argparse.Namespace) -> None:
    stack.use_table(arguments.stack)
    from understudy.access import keys

    row = _one(arguments.key_id)
    keys.revoke(row["key_id"])
    print(f"{row['key_id']} is revoked: at once for what writes or spends, within a minute for plain reads.")


def _rotate(arguments: argparse.Namespace) -> None:
    stack.use_table(arguments.stack)
    from understudy.access import keys

    key, caller = keys.rotate(_one(arguments.key_id)["key_id"])
    _show(key, caller.key_id)


def _check(scopes: list[str], file: Path) -> None:
    """Raises ValueError for a scope with a deployment that the file does not have."""
    from understudy.access import keys

    known = tomllib.loads(file.read_text("utf-8")).get("deployments", {}) if scopes else {}
    for scope in scopes:
        deployment = scope.removeprefix(keys.RAW_IDS)
        if deployment not in known:
            raise ValueError(f"{file} has no deployment {deployment!r}; it has {', '.join(known)}")


def _one(prefix: str) -> dict[str, Any]:
    """The one key whose id begins so. Raises ValueError for none and for several."""
    from understudy.access import keys

    found = [row for row in keys.every() if row["key_id"].startswith(prefix)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} keys have an id that begins with {prefix!r}")
    return found[0]


def _show(key: str, key_id: str) -> None:
    print(f"{key}\n\nKey id {key_id}. The key is not stored and cannot be shown again.")

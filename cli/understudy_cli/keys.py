"""`understudy keys create|list|revoke|rotate`: API keys, for operators."""

from __future__ import annotations

import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from understudy.access import keys as api_keys
from understudy_cli import aws_options

DEPLOYMENTS = Path("config", "deployments.toml")
COLUMNS = ("Key id", "Made", "State", "Team", "Calls a minute", "At once", "Budget", "Models", "Scopes")


@click.group()
def keys() -> None:
    """Make, list, revoke and rotate API keys."""


@keys.command()
@click.option("--team", required=True, help="Team that owns what the key creates.")
@click.option("--models", multiple=True, metavar="MODEL[,MODEL...]", help="Models that the key may use. Default: all.")
@click.option("--rpm", type=click.IntRange(1), help="Rate limit: calls a minute that create something.")
@click.option("--concurrent", type=click.IntRange(1), help="Concurrency limit: videos in progress at once.")
@click.option("--budget", type=click.FloatRange(0), metavar="DOLLARS", help="Budget for a calendar month.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="raw_ids:DEPLOYMENT",
    help="May bring the deployment's own ids; for an account that belongs to this team alone. Can be repeated.",
)
@click.option(
    "--deployments",
    type=click.Path(path_type=Path),
    default=DEPLOYMENTS,
    show_default=True,
    help="The deployments file that the stack was built with; read only for --scope.",
)
@aws_options.options
def create(
    stack: str,
    team: str,
    models: tuple[str, ...],
    rpm: int | None,
    concurrent: int | None,
    budget: float | None,
    scopes: tuple[str, ...],
    deployments: Path,
) -> None:
    """Make a key. The key is shown only once."""
    _check(scopes, deployments)
    aws_options.use_table(stack)
    limits = api_keys.Limits(rpm, concurrent, round(budget * 1_000_000) if budget is not None else None)
    named = tuple(name.strip() for given in models for name in given.split(",") if name.strip())
    key, caller = api_keys.mint(team, scopes=scopes, models=named, limits=limits)
    _show(key, caller.key_id)


@keys.command("list")
@click.option("--team", help="Only this team's keys.")
@aws_options.options
def list_(stack: str, team: str | None) -> None:
    """List the keys by their ids. Print a table, or lines with tabs if the output is not a terminal."""
    aws_options.use_table(stack)
    rows = [_cells(row) for row in api_keys.every() if team in (None, row["team"])]
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@keys.command()
@click.argument("key_id")
@aws_options.options
def revoke(stack: str, key_id: str) -> None:
    """Revoke the key KEY_ID. The first characters of the id are enough."""
    aws_options.use_table(stack)
    row = _one(key_id)
    api_keys.revoke(row["key_id"])
    click.echo(f"{row['key_id']} is revoked: immediately for writes and downloads, within a minute for reads.")


@keys.command()
@click.argument("key_id")
@aws_options.options
def rotate(stack: str, key_id: str) -> None:
    """Make a new key that replaces the key KEY_ID, then revoke KEY_ID. The first characters of the id are enough."""
    aws_options.use_table(stack)
    key, caller = api_keys.rotate(_one(key_id)["key_id"])
    _show(key, caller.key_id)


def _cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of a key's row, in the order of `COLUMNS`."""
    return [
        row["key_id"],
        time.strftime("%Y-%m-%d", time.gmtime(row["created_at"])),
        "revoked" if row.get("revoked_at") else "works",
        row["team"],
        str(row.get("make_limit", "-")),
        str(row.get("concurrent", "-")),
        f"${row['budget'] / 1_000_000:.2f}" if "budget" in row else "-",
        ",".join(row.get("models", [])) or "-",
        ",".join(row["scopes"]) or "-",
    ]


def _check(scopes: tuple[str, ...], file: Path) -> None:
    """Check that the file has the deployment of every scope. Raises ValueError."""
    known = tomllib.loads(file.read_text("utf-8")).get("deployments", {}) if scopes else {}
    for scope in scopes:
        deployment = scope.removeprefix(api_keys.RAW_IDS)
        if deployment not in known:
            raise ValueError(f"{file} has no deployment {deployment!r}; it has {', '.join(known)}")


def _one(prefix: str) -> dict[str, Any]:
    """Return the key whose id begins with `prefix`. Raises ValueError if there is no such key or more than one."""
    found = [row for row in api_keys.every() if row["key_id"].startswith(prefix)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} keys have an id that begins with {prefix!r}")
    return found[0]


def _show(key: str, key_id: str) -> None:
    click.echo(f"{key}\n\nKey id {key_id}. The key is not stored and cannot be shown again.")

"""`understudy doctor`: looks for what is wrong with a stack and says what to do about it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from understudy_cli import aws_options
from understudy_cli.checks import Result, State, examine
from understudy_cli.keys import DEPLOYMENTS
from understudy_cli.stacks import Stack

STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "failure": "bold red", "not checked": "dim"}
WIDTH = 120  # of the table where the output is not a terminal


@click.command()
@click.option(
    "--deployments",
    type=click.Path(path_type=Path),
    help=f"The deployments file that the stack was built with. Default: {DEPLOYMENTS}; with --local, that stack's.",
)
@aws_options.options
def doctor(stack: str, deployments: Path | None) -> None:
    """Look for what is wrong with a stack. Print a table; exit with 1 if a check failed. Nothing is changed."""
    context = click.get_current_context()
    examined = Stack(stack, aws_options.chosen(context))
    results = list(examine(examined, deployments or _deployments(local=context.params["local"])))
    _show(results)
    if any(result.state == "failure" for _, result in results):
        context.exit(1)


def _deployments(*, local: bool) -> Path:
    """Return the deployments file of the repository or, for a local stack, the file that `make up` rendered."""
    return Path(".local", str(aws_options.local_port()), "deployments.toml") if local else DEPLOYMENTS


def _show(results: list[tuple[str, Result]]) -> None:
    """Print the table, and the number of results in each state."""
    table = Table("Check", "State", "What was found", "What to do")
    for name, result in results:
        state = Text(result.state, STYLES[result.state])
        table.add_row(Text(name), state, Text(result.found), Text(result.todo))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    counts = Counter(result.state for _, result in results)
    click.echo(", ".join(f"{counts[state]} {state}" for state in STYLES if counts[state]))

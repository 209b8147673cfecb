"""`understudy storage`: what each team stores, for operators."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.table import Table

from understudy.files import storage as counts
from understudy.files.storage import Usage
from understudy_cli import aws_options

COLUMNS = ("Team", "Characters", "Open uploads", "Stored")


@click.command()
@click.option("--team", help="Only this team.")
@aws_options.options
def storage(stack: str, team: str | None) -> None:
    """List what each team stores, the most first. Print a table, or lines with tabs if the output is not a terminal."""
    aws_options.use_table(stack)
    found = [one for one in map(counts.usage, counts.rows()) if team in (None, one.team)]
    found.sort(key=lambda one: one.bytes, reverse=True)
    if not sys.stdout.isatty():
        for one in found:
            click.echo(f"{one.team}\t{one.characters}\t{one.uploads}\t{one.bytes}")
        return
    table = Table(*COLUMNS)
    for one in found:
        table.add_row(*_cells(one))
    Console().print(table)


def _cells(one: Usage) -> list[str]:
    """Return the cells of a team, in the order of `COLUMNS`."""
    return [one.team, str(one.characters), str(one.uploads), counts.spell(one.bytes)]

"""`understudy jobs show|open`: the jobs of a stack and their executions, for operators."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Column, Table

from understudy.jobs.job import Job
from understudy.store import table as rows
from understudy.store.executions import job_name
from understudy_cli import aws_options, job_ids
from understudy_cli.executions import Execution, Machine, clock, day_and_time

COLUMNS = ("Team", "Job", "State", "Age", "Last sign", "Quiet")
NOT_FOUND = "Stack {stack!r} has no job {record}. Choose another stack with --stack, --region, --profile or --local."
FORGOTTEN = "it was not started, or Step Functions has forgotten it, 90 days after its end"


@click.group()
def jobs() -> None:
    """Show what became of jobs, and which jobs have not ended."""


@jobs.command()
@click.argument("job_id", metavar="ID")
@aws_options.options
def show(stack: str, job_id: str) -> None:
    """Show the state and the executions of the job ID.

    ID is a video's id, a job's record, or the name of an execution. A job without an execution is searched by a scan of
    the whole table.
    """
    local = click.get_current_context().params["local"]
    machine = Machine(_use(stack)["JobMachineArn"])
    if job_id.startswith(job_ids.DELETION):
        _show_deletion(stack, job_id, machine, local=local)
        return
    reference = job_ids.parse(job_id)
    job = job_ids.find(reference, machine)
    executions = list(_executions(machine, reference.record, job.run if job else 1))
    if job is None and not any(execution for _, execution in executions):
        raise ValueError(NOT_FOUND.format(stack=stack, record=reference.record))
    _table(_facts(job) if job else {"job": reference.record, "state": "deleted: the job has no row"})
    for name, execution in executions:
        _show_execution(machine, name, execution, local=local)


@jobs.command("open")
@aws_options.options
def open_(stack: str) -> None:
    """List the jobs that have not ended. Print a table, or lines with tabs if the output is not a terminal."""
    _use(stack)
    found = [_cells(job) for job in unfinished(int(time.time()) + 60)]
    if not found:
        click.echo("Every job has ended.", err=True)
        return
    if not sys.stdout.isatty():
        for cells in found:
            click.echo("\t".join(cells))
        return
    columns = (Column(name, no_wrap=name == "Job", min_width=28 if name == "Job" else None) for name in COLUMNS)
    table = Table(*columns)
    for cells in found:
        table.add_row(*cells)
    Console().print(table)


def unfinished(before: int) -> Iterator[Job]:
    """Yield the jobs that were created before that time and have not ended, the oldest first."""
    for key in rows.unfinished(before):
        row = rows.get(key)
        if row and not (job := Job.of(row)).done:
            yield job


def _use(stack: str) -> dict[str, str]:
    """Make the layer's modules use this stack, and return its outputs. Raises ValueError."""
    outputs = aws_options.outputs(stack, "TableName", "JobMachineArn")
    os.environ |= {"TABLE_NAME": outputs["TableName"], "JOB_MACHINE": outputs["JobMachineArn"]}
    return outputs


def _executions(machine: Machine, record: str, runs: int) -> Iterator[tuple[str, Execution | None]]:
    for run in range(1, runs + 1):
        name = job_name(record, run)
        yield name, machine.find(name)


def _facts(job: Job) -> dict[str, str]:
    """Return what an operator may know of a job: no prompt, and nothing that a caller has sent."""
    error = f"{job.error['code']}: {job.error['message']}" if job.error else "-"
    quiet = ", which is too long ago: sweep_jobs looks after the job" if job.quiet else ""
    return {
        "job": job.id,
        "team": job.team,
        "model": job.model,
        "deployment": job.deployment,
        "provider's id": job.upstream_id or "-",
        "operation": job.operation,
        "state": job.state,
        "status": f"{job.status}, {job.progress} %",
        "error": error,
        "created": _when(job.created_at),
        "last sign": f"{_when(job.touched_at)}{quiet}",
        "deadline": _when(job.late_at),
        "run": str(job.run),
    }


def _cells(job: Job) -> list[str]:
    """Return the cells of a job, in the order of `COLUMNS`."""
    age, last = _age(job.created_at), _age(job.touched_at) if job.touched_at else "-"
    return [job.team, job.id, job.state, age, last, "yes" if job.quiet else "no"]


def _show_deletion(stack: str, name: str, machine: Machine, *, local: bool) -> None:
    execution = machine.find(name)
    if execution is None:
        raise ValueError(f"Stack {stack!r} has no execution {name}: {FORGOTTEN}.")
    work = execution.work
    facts = {"deletion of": work.get("delete"), "deployment": work.get("deployment"), "its id": work.get("reference")}
    _table({name: str(value) for name, value in facts.items()})
    _show_execution(machine, name, execution, local=local)


def _show_execution(machine: Machine, name: str, execution: Execution | None, *, local: bool) -> None:
    """Print the execution and the last lines of its history."""
    click.echo()
    if execution is None:
        click.echo(f"Execution {name} does not exist: {FORGOTTEN}.")
        return
    history = machine.history(execution)
    stopped = f", stopped {day_and_time(execution.stopped)}" if execution.stopped else ""
    click.echo(f"Execution {name} is {execution.status}.")
    click.echo(f"Started {day_and_time(execution.started)}{stopped} UTC. Steps: {history.steps}.")
    if not local:
        click.echo(execution.link)
    if left_out := history.count - len(history.last):
        click.echo(f"  {'...':8}  {left_out} earlier lines are not shown.")
    for line in history.last:
        click.echo(f"  {clock(line.at)}  {line.text}")


def _table(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        click.echo(f"{name:<14} {value}")


def _when(at: int) -> str:
    """Return a time and how far away it is, or - for a time that is not known."""
    if not at:
        return "-"
    now = time.time()
    away = f"in {_span(at - now)}" if at > now else f"{_span(now - at)} ago"
    return f"{day_and_time(at)} UTC, {away}"


def _age(at: int) -> str:
    return _span(max(time.time() - at, 0))


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

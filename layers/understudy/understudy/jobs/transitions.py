"""The states of a job and the moves between them.

    preparing ─→ submitting ─→ running ─→ archiving ─→ completed
        │            │  │          │           │
        │            │  └→ unknown ┼───────────┼──→ failed
        └────────────┴─────────────┴───────────┘

    preparing   something slow comes first, such as making a character at the provider
    submitting  the order is being sent; the row exists before anything is sent
    unknown     the response was lost, and the provider can be asked about the order; nothing is sent again
    running     the provider works
    archiving   the provider is done; its file is being copied into the bucket
    completed   the file is in the bucket (providers' URLs expire within hours)

Every move is a compare-and-swap on the state in which the job was read, and no move leaves a terminal state. The caller
of a move decides which of the other moves make sense.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from understudy.deployments import upstream_ids
from understudy.ids import Kind
from understudy.jobs import budget
from understudy.jobs.job import Job, State
from understudy.store import executions, table
from understudy.store.bucket import File
from understudy.store.table import Change
from understudy.telemetry import logger, needs_attention


def move(job: Job, state: State, **changes: Any) -> Job:
    """Take the job from the state in which it was read to `state`, with `changes` to its other attributes.

    Raises table.RowChanged if the job's state has changed meanwhile. A terminal state is never left.
    """
    return Job.of(table.change(_moved(job, {"state": state, **changes})))


def ordered(job: Job, upstream_id: str, **facts: Any) -> Job:
    """Move the job to `running`, with the provider's id. Write the owner of that id in the same transaction.

    Raises table.RowChanged like `move`.
    """
    changes: dict[str, Any] = {"state": "running", "upstream_id": upstream_id, **facts}
    origin = upstream_ids.made(Kind.VIDEO, job.deployment, upstream_id, job.team, job.id)
    table.write_together(_moved(job, changes), origin)
    return replace(job, **changes)


def renew(job: Job) -> Job:
    """Renew the lease on the job's slot if it ends soon. Raises table.RowChanged like `move`.

    The job may have waited for others, and its deadline counts from its order.
    """
    if not budget.ends_soon(job):
        return job
    until, renewal = budget.renewed(job)
    changes: dict[str, Any] = {"slot_until": until}
    table.write_together(_moved(job, changes), renewal)
    return replace(job, **changes)


def complete(job: Job, output: File, spent: int, **facts: Any) -> Job:
    """End the job with its video in the bucket. `spent` is what the video cost in micro-dollars."""
    return _end(job, "completed", spent, {"output": output, "progress": 100, **facts})


def fail(job: Job, code: str, message: str, *, spent: int = 0) -> Job:
    """End the job without a video. The caller sees `code` and `message`."""
    if code == "outcome_unknown":
        needs_attention("outcome_unknown", "an order may have been made and billed", video=job.id)
    return _end(job, "failed", spent, {"error": {"code": code, "message": message}})


def _end(job: Job, state: State, spent: int, changes: dict[str, Any]) -> Job:
    """Move the job to a terminal state and settle its cost in the same transaction, exactly once."""
    changes |= {"state": state, "completed_at": int(time.time())}
    ended = _moved(job, changes, remove=table.UNFINISHED)
    table.write_together(ended, *budget.give_back(job, spent))
    return replace(job, **changes)


def _moved(job: Job, changes: dict[str, Any], remove: Iterable[str] = ()) -> Change:
    """Return the row's change from the state in which it was read, and add its time to `changes`.

    Raises table.RowChanged for a terminal state.
    """
    if job.done:
        raise table.RowChanged(f"{job.id} is {job.state}")
    changes["touched_at"] = int(time.time())
    plain = {name: asdict(value) if isinstance(value, File) else value for name, value in changes.items()}
    return table.swap(job.key, plain, expect={"state": job.state}, remove=remove)


def discard(job: Job) -> None:
    """Delete the job and give back its slot and hold, because nothing was made."""
    delete(fail(job, "refused", "The provider refused this."))


def begin(job: Job, delay: float) -> None:
    """Start the execution of a job that was just written and not ordered yet.

    If it cannot be started, the job is discarded and the error is raised. If this process dies before, the job is found
    by the sweep, or by who looks at it (`Job.quiet`). In this order, a job that is refused starts no execution.
    """
    try:
        executions.start_job(job.team, job.id, job.run, delay)
    except Exception:
        discard(job)
        raise


def drive(job: Job, run: int) -> None:
    """Start the job's execution number `run`, because none drives it. Raises table.RowChanged.

    The execution is started before the row names it. If this process dies in between, or another one does the same,
    the same execution is started again, which changes nothing.
    """
    executions.start_job(job.team, job.id, run, 1)
    _note(job, run=run)


def wake(job: Job) -> None:
    """Start the execution of a job that was quiet for too long, in case it was never started.

    If there was one, nothing changes: the sweep looks after it. A failure to start it is only logged, because this is
    called when somebody only wants to see the job.
    """
    try:
        if executions.start_job(job.team, job.id, job.run, 1):
            touch(job)
    except Exception:  # noqa: BLE001 - whatever it is, the caller is shown the job
        logger.warning("execution not started", extra={"video": job.id}, exc_info=True)


def touch(job: Job) -> None:
    """Record that somebody drives the job, although nothing about it has changed. Raises table.RowChanged."""
    _note(job)


def _note(job: Job, **changes: Any) -> None:
    """Write when the job was looked at. Rows of earlier versions get into the index of unfinished jobs by this."""
    noted = {"touched_at": int(time.time()), **table.UNFINISHED, **changes}
    table.update(job.key, noted, expect={"state": job.state})


def delete(job: Job) -> None:
    """Delete the row. Raises table.RowChanged if the job has left the state in which it was read.

    The id of an adopted job that no provider has confirmed is freed.
    """
    table.delete(job.key, expect={"state": job.state})
    if job.unconfirmed and job.upstream_id:
        for deployment in job.others:
            upstream_ids.free(Kind.VIDEO, deployment, job.upstream_id, job.id)


def delete_upstream(job: Job) -> None:
    """Start the deletion of the finished job at the provider.

    An id that no provider has confirmed is not deleted there: by now it may belong to somebody else.
    """
    if job.upstream_id and not job.unconfirmed:
        executions.delete_video(job.deployment, job.model, job.upstream_id)

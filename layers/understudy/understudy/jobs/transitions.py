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
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from understudy.deployments import upstream_ids
from understudy.ids import Kind
from understudy.jobs import budget
from understudy.jobs.job import Job, State
from understudy.store import queue, table
from understudy.store.bucket import File
from understudy.store.table import Change
from understudy.telemetry import needs_attention


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
    table.write_together(_moved(job, changes), *budget.give_back(job, spent))
    return replace(job, **changes)


def _moved(job: Job, changes: dict[str, Any]) -> Change:
    """Return the row's change from the state in which it was read. Raises table.RowChanged for a terminal state."""
    if job.done:
        raise table.RowChanged(f"{job.id} is {job.state}")
    plain = {name: asdict(value) if isinstance(value, File) else value for name, value in changes.items()}
    return table.swap(job.key, plain, expect={"state": job.state})


def discard(job: Job) -> None:
    """Delete the job and give back its slot and hold, because nothing was made."""
    delete(fail(job, "refused", "The provider refused this."))


class Busy(Exception):
    """Another copy of the message works on the job, or the message came before the row. SQS must deliver it again."""


def claim(job: Job, tick: int, seconds: int) -> Job | None:
    """Lease the job to message `tick` for `seconds`. Return None if that message was processed already.

    SQS delivers at least once, and only one copy of a message may work. The other copy must not be dropped until the
    first has passed the job on: if the first dies, no message would be left for the job. So Busy is raised.
    """
    now = int(time.time())
    if tick < job.tick:
        return None
    if tick > job.tick or job.lease_until > now:
        raise Busy(f"{job.id} is at {job.tick}, this is {tick}")
    try:
        expect = {"tick": tick, "lease_until": job.lease_until}
        return Job.of(table.update(job.key, {"lease_until": now + seconds}, expect=expect))
    except table.RowChanged as error:
        raise Busy(job.id) from error


def begin(job: Job, delay: float, write: Callable[[], None]) -> None:
    """Enqueue the first message, then write the row.

    In this order a crash leaves a harmless message, not a job that nobody polls. If the write was slow, the message is
    enqueued again, because it may have come before the row.
    """
    begun = time.monotonic()
    send(job, 0, delay)
    write()
    if time.monotonic() - begun > delay / 2:
        send(job, 0, delay)


def send(job: Job, tick: int, delay: float) -> None:
    """Enqueue a message that makes `run_job` look at the job after `delay` seconds."""
    queue.look_at_job(job.team, job.id, tick, delay)


def release(job: Job, delay: float) -> None:
    """Pass the job on to the next message, after `delay` seconds but at least 1.

    The message is sent first. If this process dies before the row is updated, the old message is delivered again and
    sends again. A message that comes before the update has to wait much longer, so the delay is never 0.
    """
    send(job, job.tick + 1, max(delay, 1))
    table.update(job.key, {"tick": job.tick + 1, "lease_until": 0}, expect={"tick": job.tick})


def delete(job: Job) -> None:
    """Delete the row. Raises table.RowChanged if the job has left the state in which it was read.

    The id of an adopted job that no provider has confirmed is freed.
    """
    table.delete(job.key, expect={"state": job.state})
    if job.unconfirmed and job.upstream_id:
        for deployment in job.others:
            upstream_ids.free(Kind.VIDEO, deployment, job.upstream_id, job.id)


def delete_upstream(job: Job) -> None:
    """Enqueue the deletion of the finished job at the provider.

    An id that no provider has confirmed is not deleted there: by now it may belong to somebody else.
    """
    if job.upstream_id and not job.unconfirmed:
        queue.delete_video(job.deployment, job.model, job.upstream_id)

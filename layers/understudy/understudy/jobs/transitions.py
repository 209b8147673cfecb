"""The states of a job and the moves between them.

    preparing ─→ submitting ─→ running ─→ archiving ─→ completed
        │            │  │          │           │
        │            │  └→ unknown ┼───────────┼──→ failed
        └────────────┴─────────────┴───────────┘

    preparing   something slow comes first: a character has to be made at the provider
    submitting  the order is on its way; the row exists before anything is sent
    unknown     the answer was lost and the provider can be asked what became of it; nothing is sent again
    running     the provider works
    archiving   the provider is done; its file is being copied home
    completed   the bytes are in our bucket (providers' URLs die within hours)

Every move is a compare-and-swap on the state that the job was read in, and no move leaves a terminal state. Which of
the other moves make sense is decided by whoever makes them.
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
from understudy.telemetry import count


def move(job: Job, state: State, **changes: Any) -> Job:
    """Take the job from the state it was read in to `state`, with `changes` to its other attributes.

    Raises table.RowChanged when somebody else moved it meanwhile; terminal states are never left.
    """
    return Job.of(table.change(_moved(job, {"state": state, **changes})))


def ordered(job: Job, upstream_id: str, **facts: Any) -> Job:
    """The provider has taken the order and calls it so: into `running`, together with whose the id is.

    Raises table.RowChanged like `move`.
    """
    changes: dict[str, Any] = {"state": "running", "upstream_id": upstream_id, **facts}
    origin = upstream_ids.made(Kind.VIDEO, job.deployment, upstream_id, job.team, job.id)
    table.write_together(_moved(job, changes), origin)
    return replace(job, **changes)


def complete(job: Job, output: File, spent: int, **facts: Any) -> Job:
    """The bytes are home; `spent` is what they cost in micro-dollars."""
    return _end(job, "completed", spent, {"output": output, "progress": 100, **facts})


def fail(job: Job, code: str, message: str, *, spent: int = 0) -> Job:
    """The job ends without a video; code and message are what the caller sees."""
    if code == "outcome_unknown":
        count("OutcomeUnknown")
    return _end(job, "failed", spent, {"error": {"code": code, "message": message}})


def _end(job: Job, state: State, spent: int, changes: dict[str, Any]) -> Job:
    """Into a terminal state, settling in the same transaction: exactly once, whoever else tries."""
    changes |= {"state": state, "completed_at": int(time.time())}
    table.write_together(_moved(job, changes), *budget.give_back(job, spent))
    return replace(job, **changes)


def _moved(job: Job, changes: dict[str, Any]) -> Change:
    """The row's change out of the state it was read in. Raises table.RowChanged for a terminal one."""
    if job.done:
        raise table.RowChanged(f"{job.id} is {job.state}")
    plain = {name: asdict(value) if isinstance(value, File) else value for name, value in changes.items()}
    return table.swap(job.key, plain, expect={"state": job.state})


def discard(job: Job) -> None:
    """Nothing was made: the job goes without a trace, and so does what it held."""
    delete(fail(job, "refused", "The provider refused this."))


class Busy(Exception):
    """Another copy of the message works on the job, or the message overtook the row: it has to come back."""


def claim(job: Job, tick: int, seconds: int) -> Job | None:
    """Take the job for `seconds` on behalf of message `tick`; None if that message was answered already.

    SQS delivers at least once: of two copies of a message one works. The other one may not be dropped before that one
    has handed the job on: it may die and would leave a job that nobody looks after. Raises Busy.
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

    In this order a crash leaves a harmless message, not a job that nobody polls. If the write was slow, enqueue again:
    the message may have come first.
    """
    begun = time.monotonic()
    send(job, 0, delay)
    write()
    if time.monotonic() - begun > delay / 2:
        send(job, 0, delay)


def send(job: Job, tick: int, delay: float) -> None:
    """Have `run_job` look at the job after `delay` seconds."""
    queue.look_at_job(job.team, job.id, tick, delay)


def release(job: Job, delay: float) -> None:
    """Hand the job to the next message. Sent first: if we die in between, the old message comes back and sends
    again. A second at least: a message that overtakes the row has to wait much longer."""
    send(job, job.tick + 1, max(delay, 1))
    table.update(job.key, {"tick": job.tick + 1, "lease_until": 0}, expect={"tick": job.tick})


def delete(job: Job) -> None:
    """Delete the row; raises table.RowChanged when the job has left the state it was read in."""
    table.delete(job.key, expect={"state": job.state})
    if job.unconfirmed and job.upstream_id:
        for deployment in job.others:
            upstream_ids.free(Kind.VIDEO, deployment, job.upstream_id, job.id)


def delete_upstream(job: Job) -> None:
    """Have `run_job` delete the finished job at the provider, too; what none has known may be somebody's by now."""
    if job.upstream_id and not job.unconfirmed:
        queue.delete_video(job.deployment, job.model, job.upstream_id)

"""A video as a job: its row, its states, and the moves between them.

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

Every move is a compare-and-swap in the table, and the two terminal states are left by nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from understudy import ledger, origins, table
from understudy.aws import sqs
from understudy.ids import Kind
from understudy.settings import settings
from understudy.table import Change, Put, Row
from understudy.telemetry import count

State = Literal["preparing", "submitting", "unknown", "running", "archiving", "completed", "failed"]
TERMINAL: tuple[State, ...] = ("completed", "failed")
ADOPT = "adopt"  # the operation of a job for a video that a provider has made without us (rawids.py)
MAX_DELAY = 900  # SQS


@dataclass(frozen=True, slots=True)
class File:
    """An object in the bucket that belongs to a job."""

    key: str
    mime_type: str
    byte_count: int


@dataclass(frozen=True, slots=True)
class Job:
    """The row of a video. Times are unix seconds. `upstream_id` is the provider's id once it has said one."""

    team: str
    id: str
    operation: str
    state: State
    model: str  # as the caller named it
    deployment: str
    provider: str
    prompt: str
    created_at: int
    pace: int = 5000  # milliseconds between two looks at the job that are worth it, for this deployment
    seconds: int | None = None
    size: str | None = None
    characters: list[str] = field(default_factory=list)  # records
    image: File | None = None
    source: str | None = None  # record of the video that this one was made from
    source_clip: File | None = None  # or the clip
    remixed_from: str | None = None  # the source's public id
    emulated: str | None = None  # the operation, if the provider has none such and continuation.py puts it together
    continuation: File | None = None  # what the provider made for it
    spent: int | None = None  # micro-dollars that it took for that
    others: list[str] = field(default_factory=list)  # deployments that may take over; of an adopted one: all asked
    named: list[str] = field(default_factory=list)  # provider, model_id, original id: what the first answer's id says
    upstream_id: str | None = None
    unconfirmed: bool = False  # a caller brought the id, and no provider has said yet that it knows it
    upstream_status: str = "queued"
    progress: int = 0
    submit_by: int = 0  # an order that is still being submitted after this has lost its answer
    late_at: int = 0  # its provider should be done with it by then
    completed_at: int | None = None
    error: dict[str, str] | None = None
    output: File | None = None
    troubles: int = 0  # passing failures in a row
    lost: int = 0  # of these, the last ones in a row that said that it is not there
    seen: bool = False  # the caller has used the id
    signed_with: int | None = None  # the key of its id, which outlives a rotation
    payer: str = ""  # the API key whose slots and budget it uses
    billed_seconds: int | None = None
    source_seconds: int = 0  # of the video that is edited or extended; some providers bill them, too
    clips: list[int] = field(default_factory=list)  # milliseconds of each character's clip; these as well
    month: str | None = None  # whose budget holds `hold` micro-dollars
    hold: int = 0
    slot_until: int = 0  # the lease on one of the key's slots; 0: takes none
    tick: int = 0  # which message may work on the job
    lease_until: int = 0  # and until when one does

    @property
    def key(self) -> table.Key:
        return table.video_key(self.team, self.id)

    @property
    def done(self) -> bool:
        return self.state in TERMINAL

    @property
    def status(self) -> str:
        """The public status: one of OpenAI's four."""
        if self.state in TERMINAL:
            return self.state
        if self.state in {"preparing", "submitting"} or (self.state == "running" and self.upstream_status == "queued"):
            return "queued"
        return "in_progress"


def new_id() -> str:
    """A record id that sorts by creation time (milliseconds) and cannot be guessed."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def put(job: Job) -> Put:
    """The new row, to be written together with what makes the call the only one."""
    return Put(job.key, asdict(job))


def find(team: str, record: str) -> Job | None:
    """The job, or None."""
    row = table.get(table.video_key(team, record))
    return _job(row) if row else None


def newest(team: str, *, limit: int, newest_first: bool, after: str | None) -> list[Job]:
    """A page of a team's jobs by creation time; `after` is a record."""
    start = table.video_key(team, "")
    rows = table.page(start, start.sk, limit=limit, newest_first=newest_first, after=after)
    return [_job(row) for row in rows]


def move(job: Job, state: State, **changes: Any) -> Job:
    """Take the job from the state it was read in to `state`, with `changes` to its other attributes.

    Raises table.RowChanged when somebody else moved it meanwhile; terminal states are never left.
    """
    return _job(table.change(_moved(job, {"state": state, **changes})))


def ordered(job: Job, upstream_id: str, **facts: Any) -> Job:
    """The provider has taken the order and calls it so: into `running`, together with whose the id is.

    Raises table.RowChanged like `move`.
    """
    changes: dict[str, Any] = {"state": "running", "upstream_id": upstream_id, **facts}
    origin = origins.made(Kind.VIDEO, job.deployment, upstream_id, job.team, job.id)
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
    table.write_together(_moved(job, changes), *ledger.give_back(job, spent))
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
        return _job(table.update(job.key, {"lease_until": now + seconds}, expect=expect))
    except table.RowChanged as error:
        raise Busy(job.id) from error


def begin(job: Job, delay: float, write: Callable[[], None]) -> None:
    """Have somebody look after the job, then write it: a job without a message would never end, a message without a job
    does no harm. One that may have come before a slow write is sent again."""
    begun = time.monotonic()
    send(job, 0, delay)
    write()
    if time.monotonic() - begun > delay / 2:
        send(job, 0, delay)


def send(job: Job, tick: int, delay: float) -> None:
    """Have `run_job` look at the job after `delay` seconds."""
    _send({"team": job.team, "video": job.id, "tick": tick}, delay)


def release(job: Job, delay: float) -> None:
    """Hand the job to the next message. Sent first: if we die in between, the old message comes back and sends
    again. A second at least: a message that overtakes the row has to wait much longer."""
    send(job, job.tick + 1, max(delay, 1))
    table.update(job.key, {"tick": job.tick + 1, "lease_until": 0}, expect={"tick": job.tick})


def mark_seen(job: Job) -> None:
    """The caller has used the id: a later identical create is a new video. Written once a job."""
    if not job.seen:
        with contextlib.suppress(table.RowChanged):  # deleted meanwhile
            table.update(job.key, {"seen": True}, expect={})


def delete(job: Job) -> None:
    """Delete the row; raises table.RowChanged when the job has left the state it was read in."""
    table.delete(job.key, expect={"state": job.state})
    if job.unconfirmed and job.upstream_id:
        for deployment in job.others:
            origins.free(Kind.VIDEO, deployment, job.upstream_id, job.id)


def delete_upstream(job: Job) -> None:
    """Have `run_job` delete the finished job at the provider, too; what none has known may be somebody's by now."""
    if job.upstream_id and not job.unconfirmed:
        _send({"delete": "video", "deployment": job.deployment, "model": job.model, "reference": job.upstream_id}, 0)


def delete_handle(deployment: str, reference: str) -> None:
    """Have `run_job` delete a native character at the provider."""
    _send({"delete": "character", "deployment": deployment, "reference": reference}, 0)


def _send(message: dict[str, Any], delay: float) -> None:
    seconds = min(max(math.ceil(delay), 0), MAX_DELAY)
    sqs().send_message(QueueUrl=settings().job_queue_url, MessageBody=json.dumps(message), DelaySeconds=seconds)


_FILES = ("image", "source_clip", "continuation", "output")


def _job(row: Row) -> Job:
    known: Iterable[str] = (one.name for one in fields(Job))
    values = {name: row[name] for name in known if name in row}
    for name in _FILES:
        if values.get(name):
            values[name] = File(**values[name])
    return Job(**values)

"""A job: the row of a video. transitions.py changes its state."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from understudy.store import table
from understudy.store.bucket import File
from understudy.store.entity import Entity
from understudy.store.table import Put, Row

State = Literal["preparing", "submitting", "unknown", "running", "archiving", "completed", "failed"]
TERMINAL: tuple[State, ...] = ("completed", "failed")
QUIET_SECONDS = 1800  # longer than the longest wait between two steps, and a step that is repeated
SUBMITTED_SECONDS = 300  # after `submit_by`: the next step moves the job on, at most two minutes later
ADOPT = "adopt"  # the operation of a job for a video that a provider has made without us (api/raw_ids.py)
_FILES = ("image", "source_clip", "continuation", "output")


class Named(NamedTuple):
    """What the id of a video says about its maker. It stays as it was when the id was first sent to the caller."""

    provider: str
    model_id: str
    original: str


@dataclass(frozen=True, slots=True)
class Job(Entity):
    """The row of a video. Times are in unix seconds. `upstream_id` is the provider's id, or None until it is known."""

    team: str
    id: str
    operation: str
    state: State
    model: str  # as the caller named it
    deployment: str
    provider: str
    prompt: str
    created_at: int
    pace: int = 5000  # polling interval for callers, in milliseconds
    seconds: int | None = None
    size: str | None = None
    characters: list[str] = field(default_factory=list)  # records
    image: File | None = None
    source: str | None = None  # record of the video that this one was made from
    source_clip: File | None = None  # or the clip
    remixed_from: str | None = None  # the source's public id
    emulated: str | None = None  # the operation, if Understudy emulates it (emulated_extension.py)
    continuation: File | None = None  # the provider's part of an emulated video
    spent: int | None = None  # the cost of `continuation` in micro-dollars
    others: list[str] = field(default_factory=list)  # deployments that may take over; if adopted: all to ask
    named: Named | None = None  # what the id in the first response says
    upstream_id: str | None = None
    unconfirmed: bool = False  # adopted, and no provider has confirmed the id yet
    upstream_status: str = "queued"
    progress: int = 0
    submit_by: int = 0  # if the order is still being submitted after this, its response was lost
    late_at: int = 0  # the job's deadline at the provider
    completed_at: int | None = None
    error: dict[str, str] | None = None
    output: File | None = None
    troubles: int = 0  # passing failures in a row
    lost: int = 0  # the latest failures in a row that said that something is missing
    lost_since: int = 0  # when the first of them came
    seen: bool = False  # the API key that made it has used the id
    maker: str = ""  # the API key that made it; "" in rows of earlier versions
    signed_with: int | None = None  # the MAC key of its id, so that the id survives a key rotation
    payer: str = ""  # the API key whose slots and budget it uses
    billed_seconds: int | None = None
    source_seconds: int = 0  # of the video that is edited or extended; some providers bill them, too
    clips: list[int] = field(default_factory=list)  # milliseconds of each character's clip; some bill them, too
    month: str | None = None  # the month whose budget holds `hold` micro-dollars
    hold: int = 0
    slot_until: int = 0  # the lease on one of the key's slots; 0: takes none
    run: int = 1  # which of its executions drives the job (store/executions.py)
    touched_at: int = 0  # when the row was last written by a step, or by the sweep that saw its execution run

    @staticmethod
    def key_of(team: str, record: str) -> table.Key:
        return table.video_key(team, record)

    @property
    def done(self) -> bool:
        return self.state in TERMINAL

    @property
    def answered(self) -> bool:
        """Whether the response with the id has arrived: the API key that made the job has used the id."""
        return self.seen

    @property
    def undecided(self) -> bool:
        """Whether the order is being sent by the call that made the job, and may still be refused."""
        return self.state == "submitting" and self.submit_by > time.time()

    @property
    def quiet(self) -> bool:
        """Whether the job has not ended, and its steps have given no sign for so long that perhaps none comes."""
        if self.state == "submitting":
            return self.submit_by < time.time() - SUBMITTED_SECONDS
        return not self.done and self.touched_at < time.time() - QUIET_SECONDS

    @property
    def status(self) -> str:
        """The public status: one of OpenAI's four."""
        if self.state in TERMINAL:
            return self.state
        if self.state in {"preparing", "submitting"} or (self.state == "running" and self.upstream_status == "queued"):
            return "queued"
        return "in_progress"

    def new_row(self) -> Put:
        """Return the write of the new row. It is in the index of unfinished jobs until the job ends."""
        return Put(self.key, {**asdict(self), **table.UNFINISHED, "touched_at": self.touched_at or self.created_at})

    @classmethod
    def values(cls, row: Row) -> dict[str, Any]:
        """Return the field values in a row, with `File` and `Named` objects."""
        values = super(Job, cls).values(row)
        for name in _FILES:
            if values.get(name):
                values[name] = File(**values[name])
        values["named"] = Named(*values["named"]) if values.get("named") else None
        return values

    def mark_seen(self, key_id: str) -> None:
        """Record, once for each job, that the API key that made it has used the id. So the response has arrived."""
        if not self.seen and self.maker in {"", key_id}:
            with contextlib.suppress(table.RowChanged):  # deleted meanwhile
                table.update(self.key, {"seen": True}, expect={})

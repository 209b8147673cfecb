"""A video as a job: its row. How it goes from state to state is in transitions.py."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field, fields
from typing import Literal, NamedTuple

from understudy.store import table
from understudy.store.bucket import File
from understudy.store.table import Put, Row

State = Literal["preparing", "submitting", "unknown", "running", "archiving", "completed", "failed"]
TERMINAL: tuple[State, ...] = ("completed", "failed")
ADOPT = "adopt"  # the operation of a job for a video that a provider has made without us (api/raw_ids.py)
_FILES = ("image", "source_clip", "continuation", "output")


class Named(NamedTuple):
    """What the id of a video says of its maker: as it was when the id was first given out."""

    provider: str
    model_id: str
    original: str


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
    emulated: str | None = None  # the operation, if the provider has none such (emulated_extension.py)
    continuation: File | None = None  # what the provider made for it
    spent: int | None = None  # micro-dollars that it took for that
    others: list[str] = field(default_factory=list)  # deployments that may take over; of an adopted one: all asked
    named: Named | None = None  # what the id says that the first answer had
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

    @staticmethod
    def find(team: str, record: str) -> Job | None:
        """The job, or None."""
        row = table.get(table.video_key(team, record))
        return Job.of(row) if row else None

    @staticmethod
    def page(team: str, *, limit: int, newest_first: bool, after: str | None) -> list[Job]:
        """A page of a team's jobs by creation time; `after` is a record."""
        start = table.video_key(team, "")
        rows = table.page(start, start.sk, limit=limit, newest_first=newest_first, after=after)
        return [Job.of(row) for row in rows]

    @staticmethod
    def of(row: Row) -> Job:
        """The job that a row holds."""
        values = {one.name: row[one.name] for one in fields(Job) if one.name in row}
        for name in _FILES:
            if values.get(name):
                values[name] = File(**values[name])
        values["named"] = Named(*values["named"]) if values.get("named") else None
        return Job(**values)

    def mark_seen(self) -> None:
        """The caller has used the id: a later identical create is a new video. Written once a job."""
        if not self.seen:
            with contextlib.suppress(table.RowChanged):  # deleted meanwhile
                table.update(self.key, {"seen": True}, expect={})

    def new_row(self) -> Put:
        """The new row, to be written together with what makes the call the only one."""
        return Put(self.key, asdict(self))

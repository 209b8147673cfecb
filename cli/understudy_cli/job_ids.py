"""Finds a job from what an operator has: a video's public id, the job's record, or the name of an execution.

The operator does not know the team, and so cannot prove that an id belongs to it. So ids are read here without a check
of their signature. Whoever may use this command may read every row in any case.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from understudy import ids
from understudy.deployments import upstream_ids
from understudy.ids import Kind
from understudy.jobs.job import Job
from understudy.store import scan, table
from understudy_cli.executions import Machine

RECORD = re.compile(r"([0-9a-f]{28})(?:-\d+)?")  # of a job; with the number of a run it is an execution's name
DELETION = "delete-"  # the names of executions that delete something at a provider begin like this
HEAD = 2 + ids.TAG_BYTES  # bytes of an id before its record


@dataclass(frozen=True, slots=True)
class Reference:
    """What the operator's text says: the job's record and, from a public id, who made the video under which id."""

    record: str
    deployment: str = ""
    original: str = ""


def parse(text: str) -> Reference:
    """Return what a video's id, a record or an execution's name says. Raises ValueError."""
    if found := RECORD.fullmatch(text):
        return Reference(found[1])
    if wrapped := ids.unwrap(text, Kind.VIDEO):
        text = wrapped.original_id
    if reference := _decoded(text):
        return reference
    what = "is not a video's id, a job's record or the name of an execution. `understudy jobs open` lists records."
    raise ValueError(f"{text!r} {what}")


def find(reference: Reference, machine: Machine) -> Job | None:
    """Return the job, or None if it has no row. Only a job without an execution and without an owner needs a scan."""
    if (execution := machine.find(reference.record)) and (team := execution.work.get("team")):
        return Job.find(team, reference.record)
    if reference.original:
        origin = upstream_ids.find(Kind.VIDEO, reference.deployment, reference.original)
        if origin and origin.record == reference.record:
            return Job.find(origin.team, reference.record)
    key = table.video_key("", reference.record)
    row = next(scan.rows(key.pk, key.sk), None)
    return Job.of(row) if row else None


def _decoded(text: str) -> Reference | None:
    prefix, _, rest = text.partition("_")
    try:
        payload = base64.b64decode(rest + "=" * (-len(rest) % 4), altchars=b"-_", validate=True)
        record, _, deployment, original = ids._unpack(payload[HEAD : -ids.MAC_BYTES])
    except (ValueError, IndexError):
        return None
    if prefix != Kind.VIDEO or payload[0] != ids.VERSION or not RECORD.fullmatch(record):
        return None
    return Reference(record, deployment, original)

"""Creates rows that the API cannot create: `python -m local.lambda_.seed_rows WHAT ARGUMENT...`. Prints JSON.

seed.py runs this module in a separate process, because it needs the built layer and a function's environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from understudy import resources
from understudy.files import sending, uploads
from understudy.ids import Kind, new_record
from understudy.jobs.job import ADOPT, QUIET_SECONDS, Job
from understudy.store import secrets, table

FOREVER = 10 * 365 * 86400  # seconds


def running(team: str, video_id: str) -> dict[str, Any]:
    """Create a copy of a finished video's job that is still marked as running."""
    return _planted(team, video_id)


def late(team: str, video_id: str) -> dict[str, Any]:
    """Create a job like `running` whose deadline has passed."""
    return _planted(team, video_id, late_at=int(time.time()) - 1)


def quiet(team: str, video_id: str, job_id: str = "") -> dict[str, Any]:
    """Create a job like `running` that has been quiet for so long that a sweep looks after it.

    `job_id` is the name of an execution that has ended. Without `job_id` the job never had an execution.
    """
    ago = int(time.time()) - 2 * QUIET_SECONDS
    return _planted(team, video_id, created_at=ago, touched_at=ago, **({"id": job_id} if job_id else {}))


def adopted(team: str, video_id: str, *upstream_id: str) -> dict[str, Any]:
    """Create a job as if a caller had given a provider's id, before the provider was asked.

    The id is that of a finished video, or `upstream_id`.
    """
    given = {"upstream_id": upstream_id[0]} if upstream_id else {}
    return _planted(team, video_id, operation=ADOPT, unconfirmed=True, prompt="", **given)


def _planted(team: str, video_id: str, **changes: Any) -> dict[str, Any]:
    """Create an unfinished copy of a finished video's job. No execution drives it, so it stays as it is.

    The row was touched in the future: the hourly sweep and a read of the video leave a job alone that is not quiet.
    """
    done = Job.find(team, secrets.id_codec().decode(video_id, Kind.VIDEO, team=team).record)
    assert done is not None
    now = int(time.time())
    job = replace(
        done,
        id=new_record(),
        state="running",
        upstream_status="in_progress",
        progress=10,
        created_at=now,
        late_at=now + 3600,
        completed_at=None,
        output=None,
        run=1,
        touched_at=now + FOREVER,
        others=[done.deployment],
    )
    job = replace(job, **changes)
    table.write_together(job.new_row())
    return {"id": resources.video_id(job), "team": team, "video": job.id}


def upload_in_parts(team: str, byte_count: str) -> dict[str, Any]:
    """Create an upload in parts with so few bytes that the API would not use parts."""
    uploads.POST_BYTES = 0
    upload = uploads.new(team, "video", "luna.mp4", "video/mp4", int(byte_count))
    return {"id": resources.upload_id(upload), **sending.form(upload)}


def upload_row(team: str, byte_count: str) -> dict[str, Any]:
    """Create an upload of a character that has failed, until `row` puts its row back as it was."""
    upload = uploads.new(team, "character", "luna.mp4", "video/mp4", int(byte_count), name="Luna")
    row = table.get(upload.row)
    table.update(upload.row, {"state": "failed"}, expect={})
    return {"id": resources.upload_id(upload), "key": upload.key, "row": row}


def record(team: str, kind: str, managed_id: str) -> list[str]:
    """Return the kind and the record that an id names."""
    return [kind, secrets.id_codec().decode(managed_id, Kind(kind), team=team).record]


def row(text: str) -> None:
    """Put a row back."""
    values = json.loads(text)
    table.put(table.Key(values[table.PARTITION], values[table.SORT]), values, replace=True)


if __name__ == "__main__":
    plants: dict[str, Callable[..., Any]] = {
        "running": running,
        "late": late,
        "quiet": quiet,
        "adopted": adopted,
        "upload_in_parts": upload_in_parts,
        "upload_row": upload_row,
        "record": record,
        "row": row,
    }
    print(json.dumps(plants[sys.argv[1]](*sys.argv[2:])))

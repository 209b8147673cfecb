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
from understudy.files import uploads
from understudy.ids import Kind, new_record
from understudy.jobs.job import ADOPT, Job
from understudy.store import secrets, table


def running(team: str, video_id: str) -> dict[str, Any]:
    """Create a copy of a finished video's job that is still marked as running."""
    return _planted(team, video_id)


def adopted(team: str, video_id: str, *upstream_id: str) -> dict[str, Any]:
    """Create a job as if a caller had given a provider's id, before the provider was asked.

    The id is that of a finished video, or `upstream_id`.
    """
    given = {"upstream_id": upstream_id[0]} if upstream_id else {}
    return _planted(team, video_id, operation=ADOPT, unconfirmed=True, prompt="", **given)


def _planted(team: str, video_id: str, **changes: Any) -> dict[str, Any]:
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
        tick=0,
        lease_until=0,
        others=[done.deployment],
    )
    job = replace(job, **changes)
    table.write_together(job.new_row())
    return {"id": resources.video_id(job), "message": {"team": team, "video": job.id, "tick": 0}}


def upload_in_parts(team: str, byte_count: str) -> dict[str, Any]:
    """Create an upload in parts with so few bytes that the API would not use parts."""
    uploads.POST_BYTES = 0
    upload = uploads.new(team, "video", "luna.mp4", "video/mp4", int(byte_count))
    return {"id": resources.upload_id(upload), **uploads.form(upload)}


def upload_row(team: str, byte_count: str) -> dict[str, Any]:
    """Create an upload of a character and delete its row, which `row` puts back later."""
    upload = uploads.new(team, "character", "luna.mp4", "video/mp4", int(byte_count), name="Luna")
    row = table.get(upload.row)
    table.delete(upload.row)
    return {"id": resources.upload_id(upload), "key": upload.key, "row": row}


def record(team: str, kind: str, managed_id: str) -> list[str]:
    """Return the kind and the record that an id names."""
    return [kind, secrets.id_codec().decode(managed_id, Kind(kind), team=team).record]


def row(text: str) -> None:
    """Put a row back."""
    values = json.loads(text)
    table.put(table.Key(values[table.PARTITION], values[table.SORT]), values)


if __name__ == "__main__":
    plants: dict[str, Callable[..., Any]] = {
        "running": running,
        "adopted": adopted,
        "upload_in_parts": upload_in_parts,
        "upload_row": upload_row,
        "record": record,
        "row": row,
    }
    print(json.dumps(plants[sys.argv[1]](*sys.argv[2:])))

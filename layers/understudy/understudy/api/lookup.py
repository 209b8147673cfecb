"""What the caller owns, by its public id.

Table only: functions that read or delete load no HTTP client and no body parser through here, and of the three kinds
of things only theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.errors import NotFound, NotReady
from understudy.ids import Kind, not_found
from understudy.jobs.job import ADOPT, Job

if TYPE_CHECKING:
    from understudy.api.endpoint import Call
    from understudy.characters.character import Character
    from understudy.files.uploads import Upload


def character(call: Call, public_id: str) -> Character:
    """A character of the caller's. Raises NotFound, and what `raw_ids.record` raises."""
    from understudy.characters.character import Character

    found = Character.find(call.caller.team, _record(call, public_id, Kind.CHARACTER))
    if found is None:
        raise not_found(Kind.CHARACTER)
    return found


def video(call: Call, public_id: str) -> Job:
    """A video of the caller's, who has now used its id. Raises NotFound, and what `raw_ids.record` raises."""
    found = Job.find(call.caller.team, _record(call, public_id, Kind.VIDEO))
    if found is None:
        raise not_found(Kind.VIDEO)
    found.mark_seen()
    return found


def finished(call: Call, public_id: str) -> Job:
    """A finished video of the caller's. Raises NotFound and NotReady."""
    return _finished(video(call, public_id))


def source(call: Call, public_id: str) -> Job:
    """A video of the caller's to make another one from: finished, or one whose length is known before it is.

    Raises NotFound and NotReady.
    """
    job = video(call, public_id)
    return _finished(job) if job.done or job.operation in {"extend", ADOPT} else job


def _finished(job: Job) -> Job:
    if job.state == "failed":
        raise NotReady("This video failed, so there is nothing to work with.", param="video", code="video_failed")
    if job.state != "completed":
        raise NotReady(f"This video is still {job.status}. Try again when it is completed.", param="video")
    return job


def upload(call: Call, public_id: str) -> Upload:
    """An upload of the caller's. Raises NotFound."""
    from understudy.files import uploads

    found = uploads.find(call.caller.team, call.decode(public_id, Kind.UPLOAD).record)
    if found is None:
        raise not_found(Kind.UPLOAD)
    return found


def _record(call: Call, public_id: str, kind: Kind) -> str:
    try:
        return call.decode(public_id, kind).record
    except NotFound:
        if not call.caller.raw_ids:
            raise
        from understudy.api import raw_ids  # few callers bring ids that are not ours

        return raw_ids.record(call, public_id, kind)

"""Finds the caller's videos, characters and uploads by their public ids.

This module needs only the table. Functions that read or delete load no HTTP client and no body parser through this
module, and the modules for characters and uploads only if they use them.
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
    """Return the caller's character with this id. Raises NotFound, and what `raw_ids.record` raises."""
    from understudy.characters.character import Character

    found = Character.find(call.caller.team, _record(call, public_id, Kind.CHARACTER))
    if found is None:
        raise not_found(Kind.CHARACTER)
    return found


def video(call: Call, public_id: str) -> Job:
    """Return the caller's video with this id, and record that the caller has used the id.

    Raises NotFound, and what `raw_ids.record` raises.
    """
    found = Job.find(call.caller.team, _record(call, public_id, Kind.VIDEO))
    if found is None:
        raise not_found(Kind.VIDEO)
    found.mark_seen(call.caller.key_id)
    return found


def finished(call: Call, public_id: str, param: str) -> Job:
    """Return the caller's finished video with this id. Raises NotReady, naming `param`, and what `video` raises."""
    return _finished(video(call, public_id), param)


def source(call: Call, public_id: str, param: str) -> Job:
    """Return the caller's video with this id, to make another video from.

    A video whose length is known already need not be finished. An extension or an adopted video must be. Raises
    NotReady for a video that has failed or must be finished first, and what `video` raises.
    """
    job = video(call, public_id)
    return _finished(job, param) if job.done or job.operation in {"extend", ADOPT} else job


def _finished(job: Job, param: str) -> Job:
    if job.state == "failed":
        raise NotReady("This video failed and has no file. Use another video.", param=param, code="video_failed")
    if job.state != "completed":
        raise NotReady(f"This video is still {job.status}. Try again when it is completed.", param=param)
    return job


def upload(call: Call, public_id: str) -> Upload:
    """Return the caller's upload with this id. Raises NotFound."""
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

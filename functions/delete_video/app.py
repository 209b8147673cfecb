"""DELETE /videos/{video_id}"""

from __future__ import annotations

import contextlib

from understudy import resources
from understudy.api import lookup as owned
from understudy.api import responses as present
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.errors import NotReady
from understudy.ids import Kind
from understudy.jobs import transitions as jobs
from understudy.store import bucket as storage
from understudy.store import table


@Endpoint("DELETE", "/videos/{video_id}", counts="touch", summary="Delete video", answer=present.Deleted)
def handler(call: Call) -> Answer:
    """Delete a completed or failed video, here and at its provider."""
    job = owned.video(call, call.text("video_id"))
    if not job.done:
        message = f"This video is still {job.status}. Only completed and failed videos can be deleted."
        raise NotReady(message, param="video_id")
    public_id = resources.video_id(job)
    # The row goes last: a delete that breaks off can be repeated, and nothing stays that nobody finds.
    storage.delete_all(storage.video_prefix(job.team, job.id))
    jobs.delete_upstream(job)
    with contextlib.suppress(table.RowChanged):  # deleted twice at once
        jobs.delete(job)
    return Answer(present.deleted(Kind.VIDEO, public_id))

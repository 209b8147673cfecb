"""DELETE /videos/{video_id}"""

from __future__ import annotations

import contextlib

from understudy import jobs, owned, present, resources, storage, table
from understudy.endpoint import Answer, Call, Endpoint
from understudy.errors import NotReady
from understudy.ids import Kind


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

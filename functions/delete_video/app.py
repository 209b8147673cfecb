"""DELETE /videos/{video_id}"""

from __future__ import annotations

from understudy import jobs, present, storage, table
from understudy.endpoint import Answer, Call, Endpoint
from understudy.errors import NotReady
from understudy.ids import Kind, not_found


@Endpoint("DELETE", "/videos/{video_id}", counts="touch", summary="Delete video", answer=present.Deleted)
def handler(call: Call) -> Answer:
    """Delete a completed or failed video, here and at its provider."""
    managed = call.id("video_id", Kind.VIDEO)
    job = jobs.find(call.caller.team, managed.record)
    if job is None:
        raise not_found(Kind.VIDEO)
    try:
        if not job.done:
            raise table.RowChanged
        jobs.delete(job)
    except table.RowChanged:
        message = f"This video is still {job.status}. Only completed and failed videos can be deleted."
        raise NotReady(message, param="video_id") from None
    storage.delete_all(storage.video_prefix(job.team, job.id))
    jobs.delete_upstream(job)
    return Answer(present.deleted(Kind.VIDEO, call.text("video_id")))

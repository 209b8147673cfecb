"""DELETE /videos/{video_id}: deletes a video."""

from __future__ import annotations

import contextlib

from understudy import resources
from understudy.api import lookup, responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.errors import NotReady
from understudy.ids import Kind
from understudy.jobs import transitions
from understudy.store import bucket, table


@Endpoint("DELETE", "/videos/{video_id}", counts="touch", summary="Delete video", answer=responses.Deleted)
def handler(call: Call) -> Response:
    """Delete a completed or failed video here, and at its provider if the provider can."""
    job = lookup.video(call, call.text("video_id"))
    if not job.done:
        message = f"This video is still {job.status}. Only completed and failed videos can be deleted."
        raise NotReady(message, param="video_id")
    public_id = resources.video_id(job)
    # The row is deleted last, so that an interrupted delete can be repeated and leaves no file without a row.
    bucket.delete_all(bucket.video_prefix(job.team, job.id))
    transitions.delete_upstream(job)
    with contextlib.suppress(table.RowChanged):  # deleted twice at once
        transitions.delete(job)
    return Response(responses.deleted(Kind.VIDEO, public_id))

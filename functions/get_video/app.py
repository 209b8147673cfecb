"""GET /videos/{video_id}: returns a video."""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup, responses
from understudy.api.endpoint import Call, Endpoint, Response


@Endpoint("GET", "/videos/{video_id}", summary="Get video", answer=resources.Video)
def handler(call: Call) -> Response:
    """Return one of the caller's videos. The provider is not asked: `run_job` asks it at the provider's pace."""
    job = lookup.video(call, call.text("video_id"))
    if job.quiet:
        from understudy.jobs import transitions  # seldom needed

        transitions.wake(job)
    return Response(resources.video(job), headers=responses.pace(job) | responses.emulated(job))

"""GET /videos/{video_id}"""

from __future__ import annotations

from understudy import jobs, present
from understudy.endpoint import Answer, Call, Endpoint
from understudy.ids import Kind, not_found


@Endpoint("GET", "/videos/{video_id}", summary="Get video", answer=present.Video)
def handler(call: Call) -> Answer:
    """Read a video of the caller's. The provider is not asked: `run_job` does that at the provider's pace."""
    managed = call.id("video_id", Kind.VIDEO)
    job = jobs.find(call.caller.team, managed.record)
    if job is None:
        raise not_found(Kind.VIDEO)
    jobs.mark_seen(job)
    return Answer(present.video(job), headers=present.pace(job))

"""GET /videos/{video_id}"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup as owned
from understudy.api import responses as present
from understudy.api.endpoint import Answer, Call, Endpoint


@Endpoint("GET", "/videos/{video_id}", summary="Get video", answer=resources.Video)
def handler(call: Call) -> Answer:
    """Read a video of the caller's. The provider is not asked: `run_job` does that at the provider's pace."""
    job = owned.video(call, call.text("video_id"))
    return Answer(resources.video(job), headers=present.pace(job) | present.emulated(job))

"""POST /videos"""

from __future__ import annotations

from understudy import present, resources, videos
from understudy.endpoint import Answer, Call, Endpoint
from understudy.schema import CreateVideo


@Endpoint("POST", "/videos", counts="make", summary="Create video", body=CreateVideo, answer=resources.Video)
def handler(call: Call) -> Answer:
    """Generate a video from a prompt, with characters and a first frame if given."""
    return present.created(*videos.create(call, call.body(CreateVideo)))

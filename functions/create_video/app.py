"""POST /videos"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses as present
from understudy.api import videos
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.api.requests import CreateVideo


@Endpoint("POST", "/videos", counts="make", summary="Create video", body=CreateVideo, answer=resources.Video)
def handler(call: Call) -> Answer:
    """Generate a video from a prompt, with characters and a first frame if given."""
    return present.created(*videos.create(call, call.body(CreateVideo)))

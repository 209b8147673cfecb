"""POST /videos/{video_id}/remix"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses as present
from understudy.api import videos
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.api.requests import RemixVideo


@Endpoint(
    "POST", "/videos/{video_id}/remix", counts="make", summary="Remix video", body=RemixVideo, answer=resources.Video
)
def handler(call: Call) -> Answer:
    """Make a new version of a video, once it is finished, where it was made."""
    return present.created(*videos.remix(call, call.text("video_id"), call.body(RemixVideo).prompt))

"""POST /videos/{video_id}/remix"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import RemixVideo


@Endpoint(
    "POST", "/videos/{video_id}/remix", counts="make", summary="Remix video", body=RemixVideo, answer=resources.Video
)
def handler(call: Call) -> Response:
    """Make a new version of a video, once it is finished, where it was made."""
    return responses.created(*videos.remix(call, call.text("video_id"), call.body(RemixVideo).prompt))

"""POST /videos/{video_id}/remix: remixes a video."""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import RemixVideo


@Endpoint(
    "POST",
    "/videos/{video_id}/remix",
    counts="make",
    operation="remix",
    summary="Remix video",
    body=RemixVideo,
    answer=resources.Video,
)
def handler(call: Call) -> Response:
    """Make a new version of a video at the deployment that made it. The remix starts when the video is finished."""
    return responses.created(*videos.remix(call, call.text("video_id"), call.body(RemixVideo).prompt))

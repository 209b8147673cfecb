"""POST /videos: creates a video."""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import CreateVideo


@Endpoint(
    "POST",
    "/videos",
    counts="make",
    operation="create",
    summary="Create video",
    body=CreateVideo,
    answer=resources.Video,
)
def handler(call: Call) -> Response:
    """Create a video from a prompt, with characters and a first frame if they are given."""
    return responses.created(*videos.create(call, call.body(CreateVideo)))

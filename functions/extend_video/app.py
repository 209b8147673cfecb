"""POST /videos/extensions: extends a video."""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import ExtendVideo


@Endpoint(
    "POST",
    "/videos/extensions",
    counts="make",
    operation="extend",
    summary="Extend video",
    body=ExtendVideo,
    answer=resources.Video,
)
def handler(call: Call) -> Response:
    """Extend a video or an uploaded clip by some seconds. The result is the whole video.

    The extension of an unfinished video starts when the video is finished. An unfinished extension is refused.
    """
    return responses.created(*videos.remake(call, "extend", call.body(ExtendVideo)))

"""POST /videos/extensions"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import ExtendVideo


@Endpoint("POST", "/videos/extensions", counts="make", summary="Extend video", body=ExtendVideo, answer=resources.Video)
def handler(call: Call) -> Response:
    """Continue a video of the caller's, once it is finished, or an uploaded clip, by some seconds; the result is the
    whole."""
    return responses.created(*videos.remake(call, "extend", call.body(ExtendVideo)))

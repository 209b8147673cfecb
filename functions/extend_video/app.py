"""POST /videos/extensions"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses as present
from understudy.api import videos
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.api.requests import ExtendVideo


@Endpoint("POST", "/videos/extensions", counts="make", summary="Extend video", body=ExtendVideo, answer=resources.Video)
def handler(call: Call) -> Answer:
    """Continue a video of the caller's, once it is finished, or an uploaded clip, by some seconds; the result is the
    whole."""
    return present.created(*videos.remake(call, "extend", call.body(ExtendVideo)))

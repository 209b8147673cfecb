"""POST /videos/extensions"""

from __future__ import annotations

from understudy import present, resources, videos
from understudy.endpoint import Answer, Call, Endpoint
from understudy.schema import ExtendVideo


@Endpoint("POST", "/videos/extensions", counts="make", summary="Extend video", body=ExtendVideo, answer=resources.Video)
def handler(call: Call) -> Answer:
    """Continue a video of the caller's, once it is finished, or an uploaded clip, by some seconds; the result is the
    whole."""
    return present.created(*videos.remake(call, "extend", call.body(ExtendVideo)))

"""POST /videos/edits"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import EditVideo


@Endpoint("POST", "/videos/edits", counts="make", summary="Edit video", body=EditVideo, answer=resources.Video)
def handler(call: Call) -> Response:
    """Change a video of the caller's, once it is finished, or an uploaded clip, as the prompt says."""
    return responses.created(*videos.remake(call, "edit", call.body(EditVideo)))

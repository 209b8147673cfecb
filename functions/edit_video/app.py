"""POST /videos/edits"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses as present
from understudy.api import videos
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.api.requests import EditVideo


@Endpoint("POST", "/videos/edits", counts="make", summary="Edit video", body=EditVideo, answer=resources.Video)
def handler(call: Call) -> Answer:
    """Change a video of the caller's, once it is finished, or an uploaded clip, as the prompt says."""
    return present.created(*videos.remake(call, "edit", call.body(EditVideo)))

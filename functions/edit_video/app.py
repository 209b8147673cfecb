"""POST /videos/edits: edits a video."""

from __future__ import annotations

from understudy import resources
from understudy.api import responses, videos
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import EditVideo


@Endpoint(
    "POST",
    "/videos/edits",
    counts="make",
    operation="edit",
    summary="Edit video",
    body=EditVideo,
    answer=resources.Video,
)
def handler(call: Call) -> Response:
    """Edit a video or an uploaded clip as the prompt says.

    The edit of an unfinished video starts when the video is finished. An unfinished extension is refused.
    """
    return responses.created(*videos.remake(call, "edit", call.body(EditVideo)))

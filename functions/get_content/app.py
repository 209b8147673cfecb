"""GET /videos/{video_id}/content: downloads a video or a preview picture."""

from __future__ import annotations

from understudy.api import lookup, responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.errors import InvalidRequest, NotFound
from understudy.store import bucket

FILES = {"video": "video.mp4", "thumbnail": "thumbnail.webp", "spritesheet": "spritesheet.jpg"}


@Endpoint(
    "GET", "/videos/{video_id}/content", counts="touch", summary="Download video", redirects=True, variants=tuple(FILES)
)
def handler(call: Call) -> Response:
    """Redirect to a presigned URL of the file. The URL works for an hour, needs no API key and supports Range."""
    variant = call.query.get("variant", "video")
    if variant not in FILES:
        raise InvalidRequest(f"variant: must be one of {', '.join(FILES)}.", param="variant")
    job = lookup.finished(call, call.text("video_id"), "video_id")
    key = bucket.video_prefix(job.team, job.id) + FILES[variant]
    if variant != "video" and not bucket.exists(key):
        message = f"This video has no {variant}. Leave variant out to download the video."
        raise NotFound(message, param="variant", code="variant_not_found")
    return Response(status=302, headers={"location": bucket.presign(key)} | responses.emulated(job))

"""GET /videos/{video_id}/content"""

from __future__ import annotations

from understudy import jobs, storage, videos
from understudy.endpoint import Answer, Call, Endpoint
from understudy.errors import InvalidRequest

FILES = {"video": "video.mp4", "thumbnail": "thumbnail.webp", "spritesheet": "spritesheet.jpg"}


@Endpoint(
    "GET", "/videos/{video_id}/content", counts="touch", summary="Download video", redirects=True, variants=tuple(FILES)
)
def handler(call: Call) -> Answer:
    """Redirect to a GET of the file that works for an hour, without any credential, and understands Range."""
    variant = call.query.get("variant", "video")
    if variant not in FILES:
        raise InvalidRequest(f"variant: must be one of {', '.join(FILES)}.", param="variant")
    job = videos.finished(call, call.text("video_id"))
    jobs.mark_seen(job)
    return Answer(
        status=302, headers={"location": storage.presign(storage.video_prefix(job.team, job.id) + FILES[variant])}
    )

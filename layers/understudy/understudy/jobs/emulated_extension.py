"""An extension by a model that cannot extend: a new video begins with the source's last frame, and the two are joined.

    preparing    the source is copied, and its last frame becomes the first frame of an ordinary order
    archiving    the provider's video, the continuation, is copied into the bucket, then the two are joined

Each step is recorded in the job's row and can be repeated. Only the order between the steps costs money, and it is sent
once.
"""

from __future__ import annotations

from typing import Any

from understudy.files import clips
from understudy.files.media import gone
from understudy.jobs import orders, transitions
from understudy.jobs.job import Job
from understudy.store import bucket
from understudy.store.bucket import File


def begin(job: Job, size: str, deadline: float) -> Job:
    """Return the job with its first frame, in the size of the order. The frame is made once for each deployment.

    The source is copied, because it may be deleted while the provider works and would then be missing at the end.
    Raises Refused if the source is gone, InvalidRequest if it cannot be opened, ApiError if it cannot be opened right
    now.
    """
    if job.image is not None:
        return job
    source = job.source_clip or orders.source_of(job).output
    if source is None or not bucket.exists(source.key):
        raise gone()
    kept = bucket.input_key(job.team, job.id, f"source.{bucket.EXTENSIONS[source.mime_type]}")
    if job.source_clip is None or not source.key.startswith(bucket.input_key(job.team, job.id, "")):
        bucket.copy(source.key, kept)
        source = File(kept, source.mime_type, source.byte_count)
    still = bucket.input_key(job.team, job.id, "last-frame.jpg")
    byte_count = clips.last_frame(source.key, still, size, deadline)
    return transitions.move(job, "preparing", source_clip=source, image=File(still, "image/jpeg", byte_count))


def key(job: Job) -> str:
    """Return the bucket key of the continuation."""
    return bucket.input_key(job.team, job.id, "continuation.mp4")


def join(job: Job, output_key: str, deadline: float) -> tuple[File, dict[str, Any]]:
    """Join the source and the continuation. Return the file and its facts, such as `duration` in seconds.

    Raises InvalidRequest if they cannot be joined, ApiError if they cannot be joined right now.
    """
    if job.source_clip is None or job.continuation is None:
        raise ValueError(f"{job.id} has no parts to be joined")
    facts = clips.concatenate([job.source_clip.key, job.continuation.key], output_key, deadline)
    return File(output_key, "video/mp4", int(facts["bytes"])), facts

"""An extension by a model that has none: a new video that begins with the source's last picture, joined to it here.

    preparing    the source is kept as it is now, and its last picture becomes the first frame of an ordinary order
    archiving    what the provider made of that comes home, then both become the video that was asked for

Each step is noted in the job's row and can be done again; only the order between them costs, and that is sent once.
"""

from __future__ import annotations

from typing import Any

from understudy.files import clips
from understudy.jobs import orders, transitions
from understudy.jobs.job import Job
from understudy.store import bucket
from understudy.store.bucket import File


def begin(job: Job, size: str) -> Job:
    """The job with its first frame, in the size that is going to be ordered; done once a deployment.

    The source is copied: it may be deleted while the provider works, and would then be missing at the end.
    Raises Refused when it is gone, InvalidRequest when it cannot be opened, ApiError when it cannot be just now.
    """
    if job.image is not None:
        return job
    source = job.source_clip or orders.source_of(job).output
    assert source is not None
    kept = bucket.input_key(job.team, job.id, f"source.{bucket.EXTENSIONS[source.mime_type]}")
    if job.source_clip is None or not source.key.startswith(bucket.input_key(job.team, job.id, "")):
        bucket.copy(source.key, kept)
        source = File(kept, source.mime_type, source.byte_count)
    still = bucket.input_key(job.team, job.id, "last-frame.jpg")
    byte_count = clips.last_frame(source.key, still, size)
    return transitions.move(job, "preparing", source_clip=source, image=File(still, "image/jpeg", byte_count))


def key(job: Job) -> str:
    """Where the provider's part is kept."""
    return bucket.input_key(job.team, job.id, "continuation.mp4")


def join(job: Job, output_key: str) -> tuple[File, dict[str, Any]]:
    """Source and continuation as one video; returns it and its facts, such as `duration` in seconds.

    Raises InvalidRequest when they cannot be joined, ApiError when they cannot be just now.
    """
    if job.source_clip is None or job.continuation is None:
        raise ValueError(f"{job.id} has no parts to be joined")
    facts = clips.concatenate([job.source_clip.key, job.continuation.key], output_key)
    return File(output_key, "video/mp4", int(facts["bytes"])), facts

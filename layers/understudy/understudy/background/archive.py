"""The last steps of a job: the finished video comes from its provider into our bucket, with the pictures for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from understudy.background import retries
from understudy.deployments import routing
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment
from understudy.errors import ApiError, InvalidRequest, ProviderError, Reason, Refused
from understudy.files import clips, sniff
from understudy.jobs import emulated_extension, orders, transitions
from understudy.jobs.job import Job
from understudy.providers import load
from understudy.providers.base import Account, Progress
from understudy.store import bucket
from understudy.store.bucket import File
from understudy.telemetry import logger

MAX_OUTPUT = 5 * 1024**3
JOIN_SECONDS = 2 * 3600  # beyond the provider's deadline, joining is tried so long
UNSEEN = {"too_long", "too_large", "timed_out"}  # refusals to open a video that say nothing against it


def key(job: Job) -> str:
    """Where the video is kept."""
    return f"{bucket.video_prefix(job.team, job.id)}video.mp4"


def take_home(job: Job, deployment: Deployment, progress: Progress, deadline: float) -> float | None:
    """Copy what the provider has finished into the bucket; the job completes, unless that was only a part of it.

    Returns seconds until the next step, or None when the job has ended.
    """
    try:
        file = _fetched(deployment, progress, emulated_extension.key(job) if job.emulated else key(job), deadline)
    except ProviderError as error:
        return _trouble(job, error, progress)
    profile, spent = routing.profile_of(deployment, job.model), progress.micro_dollars
    if job.emulated:
        first_time = {} if job.spent is not None else {"troubles": 0}
        spent = orders.price(job, profile) if spent is None else spent
        transitions.move(job, "archiving", continuation=file, spent=spent, **first_time)
        return 0
    try:
        facts = _previews(job)
    except ApiError as error:
        return retries.passing(job, error)
    size, seconds = _size(job, facts), round(facts.get("duration", 0)) or job.seconds
    if spent is None:
        spent = orders.price(job, profile, size, seconds)
    transitions.complete(job, file, spent, size=size, seconds=seconds)
    return None


def join(job: Job) -> float | None:
    """What the provider made is here: it is joined to its source, and the provider is not needed any more."""
    try:
        file, whole = emulated_extension.join(job, key(job))
        facts = whole | _previews(job)
    except InvalidRequest as error:
        if error.code in UNSEEN or job.troubles >= retries.MOST:
            message = f"The continuation was made and could not be joined to its source: {error.message}"
            transitions.fail(job, error.code or "media_failed", message, spent=retries.owed(job))
            return None
        job = transitions.move(job, "archiving", continuation=None)  # half a file looks like this: it is fetched again
        return retries.again(job, "archiving")
    except ApiError as error:  # ours: what was paid for waits longer for us than we wait for others
        patient = time.time() < job.late_at + JOIN_SECONDS
        return retries.again(job, "archiving") if patient else retries.passing(job, error)
    transitions.complete(job, file, retries.owed(job), size=_size(job, facts), seconds=round(facts["duration"]))
    return None


def _fetched(deployment: Deployment, progress: Progress, key: str, deadline: float) -> File:
    """What the provider made, under `key`. Raises Refused and OutcomeUnknown."""
    provider = load(deployment.provider)

    def copy(account: Account) -> int:
        with provider.open_content(account, progress) as content:
            return bucket.save(key, _video_only(content.chunks), "video/mp4")

    return File(key, "video/mp4", call_provider(deployment, deadline, copy))


def _trouble(job: Job, error: ProviderError, progress: Progress) -> float | None:
    """The video is made and paid for: it is fetched until the job's deadline, or for a while if the file is gone."""
    logger.warning("fetching failed", extra={"video": job.id, "error": str(error)})
    gone, late = retries.lost(job, error) > retries.MOST, job.troubles >= retries.MOST and retries.late(job)
    if gone or late:
        message = "The provider made the video, and its file could not be fetched."
        spent = retries.owed(job) if progress.micro_dollars is None else progress.micro_dollars
        transitions.fail(job, "output_unavailable", message, spent=spent)
        return None
    return retries.again(job, "archiving", error)


def _previews(job: Job) -> dict[str, Any]:
    """Make the pictures; returns facts of the video, and none if the pictures are given up.

    Raises ApiError when it may work later. Half a file looks like that, too, so then the file is to be fetched again;
    but bytes that are home are not given up for a thumbnail.
    """
    try:
        return clips.previews(key(job), bucket.video_prefix(job.team, job.id))
    except ApiError as error:
        if error.code not in UNSEEN and job.troubles < retries.MOST:
            raise
        logger.warning("no previews", extra={"video": job.id, "code": error.code})
        return {}


def _size(job: Job, facts: dict[str, Any]) -> str | None:
    return f"{facts['width']}x{facts['height']}" if facts.get("width") and facts.get("height") else job.size


def _video_only(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, if they are a video and end. An HTML page called video/mp4 is not stored as one."""
    count, head = 0, b""
    for chunk in chunks:
        if len(head) < 64:
            head += chunk[:4096]
            if len(head) >= 64 and sniff.video(head) is None:
                raise Refused(Reason.UNAVAILABLE, "The provider's file is not a video.")
        count += len(chunk)
        if count > MAX_OUTPUT:
            raise Refused(Reason.UNAVAILABLE, "The provider's file is too large.")
        yield chunk
    if sniff.video(head) is None:
        raise Refused(Reason.UNAVAILABLE, "The provider's file is not a video.")

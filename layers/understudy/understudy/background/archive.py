"""The last steps of a job: copy the finished video into the bucket, and make the preview pictures."""

from __future__ import annotations

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
UNSEEN = {"too_long", "too_large", "timed_out"}  # refusals because of our limits; the video itself may be fine


def key(job: Job) -> str:
    """Return the bucket key of the job's video."""
    return f"{bucket.video_prefix(job.team, job.id)}video.mp4"


def take_home(job: Job, deployment: Deployment, progress: Progress, deadline: float) -> float | None:
    """Copy the provider's finished file into the bucket, and complete the job.

    The file of an emulated extension is only a part of the video. Then the job does not complete yet. Returns the
    seconds until the next step, or None when the job has ended.
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
        facts = _previews(job, deadline)
    except ApiError as error:
        return retries.passing(job, error)
    size, seconds = _size(job, facts), round(facts.get("duration", 0)) or job.seconds
    if spent is None:
        spent = orders.price(job, profile, size, seconds)
    transitions.complete(job, file, spent, size=size, seconds=seconds)
    return None


def join(job: Job, deadline: float) -> float | None:
    """Join the provider's part of the video to its source, and complete the job. The provider is not needed any more.

    Returns the seconds until the next step, or None when the job has ended.
    """
    try:
        file, whole = emulated_extension.join(job, key(job), deadline)
        facts = whole | _previews(job, deadline)
    except InvalidRequest as error:
        if error.code in UNSEEN or job.troubles >= retries.MOST:
            message = f"The extension was created, but could not be joined to its source: {error.message}"
            transitions.fail(job, error.code or "media_failed", message, spent=retries.owed(job))
            return None
        job = transitions.move(job, "archiving", continuation=None)  # an incomplete file, perhaps: fetch it again
        return retries.again(job, "archiving")
    except ApiError as error:  # our failure: a paid video is retried longer than after a provider's failure
        return retries.passing(job, error) if retries.late(job) else retries.again(job, "archiving")
    transitions.complete(job, file, retries.owed(job), size=_size(job, facts), seconds=round(facts["duration"]))
    return None


def _fetched(deployment: Deployment, progress: Progress, key: str, deadline: float) -> File:
    """Copy the provider's file to `key`, and return it. Raises Refused and OutcomeUnknown."""
    provider = load(deployment.provider)

    def copy(account: Account) -> int:
        with provider.open_content(account, progress) as content:
            return bucket.save(key, _video_only(content.chunks), "video/mp4")

    return File(key, "video/mp4", call_provider(deployment, deadline, copy))


def _trouble(job: Job, error: ProviderError, progress: Progress) -> float | None:
    """Record a failed fetch of a video that is made and paid for. Return the seconds until the retry, or None.

    The fetch is retried until the job's deadline, or for a while if the file is gone. After that, the job fails.
    """
    logger.warning("fetching failed", extra={"video": job.id, "error": str(error)})
    if retries.is_lost(job, error) or (job.troubles >= retries.MOST and retries.late(job)):
        message = "The provider finished the video, but its file could not be fetched."
        spent = retries.owed(job) if progress.micro_dollars is None else progress.micro_dollars
        transitions.fail(job, "output_unavailable", message, spent=spent)
        return None
    return retries.again(job, "archiving", error)


def _previews(job: Job, deadline: float) -> dict[str, Any]:
    """Make the pictures. Return facts of the video, or {} if the pictures are given up.

    Raises ApiError if a retry may succeed. An incomplete file causes the same error, so the retry fetches the file
    again. After the last retry the job keeps its video without pictures.
    """
    try:
        return clips.previews(key(job), bucket.video_prefix(job.team, job.id), deadline)
    except ApiError as error:
        if error.code not in UNSEEN and job.troubles < retries.MOST:
            raise
        logger.warning("no previews", extra={"video": job.id, "code": error.code})
        return {}


def _size(job: Job, facts: dict[str, Any]) -> str | None:
    return f"{facts['width']}x{facts['height']}" if facts.get("width") and facts.get("height") else job.size


def _video_only(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks. Raises Refused if they are not a video, or too large.

    An HTML page that is declared as video/mp4 is not stored.
    """
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

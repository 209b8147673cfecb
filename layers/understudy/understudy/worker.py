"""What `run_job` does with a job, one step a message: prepare, submit, poll at the provider's pace, copy the output
home.

It works for jobs whose client never comes back, and it is the only one that asks providers about running jobs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from understudy import accounts, handles, jobs, ledger, media, orders, rawids, routing, sniff, storage, table
from understudy.deployments import Deployment, deployments
from understudy.errors import ApiError, OutcomeUnknown, ProviderError, Reason, Refused, from_refusal
from understudy.jobs import File, Job, State
from understudy.providers import load
from understudy.providers.base import Progress
from understudy.telemetry import logger

LEASE_SECONDS = 330  # longer than run_job may run
CALL_SECONDS = 60.0
MAX_TROUBLES = 8  # passing failures in a row, with growing pauses: about five minutes
MAX_LOST = 3  # so often may a provider say that it does not know a job or a character of its own
MAX_OUTPUT = 5 * 1024**3
PREPARE_SECONDS = 1800  # how long a provider may take to make a character
LOST_SECONDS = 600  # how long a provider is asked for a job whose answer was lost
UNSEEN = {"too_long", "too_large", "timed_out"}  # refusals to make previews that say nothing against the video


def work(message: dict[str, Any], deadline: float) -> None:
    """Do what a message says; `deadline` is in `time.monotonic()` seconds. Raises jobs.Busy."""
    if "delete" in message:
        return _delete_upstream(message, deadline)
    job = jobs.find(message["team"], message["video"])
    if job is None or job.done:
        return None
    job = jobs.claim(job, message["tick"], LEASE_SECONDS)
    if job is None:
        return None
    try:
        delay = _step(job, deadline)
    except table.RowChanged:
        moved = jobs.find(job.team, job.id)
        if moved is None or moved.done:
            return None  # deleted or ended by somebody else meanwhile
        job, delay = moved, 1
    if delay is not None:
        jobs.release(job, delay)
    return None


def _step(job: Job, deadline: float) -> float | None:
    """Take the job one step further; seconds until the next one, or None when it has ended."""
    deployment = deployments().find(job.deployment)
    if deployment is None:
        owed = 0 if job.state == "preparing" else job.hold  # what was ordered there may be billed
        message = "The deployment that was to make this video is no longer configured."
        jobs.fail(job, "deployment_removed", message, spent=owed)
        return None
    match job.state:
        case "preparing":
            return _prepare(job, deployment, deadline)
        case "submitting":
            return _wait_for_submit(job, routing.pace(deployment, job.model))
        case "unknown":
            return _reconcile(job, deployment, deadline)
        case "running":
            return _poll(job, deployment, deadline)
        case "archiving":
            return _archive(job, deployment, deadline)
    return None


def _prepare(job: Job, deployment: Deployment, deadline: float) -> float | None:
    support = routing.profile_of(deployment, job.model).characters
    try:
        for character in orders.cast_of(job):
            character.trim(support)
            if support.native and not handles.ensure(character, deployment, deadline).ready:
                return _wait_for_character(job, deployment)
        submit_by = int(time.time() + CALL_SECONDS + orders.GRACE_SECONDS)
        job = jobs.move(job, "submitting", submit_by=submit_by)
        orders.submit(job, deployment, min(deadline, time.monotonic() + CALL_SECONDS))
    except Refused as refused:
        return _refused(job, refused)
    except OutcomeUnknown as unknown:
        # Of a video: noted by `submit`, and it ends or is reconciled. Of a character: it is made again, a few times.
        return routing.pace(deployment, job.model) if job.state == "submitting" else _trouble(job, unknown)
    except ApiError as error:
        return _trouble(job, error)
    return routing.pace(deployment, job.model)


def _wait_for_character(job: Job, deployment: Deployment) -> float | None:
    if time.time() > job.created_at + PREPARE_SECONDS:
        jobs.fail(job, "character_timeout", "The provider has not made the character in time.")
        return None
    return routing.pace(deployment, job.model)


def _refused(job: Job, refused: Refused) -> float | None:
    """Nothing was made: the next deployment, if the refusal is of the kind that moves; later, if that helps; again with
    characters that the provider had lost; else the end."""
    if refused.movable and job.others:
        following = deployments().find(job.others[0])
        changes = {"deployment": following.id, "provider": following.provider} if following else {}
        jobs.move(job, "preparing", others=job.others[1:], **changes)
        return 0
    if refused.reason in {Reason.BUSY, Reason.UNAVAILABLE} and job.troubles < MAX_TROUBLES:
        return _again(job, "preparing")
    if refused.reason is Reason.LOST and job.troubles < MAX_LOST and _forget_cast(job):
        return _again(job, "preparing")
    error = from_refusal(refused)
    jobs.fail(job, error.code or "provider_refused", error.message)
    return None


def _forget_cast(job: Job) -> bool:
    """Will a character be made again that the provider has lost? A refused order does not say which one that is; when
    one was asked for alone, it is forgotten already."""
    deployment = deployments().find(job.deployment)
    if deployment is None:
        return False
    return job.state == "preparing" or handles.forget(orders.cast_of(job), deployment)


def _wait_for_submit(job: Job, pace: float) -> float | None:
    left = job.submit_by - time.time()
    if left > 0:
        return min(left, max(pace, 2.0))
    message = "The provider's answer was lost here, so the video may exist and may be billed. It was not asked again."
    jobs.fail(job, "outcome_unknown", message, spent=job.hold)
    return None


def _reconcile(job: Job, deployment: Deployment, deadline: float) -> float | None:
    provider, found, asked = load(deployment.provider), None, False
    try:
        found = accounts.call(deployment, deadline, lambda account: provider.find(account, job.id))
        asked = True
    except ProviderError as error:
        logger.warning("reconciling failed", extra={"video": job.id, "error": str(error)})
    if found is not None:
        jobs.ordered(job, found.upstream_id, troubles=0)
        return routing.pace(deployment, job.model)
    if time.time() > job.submit_by + LOST_SECONDS:
        if asked:
            jobs.fail(job, "outcome_unknown", "The provider's answer was lost, and it knows of no such video.")
        else:
            message = "The provider's answer was lost, and it could not be asked again. The video may be billed."
            jobs.fail(job, "outcome_unknown", message, spent=job.hold)
        return None
    return _again(job, "unknown")


def _poll(job: Job, deployment: Deployment, deadline: float) -> float | None:
    progress = _ask(job, deployment, deadline)
    if isinstance(progress, Exception):
        return _poll_trouble(job, deployment, progress)
    if job.unconfirmed:
        job = rawids.confirm(job, deployment, progress)
    if progress.status == "failed":
        _failed(job, progress)
        return None
    if progress.status == "completed":
        job = jobs.move(job, "archiving", progress=99, troubles=0, **_facts(progress))
        return _archive(job, deployment, deadline, progress)
    if _late(job, deployment):
        jobs.fail(job, "provider_timeout", "The provider has not finished this video in time.", spent=job.hold)
        return None
    jobs.move(
        job,
        "running",
        upstream_status=progress.status,
        progress=max(job.progress, min(progress.progress, 98)),
        troubles=0,
    )
    return routing.pace(deployment, job.model)


def _failed(job: Job, progress: Progress) -> None:
    """Free, unless the provider says that it is not."""
    error = progress.error or ("provider_failed", "The provider could not make this video.")
    jobs.fail(job, *error, spent=progress.micro_dollars or 0)


def _late(job: Job, deployment: Deployment) -> bool:
    """Has the job been at the provider for longer than jobs are there?"""
    deadline_seconds = routing.profile_of(deployment, job.model).deadline_seconds
    return time.time() > (job.submitted_at or job.created_at) + deadline_seconds


def _ask(job: Job, deployment: Deployment, deadline: float) -> Progress | Exception:
    provider, upstream_id = load(deployment.provider), job.upstream_id or ""
    until = min(deadline, time.monotonic() + CALL_SECONDS)
    try:
        return accounts.call(deployment, until, lambda account: provider.poll(account, upstream_id))
    except (ProviderError, ApiError) as error:
        return error


def _poll_trouble(job: Job, deployment: Deployment, error: Exception) -> float | None:
    if job.unconfirmed and isinstance(error, Refused) and error.reason in rawids.UNKNOWN_THERE:
        return rawids.ask_next(job)
    if isinstance(error, Refused) and error.reason is Reason.NOT_FOUND and job.troubles + 1 >= MAX_LOST:
        jobs.fail(job, "provider_lost_video", "The provider no longer knows this video.", spent=job.hold)
        return None
    # A paid video is not given up because the provider is away for a while: only its deadline ends it.
    if _late(job, deployment):
        jobs.fail(
            job, "provider_timeout", "The provider could not be asked about this video for too long.", spent=job.hold
        )
        return None
    logger.warning("poll failed", extra={"video": job.id, "error": str(error)})
    return _again(job, job.state)


def _archive(job: Job, deployment: Deployment, deadline: float, progress: Progress | None = None) -> float | None:
    if progress is None:
        asked = _ask(job, deployment, deadline)
        if isinstance(asked, Exception):
            return _poll_trouble(job, deployment, asked)
        if asked.status == "failed":
            _failed(job, asked)
            return None
        progress = asked
    prefix = storage.video_prefix(job.team, job.id)
    key = f"{prefix}video.mp4"
    provider = load(deployment.provider)

    def fetch(account: Any) -> int:
        with provider.open_content(account, progress) as content:
            return storage.save(key, _video_only(content.chunks), "video/mp4")

    try:
        byte_count = accounts.call(deployment, deadline, fetch)
    except ProviderError as error:
        return _fetch_trouble(job, deployment, error)
    facts: dict[str, Any] = {}
    try:
        facts = media.previews(key, prefix)
    except ApiError as error:
        # Bytes that are home are not given up for a thumbnail. Half a file looks like this, too: it is fetched again.
        if error.code not in UNSEEN and job.troubles < MAX_TROUBLES:
            return _trouble(job, error)
        logger.warning("no previews", extra={"video": job.id, "code": error.code})
    size = f"{facts['width']}x{facts['height']}" if facts.get("width") and facts.get("height") else job.size
    seconds = round(facts.get("duration", 0)) or job.seconds
    billed = seconds if job.operation == "create" else job.billed_seconds
    spent = progress.micro_dollars
    if spent is None:
        spent = ledger.price(routing.profile_of(deployment, job.model), size, billed)
    jobs.complete(job, File(key, "video/mp4", byte_count), spent, size=size, seconds=seconds)
    return None


def _fetch_trouble(job: Job, deployment: Deployment, error: ProviderError) -> float | None:
    """The video is made and paid for: it is fetched until the job's deadline, or for a while if the file is gone."""
    logger.warning("fetching failed", extra={"video": job.id, "error": str(error)})
    gone = isinstance(error, Refused) and error.reason is Reason.NOT_FOUND
    if job.troubles >= MAX_TROUBLES and (gone or _late(job, deployment)):
        jobs.fail(
            job, "output_unavailable", "The provider made the video, and its file could not be fetched.", spent=job.hold
        )
        return None
    return _again(job, "archiving")


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


def _trouble(job: Job, error: Exception) -> float | None:
    """Something that may pass: again after a growing pause, a few times."""
    logger.warning("job step failed", extra={"video": job.id, "state": job.state, "error": str(error)})
    if job.troubles >= MAX_TROUBLES:
        if isinstance(error, ApiError):
            jobs.fail(job, error.code or "provider_failed", error.message)
        else:
            jobs.fail(job, "provider_failed", "The provider could not be given what the video needs.")
        return None
    return _again(job, job.state)


def _again(job: Job, state: State) -> float:
    """One trouble more; seconds until the next try."""
    jobs.move(job, state, troubles=job.troubles + 1)
    return _pause(job)


def _pause(job: Job) -> float:
    """Seconds until the next try: longer each time, and never faster than the provider's pace."""
    deployment = deployments().find(job.deployment)
    pace = routing.pace(deployment, job.model) if deployment else 0.0
    return max(pace, float(min(2**job.troubles, 120)))


def _facts(progress: Progress) -> dict[str, Any]:
    return {name: value for name in ("seconds", "size") if (value := getattr(progress, name)) is not None}


def _delete_upstream(message: dict[str, Any], deadline: float) -> None:
    """Delete at the provider what was deleted here, if it can; a failure brings the message back."""
    deployment = deployments().find(message["deployment"])
    if deployment is None:
        return
    provider, reference = load(deployment.provider), message["reference"]
    profile = routing.profile_of(deployment, message.get("model") or next(iter(deployment.models)))
    if message["delete"] == "video" and profile.delete:
        accounts.call(deployment, deadline, lambda account: provider.delete(account, reference))
    if message["delete"] == "character" and profile.characters.deletable:
        accounts.call(deployment, deadline, lambda account: provider.delete_character(account, reference))

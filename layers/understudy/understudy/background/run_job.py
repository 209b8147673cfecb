"""What `run_job` does with a job, one step a message: prepare, submit, poll at the provider's pace, copy the output
home.

It works for jobs whose client never comes back, and it is the only one that asks providers about running jobs.
"""

from __future__ import annotations

import time
from typing import Any

from understudy.background import archive, retries
from understudy.characters import handles
from understudy.deployments import routing
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment, deployments
from understudy.errors import ApiError, OutcomeUnknown, ProviderError, Reason, Refused, from_refusal
from understudy.jobs import adopted, emulated_extension, orders, submission, transitions
from understudy.jobs.job import Job
from understudy.providers import load
from understudy.providers.base import Progress
from understudy.store import table
from understudy.telemetry import logger

LEASE_SECONDS = 330  # longer than run_job may run
CALL_SECONDS = 60.0
MAX_LOST = 3  # so often in a row may a provider say that it does not know a job or a character of its own
PREPARE_SECONDS = 1800  # how long a provider may take to make a character
ABSENT_SECONDS = 3600  # beyond its deadline, a job waits so long for its deployment to be configured again
ABSENT_PAUSE = 60.0
LOST_SECONDS = 600  # how long a provider is asked for a job whose answer was lost


def work(message: dict[str, Any], deadline: float) -> None:
    """Do what a message says; `deadline` is in `time.monotonic()` seconds. Raises jobs.Busy."""
    if "delete" in message:
        return _delete_upstream(message, deadline)
    job = Job.find(message["team"], message["video"])
    if job is None or job.done:
        return None
    job = transitions.claim(job, message["tick"], LEASE_SECONDS)
    if job is None:
        return None
    try:
        delay = _step(job, deadline)
    except table.RowChanged:
        moved = Job.find(job.team, job.id)
        if moved is None or moved.done:
            return None  # deleted or ended by somebody else meanwhile
        job, delay = moved, 1
    if delay is not None:
        transitions.release(job, delay)
    return None


def _step(job: Job, deadline: float) -> float | None:
    """Take the job one step further; seconds until the next one, or None when it has ended."""
    deployment = deployments().find(job.deployment)
    if deployment is None:
        return _without(job)
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


def _without(job: Job) -> float | None:
    """Its deployment has left the file, by mistake or for good. What nobody has ordered goes to another one; what may
    be at the provider is waited for, as if that were away."""
    if job.state == "preparing" and _moves_on(job):
        return 0
    if job.continuation is not None:
        return archive.join(job)
    logger.error("deployment is not configured", extra={"video": job.id, "deployment": job.deployment})
    if time.time() < job.late_at + ABSENT_SECONDS:
        return ABSENT_PAUSE
    message = f"The deployment {job.deployment!r} is no longer configured, so its provider cannot be asked."
    made = "" if job.state == "preparing" else " The video may exist there and may be billed."
    transitions.fail(job, "deployment_removed", message + made, spent=retries.owed(job))
    return None


def _moves_on(job: Job) -> bool:
    """The next deployment that may make it takes over, if there is one."""
    others = [one for one in map(deployments().find, job.others) if one is not None]
    if others:
        left, changes = [one.id for one in others[1:]], submission.taken_by(job, others[0])
        transitions.move(job, "preparing", others=left, troubles=0, lost=0, **changes)
    return bool(others)


def _prepare(job: Job, deployment: Deployment, deadline: float) -> float | None:
    profile = routing.profile_of(deployment, job.model)
    support = profile.characters
    try:
        if job.source is not None and job.source_clip is None and not orders.source_of(job).done:
            return routing.pace(deployment, job.model)
        if job.emulated:
            job = emulated_extension.begin(job, orders.size(job, profile))
        for character in orders.cast_of(job):
            character.trim(support)
            if support.native and not handles.ensure(character, deployment, deadline).ready:
                return _wait_for_character(job, deployment)
        submit_by = int(time.time() + CALL_SECONDS + submission.GRACE_SECONDS)
        job = transitions.move(job, "submitting", submit_by=submit_by)
        submission.submit(job, deployment, min(deadline, time.monotonic() + CALL_SECONDS))
    except Refused as refused:
        return _refused(job, deployment, refused)
    except OutcomeUnknown as unknown:
        # Of a video: noted by `submit`, and it ends or is reconciled. Of a character: it is made again, a few times.
        return routing.pace(deployment, job.model) if job.state == "submitting" else retries.passing(job, unknown)
    except ApiError as error:
        return retries.passing(job, error)
    return routing.pace(deployment, job.model)


def _wait_for_character(job: Job, deployment: Deployment) -> float | None:
    if time.time() > job.created_at + PREPARE_SECONDS:
        transitions.fail(job, "character_timeout", "The provider has not made the character in time.")
        return None
    return routing.pace(deployment, job.model)


def _refused(job: Job, deployment: Deployment, refused: Refused) -> float | None:
    """Nothing was made: the next deployment, if the refusal is of the kind that moves; later, if that helps; again with
    characters that the provider had lost; else the end."""
    if refused.movable:
        routing.rest(deployment, job.model, refused)
        if _moves_on(job):
            return 0
    if refused.reason in {Reason.BUSY, Reason.UNAVAILABLE} and job.troubles < retries.MOST:
        return retries.again(job, "preparing", refused)
    if refused.reason is Reason.LOST and job.lost < MAX_LOST and _forget_cast(job, deployment):
        return retries.again(job, "preparing", refused)
    error = from_refusal(refused)
    transitions.fail(job, error.code or "provider_refused", error.message)
    return None


def _forget_cast(job: Job, deployment: Deployment) -> bool:
    """Forget the native characters of this job, so that they are made again. Return False if none has a clip.

    A refused order does not say which character the provider has lost. A character that was asked for alone is
    forgotten already.
    """
    return job.state == "preparing" or handles.forget(orders.cast_of(job), deployment)


def _wait_for_submit(job: Job, pace: float) -> float | None:
    left = job.submit_by - time.time()
    if left > 0:
        return min(left, max(pace, 2.0))
    message = "The provider's answer was lost here, so the video may exist and may be billed. It was not asked again."
    transitions.fail(job, "outcome_unknown", message, spent=retries.owed(job))
    return None


def _reconcile(job: Job, deployment: Deployment, deadline: float) -> float | None:
    provider, found, trouble = load(deployment.provider), None, None
    try:
        found = call_provider(deployment, deadline, lambda account: provider.find(account, job.id))
    except ProviderError as error:
        trouble = error
        logger.warning("reconciling failed", extra={"video": job.id, "error": str(error)})
    if found is not None:
        transitions.ordered(job, found.upstream_id, troubles=0, lost=0, late_at=routing.late_at(deployment, job.model))
        return routing.pace(deployment, job.model)
    if time.time() > job.submit_by + LOST_SECONDS:
        if trouble is None:
            transitions.fail(job, "outcome_unknown", "The provider's answer was lost, and it knows of no such video.")
        else:
            message = "The provider's answer was lost, and it could not be asked again. The video may be billed."
            transitions.fail(job, "outcome_unknown", message, spent=retries.owed(job))
        return None
    return retries.again(job, "unknown", trouble)


def _poll(job: Job, deployment: Deployment, deadline: float) -> float | None:
    progress = _ask(job, deployment, deadline)
    if isinstance(progress, Exception):
        return _poll_trouble(job, progress)
    if job.unconfirmed:
        job = adopted.confirm(job, deployment, progress)
    if progress.status == "failed":
        _failed(job, progress)
        return None
    if progress.status == "completed":
        job = transitions.move(job, "archiving", progress=99, troubles=0, lost=0, **_facts(job, progress))
        return _archive(job, deployment, deadline, progress)
    if retries.late(job):
        transitions.fail(
            job, "provider_timeout", "The provider has not finished this video in time.", spent=retries.owed(job)
        )
        return None
    done = max(job.progress, min(progress.progress, 98))
    transitions.move(job, "running", upstream_status=progress.status, progress=done, troubles=0, lost=0)
    return routing.pace(deployment, job.model)


def _failed(job: Job, progress: Progress) -> None:
    """Free, unless the provider says that it is not."""
    error = progress.error or ("provider_failed", "The provider could not make this video.")
    transitions.fail(job, *error, spent=progress.micro_dollars or 0)


def _ask(job: Job, deployment: Deployment, deadline: float) -> Progress | Exception:
    provider, upstream_id = load(deployment.provider), job.upstream_id or ""
    until = min(deadline, time.monotonic() + CALL_SECONDS)
    try:
        return call_provider(deployment, until, lambda account: provider.poll(account, upstream_id))
    except (ProviderError, ApiError) as error:
        return error


def _poll_trouble(job: Job, error: Exception) -> float | None:
    if job.unconfirmed and isinstance(error, Refused) and error.reason in adopted.UNKNOWN_THERE:
        return adopted.ask_next(job)
    # One that was finished is given up no sooner than its file.
    if retries.lost(job, error) >= (retries.MOST if job.state == "archiving" else MAX_LOST):
        transitions.fail(
            job, "provider_lost_video", "The provider no longer knows this video.", spent=retries.owed(job)
        )
        return None
    # A paid video is not given up because the provider is away for a while: only its deadline ends it.
    if retries.late(job):
        message = "The provider could not be asked about this video for too long."
        transitions.fail(job, "provider_timeout", message, spent=retries.owed(job))
        return None
    logger.warning("poll failed", extra={"video": job.id, "error": str(error)})
    return retries.again(job, job.state, error)


def _archive(job: Job, deployment: Deployment, deadline: float, progress: Progress | None = None) -> float | None:
    if job.continuation is not None:
        return archive.join(job)
    if progress is None:
        asked = _ask(job, deployment, deadline)
        if isinstance(asked, Exception):
            return _poll_trouble(job, asked)
        if asked.status == "failed":
            _failed(job, asked)
            return None
        progress = asked
    return archive.take_home(job, deployment, progress, deadline)


def _facts(job: Job, progress: Progress) -> dict[str, Any]:
    """What the provider says of the video, if it is the whole one."""
    names = () if job.emulated else ("seconds", "size")
    return {name: value for name in names if (value := getattr(progress, name)) is not None}


def _delete_upstream(message: dict[str, Any], deadline: float) -> None:
    """Delete at the provider what was deleted here, if it can; a failure brings the message back."""
    deployment = deployments().find(message["deployment"])
    if deployment is None:
        logger.warning(
            "not deleted at the provider: its deployment is not configured", extra={"deployment": message["deployment"]}
        )
        return
    provider, reference = load(deployment.provider), message["reference"]
    profile = routing.profile_of(deployment, message.get("model") or next(iter(deployment.models)))
    if message["delete"] == "video" and profile.delete:
        call_provider(deployment, deadline, lambda account: provider.delete(account, reference))
    if message["delete"] == "character" and profile.characters.deletable:
        call_provider(deployment, deadline, lambda account: provider.delete_character(account, reference))

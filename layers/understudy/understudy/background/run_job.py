"""Takes a job one step further: prepare, submit, poll, and copy the output into the bucket.

The state machine (`JobMachine` in template.yaml) calls `run_job` for each step. Jobs go on if the client never asks
again. Only `run_job` asks providers about running jobs, at the provider's pace. A step may be repeated at any time, and
two copies of it may run at once: each move between the states of a job is a compare-and-swap, and the order is sent by
the copy that has moved the job to `submitting`.
"""

from __future__ import annotations

import time
from typing import Any

from understudy.access import keys
from understudy.background import archive, retries
from understudy.characters import handles
from understudy.deployments import routing
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment, deployments
from understudy.errors import ApiError, Ours, OutcomeUnknown, ProviderError, Reason, Refused, from_refusal
from understudy.jobs import adopted, emulated_extension, orders, submission, transitions
from understudy.jobs.job import ADOPT, Job
from understudy.providers import load
from understudy.providers.base import Progress
from understudy.store import table
from understudy.telemetry import logger, needs_attention

CALL_SECONDS = 60.0
MAX_LOST = 3  # how often in a row a provider may say that it does not know its own character
PREPARE_SECONDS = 1800  # how long a provider may take to make a character
ABSENT_SECONDS = 3600  # how long after its deadline a job waits for its deployment to be configured again
LOST_SECONDS = 600  # how long a provider is asked for a job whose answer was lost
POLLS_PER_AGE = 12
SLOWEST_POLL = 120.0
PAUSE = 60.0  # seconds until a step is tried again that cannot be taken right now
TOUCH_SECONDS = 300  # how old a row may become while its job is driven
REVOKED = "The API key that asked for this video was revoked before the order was sent. Nothing was ordered."


def step(team: str, record: str, deadline: float) -> float | None:
    """Take the job one step further. Return the seconds until the next step, or None when nothing is left to do.

    `deadline` is in `time.monotonic()` seconds.
    """
    job = _unfinished(team, record)
    if job is None:
        return None
    try:
        delay = _step(transitions.renew(job), deadline)
        if delay is not None and job.touched_at < time.time() - TOUCH_SECONDS:
            _touch(_unfinished(team, record))
    except table.RowChanged:
        # If the row has not changed, the write that was refused can never succeed.
        now = _unfinished(team, record)
        return 1.0 if now is not None and now != job else _died(now)
    except Exception:  # noqa: BLE001 - whatever it is, the job ends; `died` logs it
        return _died(_unfinished(team, record))  # the step may have moved it
    return delay


def close(team: str, record: str) -> None:
    """End a job whose step fails before it can say so, for example because its process is killed each time.

    An order may be under way or paid for. Then the job goes on in another execution, at most retries.MOST_RUNS in all.
    """
    job = _unfinished(team, record)
    if job is None:
        return
    needs_attention("step_died", "job closed", video=record, state=job.state)
    # What may be paid for is not given up before its deadline: the sweep starts another execution.
    if job.state == "preparing" or retries.late(job) or job.run >= retries.MOST_RUNS:
        retries.given_up(job)


def _unfinished(team: str, record: str) -> Job | None:
    """Return the job, or None if it has ended or was deleted."""
    job = Job.find(team, record)
    return None if job is None or job.done else job


def _touch(job: Job | None) -> None:
    if job is not None:
        transitions.touch(job)


def _died(job: Job | None) -> float | None:
    """Record in an `except` that a step of the job has died. Return the seconds until the retry, or None."""
    try:
        return None if job is None else retries.died(job)
    except table.RowChanged:
        return PAUSE


def _step(job: Job, deadline: float) -> float | None:
    """Take the job one step further. Return the seconds until the next step, or None when the job has ended."""
    deployment = deployments().find(job.deployment)
    if deployment is None:
        return _without(job, deadline)
    match job.state:
        case "preparing":
            return _prepare(job, deployment, deadline)
        case "submitting":
            return _wait_for_submit(job, deployment)
        case "unknown":
            return _reconcile(job, deployment, deadline)
        case "running":
            return _poll(job, deployment, deadline)
        case "archiving":
            return _archive(job, deployment, deadline)
    return None


def _without(job: Job, deadline: float) -> float | None:
    """Take a job further whose deployment has left the deployments file, by mistake or for good.

    A job that was not ordered moves to another deployment. A job that the provider may have waits until ABSENT_SECONDS
    after its deadline, as if the provider were down. Then the job fails.
    """
    if job.state == "preparing" and _moves_on(job):
        return 0
    if job.continuation is not None:
        return archive.join(job, deadline)
    needs_attention("deployment_removed", "deployment is not configured", video=job.id, deployment=job.deployment)
    if time.time() < job.late_at + ABSENT_SECONDS:
        return PAUSE
    message = f"The deployment {job.deployment!r} is no longer configured, so Understudy cannot ask its provider."
    retries.stop(job, "deployment_removed", message)
    return None


def _moves_on(job: Job) -> bool:
    """Move the job to the next deployment that may make it. Return False if there is none."""
    others = [one for one in map(deployments().find, job.others) if one is not None]
    if others:
        left, changes = [one.id for one in others[1:]], submission.taken_by(job, others[0])
        transitions.move(job, "preparing", others=left, troubles=0, lost=0, **changes)
    return bool(others)


def _prepare(job: Job, deployment: Deployment, deadline: float) -> float | None:
    if job.maker and keys.is_revoked(job.maker):
        transitions.fail(job, "key_revoked", REVOKED)
        return None
    profile = routing.profile_of(deployment, job.model)
    support = profile.characters
    try:
        if job.source is not None and job.source_clip is None and not orders.source_of(job).done:
            return _pace(job, deployment)
        if job.emulated:
            job = emulated_extension.begin(job, orders.size(job, profile), deadline)
        for character in orders.cast_of(job):
            character.trim(support, deadline)
            if support.native and not handles.ensure(character, deployment, deadline).ready:
                return _wait_for_character(job, deployment)
        submit_by = int(time.time() + CALL_SECONDS + submission.GRACE_SECONDS)
        job = transitions.move(job, "submitting", submit_by=submit_by)
        job = submission.submit(job, deployment, min(deadline, time.monotonic() + CALL_SECONDS))
    except Refused as refused:
        return _refused(job, deployment, refused)
    except OutcomeUnknown as unknown:
        # A video: `submit` has recorded it, and the job ends or is reconciled. A character: it is made again.
        return _pace(job, deployment) if job.state == "submitting" else retries.passing(job, unknown)
    except ApiError as error:
        return retries.passing(job, error)
    return _pace(job, deployment)


def _wait_for_character(job: Job, deployment: Deployment) -> float | None:
    if time.time() > job.created_at + PREPARE_SECONDS:
        transitions.fail(job, "character_timeout", "The provider did not create the character in time.")
        return None
    return _pace(job, deployment)


def _refused(job: Job, deployment: Deployment, refused: Refused) -> float | None:
    """Handle a refusal: nothing was made. Return the seconds until the next step, or None when the job has failed.

    If the refusal allows it, the next deployment gets the job. Else, if the provider is busy or unavailable, or the
    fault is ours, the job is retried later. If the provider has lost characters, they are made again. Otherwise the job
    fails.
    """
    if refused.movable and not isinstance(refused, Ours):
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

    A refused order does not say which character the provider has lost. A job in `preparing` has no order yet, and its
    lost character is forgotten already.
    """
    return job.state == "preparing" or handles.forget(orders.cast_of(job), deployment)


def _wait_for_submit(job: Job, deployment: Deployment) -> float | None:
    left = job.submit_by - time.time()
    if left > 0:
        return min(left, max(_pace(job, deployment), 2.0))
    if routing.profile_of(deployment, job.model).findable:
        transitions.move(job, "unknown")
        return 0
    message = "The provider's answer was lost, so the video may exist and may be billed. It was not sent again."
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
        return _pace(job, deployment)
    if time.time() > job.submit_by + LOST_SECONDS:
        if trouble is None:
            message = "The provider's answer was lost, and the provider has no such video."
            transitions.fail(job, "outcome_unknown", message)
        else:
            message = "The provider's answer was lost, and the provider could not be asked. The video may be billed."
            transitions.fail(job, "outcome_unknown", message, spent=retries.owed(job))
        return None
    return retries.again(job, "unknown", trouble)


def _poll(job: Job, deployment: Deployment, deadline: float) -> float | None:
    progress = _ask(job, deployment, deadline)
    if isinstance(progress, Exception):
        return _poll_trouble(job, progress)
    if job.operation == ADOPT:
        job = adopted.confirm(job, deployment, progress)
        if job.done:
            return None
    if progress.status == "failed":
        _failed(job, progress)
        return None
    if job.state == "archiving":
        return _archive(job, deployment, deadline, progress)
    if progress.status == "completed":
        job = transitions.move(job, "archiving", progress=99, troubles=0, lost=0, **_facts(job, progress))
        return _archive(job, deployment, deadline, progress)
    if retries.late(job):
        transitions.fail(
            job, "provider_timeout", "The provider did not finish this video in time.", spent=retries.owed(job)
        )
        return None
    done = max(job.progress, min(progress.progress, 98))
    transitions.move(job, "running", upstream_status=progress.status, progress=done, troubles=0, lost=0)
    return _pace(job, deployment)


def _failed(job: Job, progress: Progress) -> None:
    """Fail the job with the provider's error. A failed job costs nothing, unless the provider reports a cost."""
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
    # Some providers know a new job, or a finished one, everywhere only after a while.
    if retries.is_lost(job, error):
        transitions.fail(job, "provider_lost_video", "The provider no longer has this video.", spent=retries.owed(job))
        return None
    # A paid video is not given up because the provider is away for a while: only its deadline ends it.
    if retries.late(job) and job.troubles >= retries.MOST:
        message = "The provider gave no usable answer about this video for too long."
        transitions.fail(job, "provider_timeout", message, spent=retries.owed(job))
        return None
    logger.warning("poll failed", extra={"video": job.id, "error": str(error)})
    return retries.again(job, job.state, error)


def _archive(job: Job, deployment: Deployment, deadline: float, progress: Progress | None = None) -> float | None:
    if job.continuation is not None:
        return archive.join(job, deadline)
    if progress is None:
        return _poll(job, deployment, deadline)
    return archive.take_home(job, deployment, progress, deadline)


def _pace(job: Job, deployment: Deployment) -> float:
    """Return the seconds until the next poll: the provider's pace, and more for an older job.

    A job is polled when its order is a twelfth older, but at least every two minutes. So an hour takes 70 polls and not
    720.
    """
    begun = routing.begun_at(deployment, job.model, job.late_at) if job.state == "running" else job.created_at
    return max(routing.pace(deployment, job.model), min((time.time() - begun) / POLLS_PER_AGE, SLOWEST_POLL))


def _facts(job: Job, progress: Progress) -> dict[str, Any]:
    """Return the length and the size that the provider reports, if its file is the whole video."""
    names = () if job.emulated else ("seconds", "size")
    return {name: value for name in names if (value := getattr(progress, name)) is not None}

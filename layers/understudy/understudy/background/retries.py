"""Retries of a job's steps: how often, and with which pauses."""

from __future__ import annotations

import time

from understudy.deployments import routing
from understudy.deployments.config import deployments
from understudy.errors import ApiError, ProviderError, Reason, Refused
from understudy.jobs import transitions
from understudy.jobs.job import Job, State
from understudy.telemetry import logger, needs_attention

JOIN_SECONDS = 2 * 3600  # how long after the provider's deadline joining is retried
MOST_RUNS = 4  # executions of a job
MOST = 8  # passing failures in a row, with growing pauses: about four minutes
LOST_SECONDS = 600  # how long a provider has to say that it has no such video: a balancer may say so for some minutes


def again(job: Job, state: State, error: Exception | None = None) -> float:
    """Record a failed attempt. Return the seconds to wait, at least the provider's Retry-After."""
    transitions.move(job, state, troubles=job.troubles + 1, **_missing(job, error))
    return max(_pause(job), error.pause if isinstance(error, ProviderError) else 0.0)


def is_lost(job: Job, error: Exception) -> bool:
    """Return whether the provider has said long enough that something of the job is missing, with this error.

    That is at least MOST times in a row, for LOST_SECONDS or until the job's deadline.
    """
    row = _missing(job, error)
    return row["lost"] >= MOST and (late(job) or time.time() >= row["lost_since"] + LOST_SECONDS)


def _missing(job: Job, error: Exception | None) -> dict[str, int]:
    """Return how often in a row the provider has said that something is missing, and since when, with this error.

    Any other error says nothing about that, and begins the row again.
    """
    if not isinstance(error, Refused) or error.reason not in {Reason.NOT_FOUND, Reason.LOST}:
        return {"lost": 0, "lost_since": 0}
    since = job.lost_since if job.lost else 0
    return {"lost": job.lost + 1, "lost_since": since or int(time.time())}


def passing(job: Job, error: Exception) -> float | None:
    """Retry the step after a growing pause, up to MOST times in a row. Then fail the job with the error.

    Returns the seconds until the retry, or None when the job has failed.
    """
    logger.warning("job step failed", extra={"video": job.id, "state": job.state, "error": str(error)})
    if job.troubles < MOST:
        return again(job, job.state, error)
    if isinstance(error, ApiError):
        transitions.fail(job, error.code or "provider_failed", error.message, spent=owed(job))
    else:
        message = "The files that this video needs could not be sent to the provider."
        transitions.fail(job, "provider_failed", message, spent=owed(job))
    return None


def died(job: Job) -> float | None:
    """Retry a step that an error of ours has ended: a new version of the code may mend it. To be called in an `except`.

    Before the order was sent, the job fails after MOST failures in a row. After that, a video may be paid for, so the
    step is retried until the job's deadline. Returns the seconds until the retry, or None when the job has failed.
    """
    needs_attention("step_died", "job step died", video=job.id, state=job.state)
    if job.troubles < MOST or (job.state != "preparing" and not late(job)):
        return again(job, job.state)
    given_up(job)
    return None


def given_up(job: Job) -> None:
    """Fail a job that an error of ours keeps from going on."""
    stop(job, "internal_error", "An error in Understudy stopped this video.")


def stop(job: Job, code: str, message: str) -> None:
    """Fail a job in whatever state it is. If it was ordered, it costs its hold, and the message says so."""
    made = " The video may exist at the provider and may be billed." if _ordered(job) else ""
    transitions.fail(job, code, message + made, spent=owed(job))


def owed(job: Job) -> int:
    """Return what the job may cost if it ends now, in micro-dollars: 0 before the order was sent."""
    if not _ordered(job):
        return 0
    return job.hold if job.spent is None else job.spent


def _ordered(job: Job) -> bool:
    return job.state != "preparing"


def late(job: Job) -> bool:
    """Return whether the job's deadline has passed: the provider's, and later for a paid part that has to be joined."""
    return time.time() > job.late_at + (JOIN_SECONDS if job.continuation else 0)


def _pause(job: Job) -> float:
    """Return the seconds until the retry: longer each time, and at least the polling interval."""
    deployment = deployments().find(job.deployment)
    pace = routing.pace(deployment, job.model) if deployment else 0.0
    return max(pace, float(min(2**job.troubles, 120)))

"""What goes wrong with a job and may pass: how often and how long it is tried again."""

from __future__ import annotations

import time

from understudy.deployments import routing
from understudy.deployments.config import deployments
from understudy.errors import ApiError, ProviderError, Reason, Refused
from understudy.jobs import transitions
from understudy.jobs.job import Job, State
from understudy.telemetry import logger

MOST = 8  # passing failures in a row, with growing pauses: about five minutes


def again(job: Job, state: State, error: Exception | None = None) -> float:
    """Record a failed attempt. Return the seconds to wait, at least the provider's Retry-After."""
    transitions.move(job, state, troubles=job.troubles + 1, lost=lost(job, error))
    return max(_pause(job), error.pause if isinstance(error, ProviderError) else 0.0)


def lost(job: Job, error: Exception | None) -> int:
    """How often in a row the provider has said that something of the job is not there, this time included. What else
    goes wrong in between says nothing about that, so it does not count."""
    gone = isinstance(error, Refused) and error.reason in {Reason.NOT_FOUND, Reason.LOST}
    return job.lost + 1 if gone else 0


def passing(job: Job, error: Exception) -> float | None:
    """Again after a growing pause, a few times; then the job fails with what is wrong."""
    logger.warning("job step failed", extra={"video": job.id, "state": job.state, "error": str(error)})
    if job.troubles < MOST:
        return again(job, job.state, error)
    if isinstance(error, ApiError):
        transitions.fail(job, error.code or "provider_failed", error.message, spent=owed(job))
    else:
        message = "The provider could not be given what the video needs."
        transitions.fail(job, "provider_failed", message, spent=owed(job))
    return None


def owed(job: Job) -> int:
    """What the job may cost if it ends now, in micro-dollars: nothing before it was ordered."""
    if job.state == "preparing":
        return 0
    return job.hold if job.spent is None else job.spent


def late(job: Job) -> bool:
    """Has the job been at the provider for longer than jobs are there?"""
    return time.time() > job.late_at


def _pause(job: Job) -> float:
    """Seconds until the next try: longer each time, and never faster than the provider's pace."""
    deployment = deployments().find(job.deployment)
    pace = routing.pace(deployment, job.model) if deployment else 0.0
    return max(pace, float(min(2**job.troubles, 120)))

"""Adopted jobs: a provider made the video without Understudy, a caller sends its id, and the provider is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from understudy.deployments import routing, upstream_ids
from understudy.deployments.config import Deployment, deployments
from understudy.deployments.upstream_ids import Origin
from understudy.errors import Reason
from understudy.ids import Kind
from understudy.jobs import transitions
from understudy.jobs.job import Job

if TYPE_CHECKING:
    from understudy.providers.base import Progress

# A provider's reasons for refusing an id that it does not know. If it cannot even parse the id, the reason varies.
UNKNOWN_THERE = frozenset({Reason.NOT_FOUND, Reason.INVALID, Reason.GONE})
NOT_FOUND = "The provider knows no video with this id."


def confirm(job: Job, deployment: Deployment, progress: Progress) -> Job:
    """Record that the provider knows the video of an adopted job. From now on the job is like any other job.

    The caller may have guessed the id before the provider issued it. If the provider has issued it to another order
    since, the returned job has failed.
    """
    origin = upstream_ids.find(Kind.VIDEO, deployment.id, job.upstream_id or "")
    if origin != Origin(job.team, job.id):
        # So that the deletion of this job deletes nothing at the provider.
        job = transitions.move(job, job.state, unconfirmed=True)
        return transitions.fail(job, "video_not_found", NOT_FOUND)
    if not job.unconfirmed:
        return job
    late_at = routing.late_at(deployment, job.model)
    facts: dict[str, Any] = {"unconfirmed": False, "late_at": late_at, "troubles": 0}
    if progress.model:
        facts["model"] = model_name(deployment, progress.model, otherwise=job.model)
    for name in ("seconds", "size"):
        if getattr(progress, name) is not None:
            facts[name] = getattr(progress, name)
    return transitions.move(job, "running", **facts)


def ask_next(job: Job) -> float | None:
    """Move an adopted job to the next deployment that may know its video, or fail the job if there is none.

    Returns the seconds until that deployment is asked, or None when no deployment knows the video. The row of the
    failed job keeps the id, so that a client that polls gets an end. Deleting the row frees the id.
    """
    later = job.others[job.others.index(job.deployment) + 1 :]
    following = next((found for one in later if (found := deployments().find(one))), None)
    if following is None:
        transitions.fail(job, "video_not_found", NOT_FOUND)
        return None
    model = model_name(following, job.model, otherwise=next(iter(following.models)))
    transitions.move(job, "running", model=model, troubles=0, **routing.made_at(following, model))
    return 0


def model_name(deployment: Deployment, said: str, *, otherwise: str) -> str:
    """Return the public name of the model that a provider or LiteLLM calls `said`, or `otherwise` if there is none."""
    return next((name for name, theirs in deployment.models.items() if said in (name, theirs)), otherwise)

"""Jobs for videos that a provider has made without us: a caller has brought the id, and the provider is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from understudy.deployments import routing
from understudy.deployments.config import Deployment, deployments
from understudy.errors import Reason
from understudy.jobs import transitions
from understudy.jobs.job import Job

if TYPE_CHECKING:
    from understudy.providers.base import Progress

# What a provider says of an id that it does not know. Which of them it says to one that it cannot even read varies.
UNKNOWN_THERE = frozenset({Reason.NOT_FOUND, Reason.INVALID, Reason.GONE})


def confirm(job: Job, deployment: Deployment, progress: Progress) -> Job:
    """The provider knows the video that a caller brought: from here on the job is like any other."""
    late_at = routing.late_at(deployment, job.model)
    facts: dict[str, Any] = {"unconfirmed": False, "late_at": late_at, "troubles": 0}
    if progress.model:
        facts["model"] = model_name(deployment, progress.model, otherwise=job.model)
    for name in ("seconds", "size"):
        if getattr(progress, name) is not None:
            facts[name] = getattr(progress, name)
    return transitions.move(job, "running", **facts)


def ask_next(job: Job) -> float | None:
    """The deployment does not know the video that a caller brought: the next one, if the key may use several.

    Seconds until that one is asked, or None when nobody knows it. The row stays then, and is what the id leads to,
    so that whoever polls comes to an end; deleting it frees the id.
    """
    later = job.others[job.others.index(job.deployment) + 1 :]
    following = next((found for one in later if (found := deployments().find(one))), None)
    if following is None:
        transitions.fail(job, "video_not_found", "The provider knows no video with this id.")
        return None
    model = model_name(following, job.model, otherwise=next(iter(following.models)))
    transitions.move(job, "running", model=model, troubles=0, **routing.made_at(following, model))
    return 0


def model_name(deployment: Deployment, said: str, *, otherwise: str) -> str:
    """The name by which callers know the model that somebody calls `said`."""
    return next((name for name, theirs in deployment.models.items() if said in (name, theirs)), otherwise)

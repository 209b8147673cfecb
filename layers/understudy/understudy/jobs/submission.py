"""Places an order: chooses the deployments, writes the job's row, then submits once.

The row is written and the execution that drives the job is started before anything is sent. So if a process dies in
between, the job still ends, and nothing is sent twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from understudy.access.keys import Caller, Limits
from understudy.characters import handles
from understudy.characters.handles import Handle
from understudy.deployments import routing
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment, deployments
from understudy.errors import (
    ApiError,
    InvalidRequest,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Refused,
    from_refusal,
    from_unknown,
)
from understudy.jobs import budget, capabilities, orders, transitions
from understudy.jobs.attempt import Attempt
from understudy.jobs.capabilities import Wish
from understudy.jobs.job import Job, Named
from understudy.providers import load
from understudy.providers.base import Profile
from understudy.store import table
from understudy.telemetry import needs_attention

GRACE_SECONDS = 10  # after the last moment at which a submit can still be under way
SUBMIT_SECONDS = 8.0  # that must be left of the call to send the order; with less, `run_job` sends it


@dataclass(frozen=True, slots=True)
class Option:
    """A deployment that can fulfil a wish.

    `ready`: nothing has to be made before the submit. `emulated`: the operation, if Understudy emulates it.
    """

    deployment: Deployment
    profile: Profile
    ready: bool
    emulated: str | None = None


def options(wish: Wish, model: str, deployments_in_order: list[Deployment], caller: Caller) -> list[Option]:
    """Return the deployments that can fulfil the wish, in the same order, but native ones before emulated ones.

    If none can, the first deployment's objection is raised, with the names of the models that can.
    """
    found: list[Option] = []
    first: ApiError | None = None
    for deployment in deployments_in_order:
        profile = routing.profile_of(deployment, model)
        known = _handles(wish, deployment, profile)
        error = capabilities.objection(wish, deployment, profile) or _refused_before(known)
        if error is None:
            emulated = wish.operation if capabilities.way_of(wish, deployment, profile) == "emulated" else None
            found.append(Option(deployment, profile, not emulated and _ready(wish, profile, known), emulated))
        else:
            first = first or error
    if not found and first is not None:
        raise capabilities.advise(first, filter(caller.may_use, capabilities.able(deployments(), wish)))
    return sorted(found, key=lambda one: one.emulated is not None)


def earlier(attempt: Attempt[Job], deadline: float) -> Job | None:
    """Return the job of an earlier attempt of this call, or None if there is none.

    Raises what `Attempt.earlier` raises.
    """
    job = attempt.earlier(deadline)
    if job is not None and job.quiet:
        transitions.wake(job)
    return job


def place(
    draft: Job, choices: list[Option], attempt: Attempt[Job], limits: Limits, deadline: float
) -> tuple[Job, bool]:
    """Write the job, then submit it. Leave the submit to `run_job` if something slow comes first or came first.

    Returns the job, and whether another attempt of this call has made it meanwhile. Raises the ApiError for the caller
    if nothing was made, or if the outcome is unknown.
    """
    first, rest = choices[0], choices[1:]
    # Any of them may make the video, so the hold is the highest price.
    hold = max(orders.price(replace(draft, emulated=one.emulated), one.profile) for one in choices)
    longest = max(one.profile.deadline_seconds for one in choices)
    late_at = max(draft.late_at, draft.created_at) + longest  # the job may have to wait for its source
    draft = budget.opened(replace(draft, emulated=first.emulated, late_at=late_at), limits, hold)
    if not first.ready or time.monotonic() + SUBMIT_SECONDS > deadline:
        job = replace(draft, state="preparing", others=[one.deployment.id for one in rest], named=_named(draft, None))
        made = _begin(job, 1, attempt, limits, deadline)
        return made or job, made is not None
    job = replace(draft, submit_by=_submit_by(deadline))
    if made := _begin(job, routing.pace(first.deployment, job.model), attempt, limits, deadline):
        return made, True
    if time.monotonic() + SUBMIT_SECONDS > deadline:  # AWS was slow
        return _prepare(job, [one.deployment for one in choices]), False
    submit = _Submit(job, deadline)
    try:
        routing.try_in_turn([one for one in choices if one.ready], lambda one: one.deployment, submit)
    except Refused as refused:
        slower = [one.deployment for one in choices if not one.ready]
        if refused.reason is Reason.LOST:
            last = deployments().get(submit.job.deployment)
            if handles.forget(orders.cast_of(submit.job), last):
                return _prepare(submit.job, [last, *slower]), False
        if refused.movable and slower:
            return _prepare(submit.job, slower), False
        error = from_refusal(refused)
        attempt.refused(error, for_good=not refused.movable)
        transitions.discard(submit.job)
        raise error from refused
    except OutcomeUnknown as unknown:
        if submit.job.state == "unknown":
            return submit.job, False
        error = from_unknown(unknown)
        attempt.answered(error)
        raise error from unknown
    return submit.job, False


def submit(job: Job, deployment: Deployment, deadline: float) -> Job:
    """Send the order, once. Return the running job.

    Raises Refused, and OutcomeUnknown after it was recorded in the row.
    """
    call = _Submit(job, deadline)
    call(Option(deployment, routing.profile_of(deployment, job.model), ready=True, emulated=job.emulated))
    return call.job


def taken_by(job: Job, deployment: Deployment) -> dict[str, Any]:
    """Return the changes of the row when this deployment takes over the job."""
    changes = {**routing.made_at(deployment, job.model), "emulated": None}
    if job.operation == "extend":
        profile = routing.profile_of(deployment, job.model)
        source = Job.find(job.team, job.source) if job.source else None
        way = profile.way("extend", own=source is not None and orders.maker(source) == deployment.id)
        changes |= {"emulated": "extend" if way == "emulated" else None, "image": None}  # the new size may differ
    return changes


class _Submit:
    """Submits the same job to one deployment after another. `job` is the row as it was last written."""

    def __init__(self, job: Job, deadline: float) -> None:
        self.job, self._deadline = job, deadline

    def __call__(self, option: Option) -> None:
        deployment = option.deployment
        if self.job.deployment != deployment.id:
            self.job = transitions.move(self.job, "submitting", **taken_by(self.job, deployment))
        order = orders.order_of(self.job, deployment, option.profile)
        provider = load(deployment.provider)
        try:
            progress = call_provider(deployment, self._deadline, lambda account: provider.submit(account, order))
        except OutcomeUnknown as unknown:
            self.job = _lost(self.job, option.profile, unknown)
            raise
        made = {
            "seconds": progress.seconds or order.seconds or self.job.seconds,
            "size": progress.size or order.size or self.job.size,
        }
        try:
            self.job = transitions.ordered(
                self.job,
                progress.upstream_id,
                upstream_status="queued" if progress.status == "queued" else "in_progress",
                named=self.job.named or _named(self.job, progress.upstream_id),
                late_at=routing.late_at(deployment, self.job.model),
                **({} if self.job.emulated else made),  # an emulated job shows the whole video, not this part
            )
        except Exception:
            facts = {"video": self.job.id, "deployment": deployment.id, "upstream_id": progress.upstream_id}
            needs_attention("outcome_unknown", "a video was ordered, and its id could not be stored", **facts)
            raise


def _handles(wish: Wish, deployment: Deployment, profile: Profile) -> list[Handle | None]:
    """Return the deployment's handles of the characters, with None for a missing one; [] if it keeps none."""
    if not profile.characters.native:
        return []
    return [handles.find(character, deployment) for character in wish.characters]


def _refused_before(known: list[Handle | None]) -> ApiError | None:
    """Return the error if this deployment has refused a character for good, or None. Others may still take it."""
    for i, handle in enumerate(known):
        if handle is not None and handle.state == "refused":
            message = handle.message or "The provider refused this character."
            return InvalidRequest(message, param=f"characters[{i}]", code=handle.code or "moderation_blocked")
    return None


def _ready(wish: Wish, profile: Profile, known: list[Handle | None]) -> bool:
    brings_files = wish.has_image or wish.characters or wish.operation != "create"
    if wish.source_pending or (profile.slow_inputs and brings_files):
        return False
    if profile.characters.native:
        return all(handle is not None and handle.ready for handle in known)
    return not any(character.needs_trim(profile.characters) for character in wish.characters)


def _begin(job: Job, delay: float, attempt: Attempt[Job], limits: Limits, deadline: float) -> Job | None:
    """Write the job, and start the execution that drives it. If that fails, nothing is left of the job.

    Returns the job that another attempt of the call has made meanwhile, or None.
    """
    if made := _write(job, attempt, limits, deadline):
        return made
    try:
        transitions.begin(job, delay)
    except Exception:
        attempt.refused(None)
        raise
    return None


def _write(job: Job, attempt: Attempt[Job], limits: Limits, deadline: float) -> Job | None:
    """Write the job, the row of its call, and its slot and hold: all or nothing.

    If the key is over its limits, the expired slots are freed and the write is tried again. Returns the job that
    another attempt of the call has made meanwhile, or None.
    """
    taken = budget.take(job, limits)

    def write() -> Job | None:
        try:
            return attempt.write_together(job.id, deadline, *taken, job.new_row())
        except table.RowChanged as changed:
            raise budget.refused(taken[min(changed.failed)], limits) from None

    try:
        return write()
    except RateLimited:
        if not budget.drop_expired(job.payer):
            raise
        return write()


def _prepare(job: Job, slower: list[Deployment]) -> Job:
    first, *rest = slower
    return transitions.move(
        job,
        "preparing",
        **taken_by(job, first),
        others=[one.id for one in rest],
        named=Named(first.provider, first.id, job.id),
    )


def _lost(job: Job, profile: Profile, unknown: OutcomeUnknown) -> Job:
    if profile.findable:
        return transitions.move(job, "unknown", named=job.named or _named(job, None))
    return transitions.fail(job, "outcome_unknown", from_unknown(unknown).message, spent=job.hold)


def _named(job: Job, upstream_id: str | None) -> Named:
    return Named(job.provider, job.deployment, upstream_id or job.id)


def _submit_by(deadline: float) -> int:
    return int(time.time() + max(deadline - time.monotonic(), 0) + GRACE_SECONDS)

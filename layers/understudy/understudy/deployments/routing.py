"""Which deployment serves a call, and what happens if that deployment refuses.

New work is offered to the deployments that serve the model: first to `homes`, such as the deployment that its
characters were created on, then to the others in a random order by weight. An existing video is polled, downloaded and
deleted only at the deployment that made it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from understudy.deployments import circuits
from understudy.deployments.config import Deployment, Deployments, deployments
from understudy.errors import InvalidRequest, Ours, Refused
from understudy.providers import load

if TYPE_CHECKING:
    from understudy.providers.base import Profile

T = TypeVar("T")


def profile_of(deployment: Deployment, model: str) -> Profile:
    """Return what the model that callers know as `model` can do at this deployment."""
    return load(deployment.provider).profile(deployment.models.get(model, model), deployment.options)


def pace(deployment: Deployment, model: str) -> float:
    """Return the seconds between two polls of a job."""
    return deployment.poll_seconds or profile_of(deployment, model).poll_seconds


def made_at(deployment: Deployment, model: str) -> dict[str, Any]:
    """Return what a job's row says of the deployment that is to make the video.

    The row holds the pace, in milliseconds, so that code that only shows a job need not load deployments and providers.
    """
    return {
        "deployment": deployment.id,
        "provider": deployment.provider,
        "pace": round(pace(deployment, model) * 1000),
    }


def late_at(deployment: Deployment, model: str) -> int:
    """Return when a job that starts there now should be done, in unix seconds."""
    return int(time.time()) + profile_of(deployment, model).deadline_seconds


def begun_at(deployment: Deployment, model: str, late_at: int) -> int:
    """Return when a job began there that should be done at `late_at`, in unix seconds."""
    return late_at - profile_of(deployment, model).deadline_seconds


def candidates(
    deployments: Deployments, model: str, *, provider: str | None = None, homes: Iterable[str] = ()
) -> list[Deployment]:
    """Return the deployments for new work, in the order in which they are asked.

    `homes` (deployment ids) go first, also with weight 0. Raises NotFound for an unknown model, and InvalidRequest if
    `provider` (`custom_llm_provider`) or the weights leave no deployment.
    """
    group = [deployment for deployment in deployments.group(model) if deployment.weight or deployment.id in homes]
    if provider is not None:
        group = [deployment for deployment in group if deployment.provider == provider]
        if not group:
            message = f"custom_llm_provider: {model!r} has no deployment at {provider[:40]!r}. Leave the field out."
            raise InvalidRequest(message, param="custom_llm_provider")
    if not group:
        raise InvalidRequest(f"The model {model!r} accepts no new videos. Use another model.", param="model")
    home_order = list(homes)
    first = sorted((one for one in group if one.id in home_order), key=lambda one: home_order.index(one.id))
    return first + _by_weight([one for one in group if one.id not in home_order])


def try_in_turn(options: list[T], deployment_of: Callable[[T], Deployment], ask: Callable[[T], None]) -> T:
    """Ask each option once until an option takes the work, and return that option.

    A movable refusal opens the circuit of its deployment for a while, and the next option is asked. If all refuse, the
    last refusal is raised. A refusal for a reason of our own (Ours) is raised at once and opens no circuit. A single
    option is asked without a circuit breaker. If all circuits are open, the first option is asked anyway.
    """
    if len(options) == 1:
        ask(options[0])
        return options[0]
    refusal: Refused | None = None
    for option in options:
        try:
            circuits.guarded(deployment_of(option).id, lambda option=option: ask(option))  # type: ignore[misc]
            return option
        except circuits.Open:
            continue
        except circuits.Moved as moved:
            refusal = moved.refused
    if refusal is not None:
        raise refusal
    ask(options[0])
    return options[0]


def rest(deployment: Deployment, model: str, refused: Refused) -> None:
    """Open the circuit of a deployment that has refused work outside `try_in_turn`, if others serve the model, too.

    `refused` has to be movable. A refusal for a reason of our own (Ours) opens no circuit.
    """
    if isinstance(refused, Ours) or sum(model in one.models for one in deployments()) < 2:
        return

    def refuse() -> None:
        raise refused

    with suppress(circuits.Moved, circuits.Open):
        circuits.guarded(deployment.id, refuse)


def _by_weight(group: list[Deployment]) -> list[Deployment]:
    """Return the group in a random order by weight: the first deployment gets the work, the rest are fallbacks."""
    # The key u^(1/w), largest first, draws without replacement in proportion to w (Efraimidis and Spirakis, 2006).
    return sorted(group, key=lambda deployment: random.random() ** (1 / deployment.weight), reverse=True)  # noqa: S311

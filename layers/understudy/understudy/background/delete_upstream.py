"""Deletes at the provider what was deleted here, if the provider can. Callers do not wait for it."""

from __future__ import annotations

import time
from typing import Any

from understudy.deployments import routing
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment, deployments
from understudy.errors import ApiError, ProviderError, Refused
from understudy.providers import load
from understudy.telemetry import logger, needs_attention

DAY = 86_400  # how long a deletion is retried
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 900.0


def step(deletion: dict[str, Any], deadline: float) -> float | None:
    """Delete a video or a native character. Return the seconds until the next try, or None when nothing is left to do.

    `deletion` is what `store.executions` has started. After a day the operator is told.
    """
    deployment = deployments().find(deletion["deployment"])
    if deployment is None:
        logger.warning("not deleted at the provider: its deployment is not configured", extra=_facts(deletion))
        return None
    asked = 0.0
    try:
        if _delete(deletion, deployment, deadline):
            return None
    except (ProviderError, ApiError) as error:
        logger.warning("not deleted at the provider yet", extra={**_facts(deletion), "error": str(error)})
        asked = error.pause if isinstance(error, ProviderError) else 0.0
    age: float = time.time() - deletion["begun"]
    if age > DAY:
        close(deletion)
        return None
    return max(FIRST_PAUSE, min(age / 2, LONGEST_PAUSE), asked)


def close(deletion: dict[str, Any]) -> None:
    """Tell the operator that something was not deleted at the provider."""
    needs_attention("deletion_failed", "not deleted at the provider", **_facts(deletion))


def _delete(deletion: dict[str, Any], deployment: Deployment, deadline: float) -> bool:
    """Return False if the provider is still making the character. Raises ProviderError and ApiError."""
    provider, reference = load(deployment.provider), deletion["reference"]
    profile = routing.profile_of(deployment, deletion.get("model") or next(iter(deployment.models)))
    if deletion["delete"] == "video" and profile.delete:
        call_provider(deployment, deadline, lambda account: provider.delete(account, reference))
    if deletion["delete"] == "character" and profile.characters.deletable:
        if deletion.get("pending"):
            return _delete_pending(deployment, reference, deadline)
        call_provider(deployment, deadline, lambda account: provider.delete_character(account, reference))
    return True


def _delete_pending(deployment: Deployment, reference: str, deadline: float) -> bool:
    """Delete a native character that was pending when it was deleted here. Return False if it is still pending."""
    provider = load(deployment.provider)
    try:
        made = call_provider(deployment, deadline, lambda account: provider.poll_character(account, reference))
    except Refused as refused:
        if refused.movable:
            raise
        return True  # it was never made
    if made.ready:
        call_provider(deployment, deadline, lambda account: provider.delete_character(account, made.reference))
    return made.ready


def _facts(deletion: dict[str, Any]) -> dict[str, Any]:
    return {name: deletion[name] for name in ("delete", "deployment", "reference")}

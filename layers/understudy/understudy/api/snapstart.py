"""SnapStart: what goes into a function's snapshot, and what must not.

Lambda takes a snapshot if the template's parameter says so (docs/adr/0021), and starts many execution environments from
the same snapshot. The modules that a first call would import are in the snapshot. AWS clients with their connections
and credentials, secrets and ids are not in the snapshot, because the first call that needs them creates them. Only the
state of `random` would be in the snapshot. Deployments are chosen by `random`, so all environments would choose the
same deployments.
"""

from __future__ import annotations

import random
import sys

from understudy.settings import settings


def prepare() -> None:
    """Register the SnapStart hooks: imports before a snapshot, a new random seed after a restore.

    Without SnapStart, this function does nothing. It must be called while the function is imported: Lambda does not see
    hooks that are registered later.
    """
    if settings().initialization == "snap-start":
        from snapshot_restore_py import (  # type: ignore[import-untyped]  # the runtime brings it
            register_after_restore,
            register_before_snapshot,
        )

        register_before_snapshot(_import_the_rest)
        register_after_restore(random.seed)


def _import_the_rest() -> None:
    """Load what functions otherwise load with their first call. Without SnapStart, a call loads only what it uses."""
    from understudy import providers
    from understudy.access import rate_limit  # noqa: F401
    from understudy.api import bodies  # noqa: F401
    from understudy.deployments.config import deployments
    from understudy.jobs import idempotency  # noqa: F401
    from understudy.store import clients, secrets  # noqa: F401

    clients.load()
    for deployment in deployments():
        providers.load(deployment.provider)
    if schema := sys.modules.get("understudy.api.requests"):
        schema.build()

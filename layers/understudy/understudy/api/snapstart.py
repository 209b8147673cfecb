"""SnapStart: what goes into a function's snapshot, and what must not.

Lambda takes it where the template's parameter says so (docs/adr/0021), and starts many environments from the same one.
What a first call would import is in it. What an environment has to itself is not, for a call makes it that needs it:
clients of AWS and their connections and credentials, secrets, ids. One thing would be: where `random` stands, by which
deployments are drawn, so that all environments would draw the same ones.
"""

from __future__ import annotations

import random
import sys

from understudy.settings import settings


def prepare() -> None:
    """Have Lambda do this before it takes a snapshot and after it has restored one; without SnapStart, nothing.

    Has to be called while the function is imported: hooks that come later are not seen.
    """
    if settings().initialization == "snap-start":
        from snapshot_restore_py import (  # type: ignore[import-untyped]  # the runtime brings it
            register_after_restore,
            register_before_snapshot,
        )

        register_before_snapshot(_import_the_rest)
        register_after_restore(random.seed)


def _import_the_rest() -> None:
    """What functions otherwise load with their first call, which then pays for no more than it uses."""
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

"""A role has at most ten managed policies, which is IAM's quota in an account that has never asked for more."""

from __future__ import annotations

from typing import Any

from ministack.services import iam  # type: ignore[import-not-found]

POLICIES_PER_ROLE = 10  # IAM's page of quotas, 2026-11

attach_any = iam.attach_managed_policy


def attach_policy(role: dict[str, Any], policy: str) -> None:
    """Attach a managed policy to a role. Raises RuntimeError if the role has as many as IAM allows."""
    if len(role["AttachedPolicies"]) >= POLICIES_PER_ROLE:
        raise RuntimeError(f"LimitExceeded: Cannot exceed quota for PoliciesPerRole: {POLICIES_PER_ROLE}")
    attach_any(role, policy)


def install() -> None:
    """Count the policies of a role."""
    iam.attach_managed_policy = attach_policy

"""Calls to a deployment's provider, with base URL, key and deadline. One retry if the key was just rotated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from understudy.deployments.config import Deployment
from understudy.errors import Reason, Refused
from understudy.network.http_client import Client
from understudy.providers.base import Account
from understudy.store.secrets import provider_key
from understudy.telemetry import needs_attention

T = TypeVar("T")


def call_provider(deployment: Deployment, deadline: float, ask: Callable[[Account], T]) -> T:
    """Call a provider with the deployment's account; `deadline` is in `time.monotonic()` seconds.

    A 401 may only mean that the key was rotated within the last minute. Nothing was made, so if the secret now holds
    another key, the call is retried once with that key. Raises what `ask` raises, and Refused if the key cannot be
    read.
    """

    def account(key: str | None) -> Account:
        return Account(deployment.base_url, key, Client(deadline), deployment.options)

    try:
        key = provider_key(deployment.secret)
        try:
            return ask(account(key))
        except Refused as refused:
            if refused.reason is not Reason.CREDENTIALS or refused.status != 401:
                raise
            fresh = provider_key(deployment.secret, fresh=True)
            if fresh == key:
                raise
            return ask(account(fresh))
    except Refused as refused:
        if refused.reason is Reason.CREDENTIALS:
            needs_attention("provider_credentials", "provider refused our key", deployment=deployment.id)
        raise

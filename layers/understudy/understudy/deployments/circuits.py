"""A circuit breaker for each deployment. A movable refusal opens the circuit for a while, so that others are asked.

A refusal for a reason of our own opens no circuit: one caller's slow request must not switch failover off for others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from understudy.errors import Ours, Refused
from understudy.settings import settings
from understudy.store import table
from understudy.store.clients import dynamodb

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

OPEN_SECONDS = 30


class Open(Exception):
    """The circuit is open, so the deployment was not asked."""


class Moved(Exception):
    """A movable refusal, as the exception type that the circuit breaker counts."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused


def guarded(deployment_id: str, ask: Callable[[], None]) -> None:
    """Call `ask`, unless the deployment's circuit is open.

    Raises Open if the circuit is open, Moved for a refusal that opens the circuit, and what else `ask` raises.
    """
    from aws_lambda_powertools.utilities.circuit_breaker import (
        CircuitBreakerConfig,
        CircuitBreakerOpenError,
        circuit_breaker,
    )

    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout=OPEN_SECONDS, success_threshold=1, handled_exceptions=Moved
    )

    @circuit_breaker(name=deployment_id, persistence_store=_store(), config=config)
    def counted() -> None:
        try:
            ask()
        except Ours:
            raise
        except Refused as refused:
            if refused.movable:
                raise Moved(refused) from refused
            raise

    try:
        counted()
    except CircuitBreakerOpenError as error:
        raise Open(deployment_id) from error


@cache
def _store() -> CircuitBreakerDynamoDBPersistence:
    from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

    return CircuitBreakerDynamoDBPersistence(
        table_name=settings().table_name,
        key_attr=table.PARTITION,
        sort_key_attr=table.SORT,
        static_pk_value=table.CIRCUIT,
        expiry_attr=table.TTL,
        boto3_client=dynamodb(),
    )

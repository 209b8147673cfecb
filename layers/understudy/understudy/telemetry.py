"""The one logger, and the two metrics that have an alarm (template.yaml).

Prompts are personal data, and keys are secrets. Neither is ever passed to the logger.
"""

from __future__ import annotations

from typing import Literal

from aws_lambda_powertools import Logger

logger = Logger()


def count(what: Literal["ProviderCredentialsRefused", "OutcomeUnknown"]) -> None:
    """Add one to a metric. The metric is sent with the logs."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(name=what, unit=MetricUnit.Count, value=1):
        pass

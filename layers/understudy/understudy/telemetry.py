"""The one logger, and the one metric of ours that has an alarm (template.yaml).

Prompts are personal data, and keys are secrets. Neither is ever passed to the logger.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from aws_lambda_powertools import Logger

logger = Logger()


Attention = Literal[
    "provider_credentials",
    "outcome_unknown",
    "deployment_removed",
    "step_died",
    "upload_died",
    "deletion_failed",
    "job_not_driven",
]


def needs_attention(what: Attention, message: str, **facts: Any) -> None:
    """Log an error that the operator has to look at, and count it in the metric that has an alarm.

    `facts` are added to the log line, such as the id of a video. A line about something that died has the traceback.
    """
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    died = what in {"step_died", "upload_died"} and sys.exc_info()[0] is not None
    logger.error(message, extra={"attention": what, **facts}, exc_info=died)
    with single_metric(name="NeedsAttention", unit=MetricUnit.Count, value=1):
        pass

"""The one logger. Prompts are personal data and keys are keys: neither is ever passed to it."""

from __future__ import annotations

from aws_lambda_powertools import Logger

logger = Logger()

"""A stack as `understudy doctor` sees it: AWS's answers about the stack, each fetched once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from understudy.deployments.config import Deployment

TIMES = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})


class Unknown(Exception):
    """An earlier check did not find what is needed here. The message says what is missing."""


def _client(service: str) -> Any:
    return boto3.client(service, config=TIMES)  # type: ignore[call-overload]


def _region() -> str | None:
    return boto3.Session().region_name


class Stack:
    """The stack under examination, and what the checks have found so far.

    `options` are the options that choose this stack in other commands, such as ` --stack studio`. `client` makes a
    client for an AWS service. `find_region` returns the chosen region.
    """

    def __init__(
        self,
        name: str,
        options: str = "",
        client: Callable[[str], Any] = _client,
        find_region: Callable[[], str | None] = _region,
    ) -> None:
        self.name, self.options, self.find_region, self._client = name, options, find_region, client
        self.region: str | None = None
        self.accepted = False  # the credentials, by AWS
        self.skew: float | None = None  # seconds that this machine's clock is ahead of AWS's
        self.description: dict[str, Any] | None = None  # by CloudFormation
        self.deployments: list[Deployment] = []
        self.secrets: dict[str, Any] = {}  # by reference: the result of the check

    def client(self, service: str) -> Any:
        """Return a client for an AWS service. Raises Unknown if no call can succeed."""
        if not self.region:
            raise Unknown("This needs a region.")
        if not self.accepted and service != "sts":
            raise Unknown("This needs credentials that AWS accepts.")
        return self._client(service)

    @property
    def described(self) -> dict[str, Any]:
        """The stack's description. Raises Unknown if there is none."""
        if self.description is None:
            raise Unknown("This needs the stack.")
        return self.description

    @property
    def local(self) -> bool:
        """Whether the stack runs on a local AWS. Raises Unknown if there is no description."""
        return bool(_parameters(self.described).get("LocalEndpoint"))

    def parameter(self, name: str) -> str | None:
        """Return the value with which the stack was deployed, or None if it is not known."""
        return _parameters(self.description or {}).get(name)

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs. Raises Unknown if there is no description."""
        return {one["OutputKey"]: one["OutputValue"] for one in self.described.get("Outputs", [])}

    def output(self, name: str) -> str:
        """Return one of the stack's outputs. Raises Unknown if it is missing."""
        if name not in self.outputs:
            raise Unknown(f"This needs the stack's output {name}.")
        return self.outputs[name]

    @cached_property
    def alarms(self) -> list[dict[str, Any]]:
        """The stack's alarms, without those of a stack whose name only begins with this stack's name."""
        prefix = f"{self.described['StackName']}-"
        try:
            pages = self.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
            found = [alarm for page in pages for alarm in page.get("MetricAlarms", [])]
        except (BotoCoreError, ClientError) as error:
            if self.local:
                raise Unknown("This local AWS does not list alarms.") from error
            raise
        # CloudFormation's names: the stack's, the resource's in the template, a random part.
        return [one for one in found if re.fullmatch(r"\w+Alarm-\w+", one["AlarmName"].removeprefix(prefix))]


def _parameters(description: dict[str, Any]) -> dict[str, str | None]:
    return {one["ParameterKey"]: one.get("ParameterValue") for one in description.get("Parameters", [])}

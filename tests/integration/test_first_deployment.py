"""A first deployment that fails leaves nothing behind, and a second one of the same name works."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.settings import STACK
from local.stack import sam
from tests.integration.live import Stack

NAME = "first"
PATIENCE = 120.0  # seconds for some 150 resources
KEPT = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"}
ELEVEN = [f"arn:aws:iam::aws:policy/Policy{n}" for n in range(11)]  # one more than IAM attaches to a role


class Formation:
    """CloudFormation of the local AWS, for a stack beside the deployed one."""

    def __init__(self, stack: Stack) -> None:
        self._client: Any = stack.settings.client("cloudformation")
        self._settings = stack.settings
        self._s3: Any = stack.settings.client("s3")
        self._parameters = sam.parameters(stack.settings)
        body = self._client.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
        # Of the deployed stack, with the addresses of what was uploaded for it.
        self.template: dict[str, Any] = dict(body if isinstance(body, dict) else json.loads(body))

    def create(self, template: dict[str, Any]) -> str:
        """Create the stack, and return its last state."""
        self._s3.put_object(Bucket=sam.ARTIFACTS, Key=f"{NAME}.json", Body=json.dumps(template).encode())
        self._client.create_stack(
            StackName=NAME,
            TemplateURL=f"{self._s3.meta.endpoint_url}/{sam.ARTIFACTS}/{NAME}.json",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in self._parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        return self.settled()

    def settled(self) -> str:
        """Wait until nothing is in progress, and return the stack's state; "" if there is no stack."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            stacks = [one for one in self._client.list_stacks()["StackSummaries"] if one["StackName"] == NAME]
            state = str(stacks[0]["StackStatus"]) if stacks else ""
            if not state.endswith("_IN_PROGRESS"):
                return state
            time.sleep(0.2)
        raise AssertionError(f"still {state}")

    def made(self) -> set[str]:
        """Return the ids of the tables, buckets and secrets that the stack has ever made."""
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=NAME)
        return {
            event["PhysicalResourceId"]
            for page in pages
            for event in page["StackEvents"]
            if event["ResourceStatus"] == "CREATE_COMPLETE" and event["ResourceType"] in KEPT
        }

    def there(self) -> set[str]:
        """Return the ids of all tables, buckets and secrets that there are."""
        tables = self._settings.client("dynamodb").list_tables()["TableNames"]
        buckets = [one["Name"] for one in self._s3.list_buckets()["Buckets"]]
        secrets = self._settings.client("secretsmanager").list_secrets(MaxResults=100)["SecretList"]
        return {*tables, *buckets, *(one["ARN"] for one in secrets), *(one["Name"] for one in secrets)}

    def delete(self) -> None:
        self._client.delete_stack(StackName=NAME)
        self.settled()


@pytest.fixture
def formation(stack: Stack) -> Iterator[Formation]:
    formation = Formation(stack)
    yield formation
    formation.delete()


def test_a_failure_is_rolled_back_and_the_next_deployment_works(formation: Formation) -> None:
    broken = json.loads(json.dumps(formation.template))
    role = broken["Resources"]["RunJobFunctionRole"]
    role["Properties"]["ManagedPolicyArns"] = ELEVEN
    role["DependsOn"] = ["Table", "Bucket", "IdSecret"]  # so that they are made before the failure
    assert formation.create(broken) == "ROLLBACK_COMPLETE"
    assert len(formation.made()) == len(KEPT)
    assert formation.made() & formation.there() == set()
    formation.delete()
    assert formation.create(formation.template) == "CREATE_COMPLETE"
    kept = formation.made()
    assert kept <= formation.there()
    formation.delete()
    assert kept <= formation.there()  # of a stack that has worked, they stay: characters, videos, ids

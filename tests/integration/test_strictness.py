"""The local AWS refuses what Amazon's refuses."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from local.lambda_ import functions
from local.settings import REGION
from tests.integration.live import PATIENCE, Api, Stack

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def _create(stack: Stack, name: str, policies: int) -> tuple[str, str]:
    """Deploy a stack of one role with that many managed policies. Return the stack's state and why it failed."""
    formation: Any = stack.settings.client("cloudformation")
    arns = [f"arn:aws:iam::aws:policy/Policy{n}" for n in range(policies)]
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": TRUST, "ManagedPolicyArns": arns},
    }
    body = json.dumps({"Resources": {"Role": role}})
    formation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        state = formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if not state.endswith("_IN_PROGRESS"):
            events = formation.describe_stack_events(StackName=name)["StackEvents"]
            return state, " ".join(event.get("ResourceStatusReason", "") for event in events)
        time.sleep(0.2)
    raise AssertionError(f"{name} is still {state}")


def test_a_role_with_more_policies_than_iam_takes_is_not_deployed(stack: Stack) -> None:
    assert _create(stack, "ten-policies", 10)[0] == "CREATE_COMPLETE"
    state, why = _create(stack, "eleven-policies", 11)
    assert state.startswith("ROLLBACK")
    assert "PoliciesPerRole: 10" in why


def _as(stack: Stack, function: str, service: str = "dynamodb") -> Any:
    """Return a client with the rights of a function."""
    environment = functions.load(stack.settings, function).environment
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name=REGION,
        endpoint_url=stack.settings.aws_url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment["AWS_SESSION_TOKEN"],
    )


@pytest.mark.parametrize("function", ["get_video", "sign_parts", "create_video", "run_job", "ingest_upload"])
def test_no_function_can_make_an_api_key_or_widen_one(stack: Stack, function: str) -> None:
    client, table = _as(stack, function), stack.outputs["TableName"]
    place = {"pk": {"S": "key#forged"}, "sk": {"S": "key"}}
    tries = {
        "put": lambda: client.put_item(TableName=table, Item={**place, "team": {"S": "local"}}),
        "update": lambda: client.update_item(
            TableName=table,
            Key=place,
            UpdateExpression="SET team = :team",
            ExpressionAttributeValues={":team": {"S": "local"}},
        ),
        "delete": lambda: client.delete_item(TableName=table, Key=place),
    }
    for name, attempt in tries.items():
        with pytest.raises(ClientError) as caught:
            attempt()
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException", name


def test_the_authorizer_reads_keys_only(stack: Stack, api: Api) -> None:
    client, table = _as(stack, "authorizer"), stack.outputs["TableName"]
    assert "Item" not in client.get_item(TableName=table, Key={"pk": {"S": "key#none"}, "sk": {"S": "key"}})
    with pytest.raises(ClientError) as caught:
        client.get_item(TableName=table, Key={"pk": {"S": "team#local"}, "sk": {"S": "video#x"}})
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


def test_an_object_that_does_not_exist_is_forbidden_without_the_right_to_list(stack: Stack) -> None:
    bucket, key = stack.outputs["BucketName"], "media/videos/local/none/video.mp4"
    for client, status, code in (
        (_as(stack, "run_job", "s3"), 403, "AccessDenied"),
        (stack.settings.client("s3"), 404, "NoSuchKey"),
    ):
        with pytest.raises(ClientError) as caught:
            client.get_object(Bucket=bucket, Key=key)
        assert caught.value.response["Error"]["Code"] == code
        with pytest.raises(ClientError) as caught:
            client.head_object(Bucket=bucket, Key=key)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:4001"}, 403),
    ],
)
def test_no_web_page_uses_the_local_aws(stack: Stack, headers: dict[str, str], status: int) -> None:
    assert httpx.get(f"{stack.settings.aws_url}/_ministack/health", headers=headers).status_code == status


@pytest.mark.parametrize("guess", ["test", "123456789012", "000000000000"])
def test_the_root_credentials_cannot_be_guessed(stack: Stack, guess: str) -> None:
    client = boto3.client(
        "sts",
        region_name=REGION,
        endpoint_url=stack.settings.aws_url,
        aws_access_key_id=guess,
        aws_secret_access_key="test",
    )
    with pytest.raises(ClientError):
        client.get_caller_identity()
    assert (stack.settings.folder / "root.json").stat().st_mode & 0o077 == 0

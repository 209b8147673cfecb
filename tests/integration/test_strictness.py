"""The local AWS refuses what Amazon's refuses."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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


NOBODY = {"team": "local", "video": "0" * 28, "begun": 0, "next": {"seconds": 1}}  # a job that does not exist


@contextmanager
def _machine(stack: Stack, definition: dict[str, Any], role: str = "run_job") -> Iterator[str]:
    """Make a state machine with the role of a function, and yield the machine's ARN."""
    client = stack.settings.client("stepfunctions")
    role_arn = _function(stack, role)["Role"]
    name = f"strict-{uuid.uuid4()}"
    made = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role_arn)
    try:
        yield made["stateMachineArn"]
    finally:
        client.delete_state_machine(stateMachineArn=made["stateMachineArn"])


def _function(stack: Stack, name: str) -> dict[str, Any]:
    client = stack.settings.client("lambda")
    return dict(client.get_function_configuration(FunctionName=functions.deployed_name(name)))


def _calling(stack: Stack, **more: Any) -> dict[str, Any]:
    """Return the definition of a machine that calls run_job once."""
    task = {"Type": "Task", "Resource": _function(stack, "run_job")["FunctionArn"], "End": True, **more}
    return {"StartAt": "Step", "States": {"Step": task}}


def _ended(client: Any, arn: str, *, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait until the execution has ended, and return its description."""
    until = time.monotonic() + seconds
    while (found := dict(client.describe_execution(executionArn=arn)))["status"] == "RUNNING":
        assert time.monotonic() < until, found
        time.sleep(0.1)
    return found


@pytest.mark.parametrize(
    ("function", "starts", "describes"),
    [("create_video", True, False), ("sweep_jobs", True, True), ("list_models", False, False)],
)
def test_a_function_does_with_executions_what_its_role_allows(
    stack: Stack, function: str, starts: bool, describes: bool
) -> None:
    client, machine = _as(stack, function, "stepfunctions"), stack.outputs["JobMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:nobody"
    begun = {"name": f"strict-{uuid.uuid4()}", "input": json.dumps(NOBODY)}
    tries = {
        "start": (starts, lambda: client.start_execution(stateMachineArn=machine, **begun), None),
        "start another": (False, lambda: client.start_execution(stateMachineArn=f"{machine}-too", **begun), None),
        "describe": (describes, lambda: client.describe_execution(executionArn=execution), "ExecutionDoesNotExist"),
        "describe another": (
            False,
            lambda: client.describe_execution(executionArn=execution.replace("-jobs:", "-others:")),
            None,
        ),
        "stop": (False, lambda: client.stop_execution(executionArn=execution), None),
        "list": (False, lambda: client.list_executions(stateMachineArn=machine), None),
    }
    for name, (allowed, attempt, code) in tries.items():
        if allowed and code is None:
            attempt()
            continue
        with pytest.raises(ClientError) as caught:
            attempt()
        assert caught.value.response["Error"]["Code"] == (code if allowed else "AccessDeniedException"), name


def test_the_same_start_again_is_answered_with_the_running_execution(stack: Stack) -> None:
    client = stack.settings.client("stepfunctions")
    with _machine(stack, {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 300, "End": True}}}) as arn:
        start = {"stateMachineArn": arn, "name": "one", "input": json.dumps({"a": 1})}
        first, again = client.start_execution(**start), client.start_execution(**start)
        assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
        with pytest.raises(client.exceptions.ExecutionAlreadyExists):
            client.start_execution(**{**start, "input": json.dumps({"a": 2})})
        client.stop_execution(executionArn=first["executionArn"])
        with pytest.raises(client.exceptions.ExecutionAlreadyExists):
            client.start_execution(**start)


@pytest.mark.parametrize(("role", "error"), [("create_video", "Lambda.AWSLambdaException"), (None, None)])
def test_a_machine_calls_only_what_its_role_may_call(stack: Stack, role: str | None, error: str | None) -> None:
    client, machine = stack.settings.client("stepfunctions"), stack.outputs["JobMachineArn"]
    if role is None:  # the deployed machine, with its own role
        begun = client.start_execution(stateMachineArn=machine, name=f"strict-{uuid.uuid4()}", input=json.dumps(NOBODY))
        assert _ended(client, begun["executionArn"])["status"] == "SUCCEEDED"
        return
    with _machine(stack, _calling(stack), role) as arn:
        begun = client.start_execution(stateMachineArn=arn, input=json.dumps(NOBODY))
        ended = _ended(client, begun["executionArn"])
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert "not authorized to perform: lambda:InvokeFunction" in ended["cause"]


def test_an_execution_ends_after_the_timeout_of_its_machine(stack: Stack) -> None:
    client = stack.settings.client("stepfunctions")
    wait = {"Wait": {"Type": "Wait", "Seconds": 300, "End": True}}
    with _machine(stack, {"StartAt": "Wait", "TimeoutSeconds": 1, "States": wait}) as arn:
        begun = client.start_execution(stateMachineArn=arn)
        assert _ended(client, begun["executionArn"], seconds=20)["status"] == "TIMED_OUT"


def test_a_stopped_execution_stays_stopped_although_its_task_fails(stack: Stack) -> None:
    client = stack.settings.client("stepfunctions")
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 1}]
    with _machine(stack, _calling(stack, Retry=retry), "create_video") as machine:  # whose role may not call run_job
        arn = client.start_execution(stateMachineArn=machine, input="{}")["executionArn"]

        def wait_for_failures(number: int) -> None:
            until = time.monotonic() + PATIENCE
            found = 0
            while found < number:
                assert time.monotonic() < until, f"{found} failures"
                time.sleep(0.1)
                events = client.get_execution_history(executionArn=arn)["events"]
                found = sum(one["type"] == "TaskFailed" for one in events)

        wait_for_failures(1)
        client.stop_execution(executionArn=arn)
        wait_for_failures(2)
        time.sleep(0.5)
        assert client.describe_execution(executionArn=arn)["status"] == "ABORTED"

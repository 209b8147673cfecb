"""`understudy doctor`: every check is shown to succeed, and to fail at least once."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound
from botocore.stub import Stubber
from click.testing import CliRunner

from understudy.deployments.config import Deployments
from understudy.jobs.job import Job
from understudy_cli import checks, doctor
from understudy_cli.checks import Result
from understudy_cli.main import main
from understudy_cli.stacks import Stack

ROOT = Path(__file__).parents[2]
OUTPUTS = {name: f"the {name}" for name in checks.OUTPUTS} | {"DeadLettersUrl": "https://sqs.example/1/dead"}
OUTPUTS["JobMachineArn"] = "arn:aws:states:eu-north-1:123456789012:stateMachine:studio-jobs"
TOML = """
[deployments.one]
provider = "xai"
base_url = "https://one.example/v1"
secret = "secretsmanager:{stack}/one"
models = { "sora-2" = "grok-imagine-video" }
default = true

[deployments.two]
provider = "xai"
base_url = "https://two.example/v1"
secret = "ssm:/{stack}/two"
models = { "sora-2" = "grok-imagine-video" }

[deployments.again]
provider = "xai"
base_url = "https://two.example/v1"
secret = "ssm:/{stack}/two"
models = { "again" = "grok-imagine-video" }

[deployments.rack]
provider = "hosted_vllm"
base_url = "http://10.0.0.7:8091/v1"
models = { "wan" = "wan-2.2" }
"""


class Aws:
    """Stubbed AWS clients. A call that was not expected raises."""

    def __init__(self) -> None:
        self._clients: dict[str, tuple[Any, Stubber]] = {}

    def client(self, service: str) -> Any:
        return self._stub(service)[0]

    def answers(self, service: str, call: str, answer: dict[str, Any], expected: dict[str, Any] | None = None) -> None:
        self._stub(service)[1].add_response(call, answer, expected)

    def refuses(self, service: str, call: str, code: str, message: str = "No.", **details: Any) -> None:
        self._stub(service)[1].add_client_error(call, code, message, response_meta=details or None)

    def all_asked(self) -> None:
        for _, stub in self._clients.values():
            stub.assert_no_pending_responses()

    def _stub(self, service: str) -> tuple[Any, Stubber]:
        if service not in self._clients:
            given = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            client = boto3.client(service, region_name="eu-north-1", **given)  # type: ignore[call-overload]
            stub = Stubber(client)
            stub.activate()
            self._clients[service] = client, stub
        return self._clients[service]


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def stack(aws: Aws) -> Stack:
    """A stack whose region, credentials and description have been checked."""
    stack = Stack("studio", " --stack studio", aws.client, lambda: "eu-north-1")
    stack.region, stack.accepted, stack.description = "eu-north-1", True, description()
    return stack


def description(status: str = "UPDATE_COMPLETE", leave_out: str = "", **parameters: str) -> dict[str, Any]:
    return {
        "StackName": "studio",
        "CreationTime": "2026-11-01T00:00:00Z",
        "StackStatus": status,
        "Outputs": [{"OutputKey": key, "OutputValue": OUTPUTS[key]} for key in OUTPUTS if key != leave_out],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }


def alarm(name: str = "studio-ApiErrorsAlarm-1X", state: str = "OK", **more: Any) -> dict[str, Any]:
    topic = ["arn:aws:sns:eu-north-1:123456789012:topic"]
    given = {"AlarmName": name, "StateValue": state, "AlarmDescription": "The API answered with 5XX"}
    return given | {"AlarmActions": topic, "ActionsEnabled": True} | more


def identity(ahead: float = 0) -> dict[str, Any]:
    """The answer of STS to a machine whose clock is ahead by so many seconds."""
    headers = {"date": formatdate(time.time() - ahead, usegmt=True)}
    meta = {"HTTPHeaders": headers, "HTTPStatusCode": 200}
    return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada", "ResponseMetadata": meta}


def check_stack(aws: Aws, stack: Stack, **described: Any) -> Result:
    aws.answers("cloudformation", "describe_stacks", {"Stacks": [description(**described)]}, {"StackName": "studio"})
    return checks.check_stack(stack)


def test_the_region(stack: Stack) -> None:
    assert checks.check_region(stack) == Result("ok", "eu-north-1.")


def test_no_region(aws: Aws) -> None:
    stack = Stack("studio", "", aws.client, lambda: None)
    assert checks.check_region(stack).state == "failure"
    assert checks.guarded(checks.check_credentials, stack) == Result("not checked", "This needs a region.")


def test_no_such_profile(aws: Aws) -> None:
    def find() -> str:
        raise ProfileNotFound(profile="nobody")

    result = checks.check_region(Stack("studio", "", aws.client, find))
    assert (result.state, "nobody" in result.found, "--profile" in result.todo) == ("failure", True, True)


def test_credentials(aws: Aws, stack: Stack) -> None:
    stack.accepted = False
    aws.answers("sts", "get_caller_identity", identity())
    assert checks.check_credentials(stack) == Result("ok", "Account 123456789012, arn:aws:iam::123456789012:user/ada.")
    assert stack.accepted


def test_credentials_that_aws_refuses(aws: Aws, stack: Stack) -> None:
    stack.accepted = False
    aws.refuses("sts", "get_caller_identity", "ExpiredToken", "The security token is expired")
    result = checks.check_credentials(stack)
    assert (result.state, "token is expired" in result.found, "--profile" in result.todo) == ("failure", True, True)
    for check in (checks.check_stack, checks.check_concurrency):
        assert checks.guarded(check, stack) == Result("not checked", "This needs credentials that AWS accepts.")


def test_no_credentials(stack: Stack) -> None:
    class Sts:
        def get_caller_identity(self) -> None:
            raise NoCredentialsError

    stack._client = lambda service: Sts()
    assert checks.check_credentials(stack).state == "failure"
    assert checks.guarded(checks.check_clock, stack).state == "not checked"


@pytest.mark.parametrize(
    ("ahead", "state", "word"),
    [
        (0, "ok", "differs"),
        (50, "ok", "differs"),
        (90, "warning", "90 s ahead"),
        (-90, "warning", "90 s behind"),
        (400, "failure", "400 s ahead"),
        (-400, "failure", "400 s behind"),
    ],
)
def test_the_clock(aws: Aws, stack: Stack, ahead: float, state: str, word: str) -> None:
    # The header has whole seconds, so the difference may be seen as one second more.
    aws.answers("sts", "get_caller_identity", identity(ahead - 0.5))
    checks.check_credentials(stack)
    stack.skew = round((stack.skew or 0) / 10) * 10
    result = checks.check_clock(stack)
    assert (result.state, word in result.found, bool(result.todo)) == (state, True, state != "ok")


def test_the_clock_is_known_from_a_refusal(aws: Aws, stack: Stack) -> None:
    """A wrong clock is the reason why AWS refuses the credentials, so the check has to work then."""
    date = {"date": formatdate(time.time() - 3600, usegmt=True)}
    aws.refuses("sts", "get_caller_identity", "SignatureDoesNotMatch", "Signature not yet current", HTTPHeaders=date)
    assert checks.check_credentials(stack).state == "failure"
    assert checks.check_clock(stack).state == "failure"


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_COMPLETE"])
def test_the_stack(aws: Aws, stack: Stack, status: str) -> None:
    assert check_stack(aws, stack, status=status).state == "ok"


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_stack_that_works_though_its_update_did_not_succeed(aws: Aws, stack: Stack, status: str) -> None:
    result = check_stack(aws, stack, status=status)
    assert (result.state, status in result.found) == ("warning", True)


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"])
def test_a_stack_in_a_bad_state(aws: Aws, stack: Stack, status: str) -> None:
    result = check_stack(aws, stack, status=status)
    assert (result.state, status in result.found, bool(result.todo)) == ("failure", True, True)


def test_a_stack_without_an_output(aws: Aws, stack: Stack) -> None:
    result = check_stack(aws, stack, leave_out="DeadLettersUrl")
    assert (result.state, result.found) == ("failure", "Stack 'studio' lacks outputs: DeadLettersUrl.")
    unknown = Result("not checked", "This needs the stack's output DeadLettersUrl.")
    assert checks.guarded(checks.check_dead_letters, stack) == unknown


def test_no_such_stack(aws: Aws, stack: Stack) -> None:
    stack.description = None
    aws.refuses("cloudformation", "describe_stacks", "ValidationError", "Stack with id studio does not exist")
    result = checks.check_stack(stack)
    assert (result.state, "--stack" in result.todo) == ("failure", True)
    for check in (checks.check_dead_letters, checks.check_alarms, checks.check_table_protection, checks.check_given_up):
        assert checks.guarded(check, stack) == Result("not checked", "This needs the stack.")


def test_the_outputs_are_those_of_the_template() -> None:
    text = (ROOT / "template.yaml").read_text("utf-8").partition("\nOutputs:\n")[2]
    assert tuple(re.findall(r"^  (\w+):$", text, re.MULTILINE)) == checks.OUTPUTS


def test_the_concurrency_is_that_of_the_template() -> None:
    text = (ROOT / "template.yaml").read_text("utf-8")
    most = [int(number) for number in re.findall(r"MaximumConcurrency: (\d+)", text)]
    assert most == [checks.INGEST_UPLOAD]


def concurrency(aws: Aws, stack: Stack, free: int) -> Result:
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": free}
    aws.answers("lambda", "get_account_settings", {"AccountLimit": limit})
    return checks.check_concurrency(stack)


@pytest.mark.parametrize(
    ("free", "state", "calls"), [(1000, "ok", 495), (100, "ok", 45), (99, "warning", 44), (39, "failure", 14)]
)
def test_the_concurrency(aws: Aws, stack: Stack, free: int, state: str, calls: int) -> None:
    result = concurrency(aws, stack, free)
    assert (result.state, f"{calls} calls at once" in result.found) == (state, True)
    assert ("Concurrent executions" in result.todo) == (state != "ok")


@pytest.mark.parametrize(
    ("reserved", "said"),
    [("0", "less the steps of jobs that run."), ("20", "and run_job has 20 of its own.")],
)
def test_the_concurrency_of_run_job(aws: Aws, stack: Stack, reserved: str, said: str) -> None:
    stack.description = description(RunJobConcurrency=reserved)
    assert said in concurrency(aws, stack, 1000).found


def job(touched: float, **changes: Any) -> Job:
    """Return a job whose last step was so many seconds ago."""
    facts = {"operation": "create", "state": "running", "model": "sora-2", "deployment": "one", "provider": "openai"}
    given = {"team": "blue", "id": "0" * 28, "prompt": "", "created_at": 0, **facts, **changes}
    return Job(**given, touched_at=int(time.time() - touched))


def check_jobs(stack: Stack, monkeypatch: pytest.MonkeyPatch, *found: Job) -> Result:
    monkeypatch.setenv("TABLE_NAME", "")  # restores what the check sets
    monkeypatch.setattr(checks.jobs, "unfinished", lambda before: iter(found))
    return checks.guarded(checks.check_jobs, stack)


def test_jobs_that_are_driven(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_jobs(stack, monkeypatch).state == "ok"
    assert check_jobs(stack, monkeypatch, job(1700), job(9999, state="completed")).state == "ok"


def test_a_quiet_job_that_the_sweep_will_see(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    result = check_jobs(stack, monkeypatch, job(10), job(1900, id="1" * 28), job(1850, id="2" * 28))
    assert result.state == "warning"
    assert result.found == f"Jobs without a step for 30 minutes: 2. The first is {'1' * 28}."
    assert "once an hour" in result.todo
    assert f"`understudy jobs show {'1' * 28} --stack studio`" in result.todo


def test_a_quiet_job_that_the_sweep_should_have_seen(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    result = check_jobs(stack, monkeypatch, *(job(7200, id=f"{n:028x}") for n in range(50)))
    assert (result.state, "10 or more" in result.found) == ("failure", True)
    assert "sweep_jobs has not looked after it." in result.found
    assert "log of sweep_jobs" in result.todo


def test_jobs_of_no_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.description = None
    assert check_jobs(stack, monkeypatch) == Result("not checked", "This needs the stack.")


def check_given_up(aws: Aws, stack: Stack, **hours: float) -> Result:
    """Return the result for executions that failed so many hours ago, by name."""
    now = datetime.now(UTC)
    arn = "arn:aws:states:eu-north-1:123456789012:execution:studio-jobs:"
    facts = {"stateMachineArn": OUTPUTS["JobMachineArn"], "status": "FAILED", "startDate": now - timedelta(days=9)}
    failed = [
        {"name": name, "executionArn": f"{arn}{name}", "stopDate": now - timedelta(hours=ago), **facts}
        for name, ago in hours.items()
    ]
    asked = {"stateMachineArn": OUTPUTS["JobMachineArn"], "statusFilter": "FAILED", "maxResults": 100}
    aws.answers("stepfunctions", "list_executions", {"executions": failed}, asked)
    return checks.check_given_up(stack)


def test_no_execution_was_given_up(aws: Aws, stack: Stack) -> None:
    assert check_given_up(aws, stack).state == "ok"
    assert check_given_up(aws, stack, a=25).state == "ok"


def test_executions_that_were_given_up(aws: Aws, stack: Stack) -> None:
    result = check_given_up(aws, stack, a=25, b=23, c=1)
    assert (result.state, "in the last day: 2. The last is b." in result.found) == ("warning", True)
    assert "`understudy jobs show b --stack studio` and the log of run_job say why." in result.todo


@pytest.mark.parametrize(("on", "state"), [(True, "ok"), (False, "warning")])
def test_the_tables_protection(aws: Aws, stack: Stack, on: bool, state: str) -> None:
    table = {"Table": {"DeletionProtectionEnabled": on}}
    aws.answers("dynamodb", "describe_table", table, {"TableName": OUTPUTS["TableName"]})
    result = checks.check_table_protection(stack)
    assert (result.state, "TableProtection=on" in result.todo) == (state, not on)


def test_a_local_table_needs_no_protection(stack: Stack) -> None:
    stack.description = description(LocalEndpoint="http://127.0.0.1:4001")
    assert checks.check_table_protection(stack).state == "not checked"


@pytest.mark.parametrize(("count", "state"), [(0, "ok"), (3, "failure")])
def test_dead_letters(aws: Aws, stack: Stack, count: int, state: str) -> None:
    name = "ApproximateNumberOfMessages"
    asked = {"QueueUrl": OUTPUTS["DeadLettersUrl"], "AttributeNames": [name]}
    aws.answers("sqs", "get_queue_attributes", {"Attributes": {name: str(count)}}, asked)
    result = checks.check_dead_letters(stack)
    assert (result.state, "`understudy redrive --stack studio`" in result.todo) == (state, count > 0)


def with_alarms(aws: Aws, *alarms: dict[str, Any]) -> None:
    aws.answers("cloudwatch", "describe_alarms", {"MetricAlarms": list(alarms)}, {"AlarmNamePrefix": "studio-"})


def test_alarms(aws: Aws, stack: Stack) -> None:
    """The alarms are fetched once for both checks."""
    with_alarms(aws, alarm(), alarm("studio-ThrottlesAlarm-2X", "INSUFFICIENT_DATA"))
    assert checks.check_alarms(stack) == Result("ok", "None of 2 alarms is in ALARM.")
    assert checks.check_alarm_topic(stack) == Result("ok", "All 2 alarms have a topic.")


def test_an_alarm_that_rings(aws: Aws, stack: Stack) -> None:
    with_alarms(aws, alarm(state="ALARM"), alarm("studio-ThrottlesAlarm-2X"))
    result = checks.check_alarms(stack)
    assert (result.state, result.found) == ("failure", "ApiErrorsAlarm is in ALARM: The API answered with 5XX.")
    assert "docs/operations.md" in result.todo


def test_another_stacks_alarm(aws: Aws, stack: Stack) -> None:
    with_alarms(aws, alarm("studio-two-ApiErrorsAlarm-1X", "ALARM"), alarm())
    assert checks.check_alarms(stack) == Result("ok", "None of 1 alarms is in ALARM.")


def test_no_alarms(aws: Aws, stack: Stack) -> None:
    with_alarms(aws)
    assert checks.check_alarms(stack).state == "warning"
    assert checks.guarded(checks.check_alarm_topic, stack).state == "not checked"


@pytest.mark.parametrize("silent", [{"AlarmActions": []}, {"ActionsEnabled": False}])
def test_alarms_that_tell_nobody(aws: Aws, stack: Stack, silent: dict[str, Any]) -> None:
    with_alarms(aws, alarm(), alarm("studio-ThrottlesAlarm-2X", **silent))
    result = checks.check_alarm_topic(stack)
    assert (result.state, result.found) == ("warning", "ThrottlesAlarm has no topic, so nobody is told.")
    assert "AlarmTopicArn" in result.todo


def test_a_local_aws_without_alarms(aws: Aws, stack: Stack) -> None:
    stack.description = description(LocalEndpoint="http://127.0.0.1:4001")
    aws.refuses("cloudwatch", "describe_alarms", "InvalidAction")
    assert checks.guarded(checks.check_alarms, stack).state == "not checked"
    stack.description = description()
    aws.refuses("cloudwatch", "describe_alarms", "InvalidAction")
    assert checks.guarded(checks.check_alarms, stack).state == "failure"


def test_the_deployments_file(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "deployments.toml"
    assert checks.check_deployments_file(stack, file).state == "failure"
    file.write_text("[deployments.one]\nprovider = 'nobody'\n")
    result = checks.check_deployments_file(stack, file)
    assert (result.state, "provider must be one of" in result.found) == ("failure", True)
    assert stack.deployments == []
    file.write_text(TOML)
    assert checks.check_deployments_file(stack, file).state == "ok"
    assert [deployment.id for deployment in stack.deployments] == ["one", "two", "again", "rack"]


def secret_check(stack: Stack, name: str) -> Result:
    deployment = Deployments.parse(TOML).get(name)
    return checks.guarded(checks.check_secret, stack, deployment)


def test_a_server_without_a_key(stack: Stack) -> None:
    assert secret_check(stack, "rack") == Result("ok", "The server wants no key.")


SECRETS = [
    ("key-1\n", "ok", "one line of ASCII text"),
    (" \n", "failure", "empty or is not text"),
    ("key-1\nkey-2", "failure", "not one line of ASCII text"),
    ("schlüssel", "failure", "not one line of ASCII text"),
    ('{"key": "key-1"}', "warning", "JSON"),
]


@pytest.mark.parametrize(("text", "state", "found"), SECRETS)
def test_a_secret(aws: Aws, stack: Stack, text: str, state: str, found: str) -> None:
    aws.answers("secretsmanager", "get_secret_value", {"SecretString": text}, {"SecretId": "studio/one"})
    result = secret_check(stack, "one")
    assert (result.state, found in result.found, "put-secret-value" in result.todo) == (state, True, state != "ok")
    assert "key-1" not in str(result)


def test_a_secret_that_is_not_text(aws: Aws, stack: Stack) -> None:
    aws.answers("secretsmanager", "get_secret_value", {"SecretBinary": b"key"}, {"SecretId": "studio/one"})
    assert secret_check(stack, "one").state == "failure"


def test_a_parameter_is_read_once_for_all_deployments(aws: Aws, stack: Stack) -> None:
    asked = {"Name": "/studio/two", "WithDecryption": True}
    aws.answers("ssm", "get_parameter", {"Parameter": {"Value": "key-1\nkey-2"}}, asked)
    assert secret_check(stack, "two") == secret_check(stack, "again")
    assert "put-parameter --type SecureString --name /studio/two" in secret_check(stack, "two").todo


@pytest.mark.parametrize(
    ("deployment", "service", "call", "code", "todo"),
    [
        ("one", "secretsmanager", "get_secret_value", "ResourceNotFoundException", "create-secret --name studio/one"),
        ("two", "ssm", "get_parameter", "ParameterNotFound", "put-parameter --type SecureString --name /studio/two"),
        ("one", "secretsmanager", "get_secret_value", "AccessDeniedException", "the right to call GetSecretValue"),
        ("one", "secretsmanager", "get_secret_value", "DecryptionFailure", "Remove the cause"),
    ],
)
def test_a_secret_that_cannot_be_read(
    aws: Aws, stack: Stack, deployment: str, service: str, call: str, code: str, todo: str
) -> None:
    aws.refuses(service, call, code)
    result = secret_check(stack, deployment)
    assert (result.state, todo in result.todo) == ("failure", True)


def test_no_key_is_sent_to_a_provider(stack: Stack) -> None:
    stack.deployments = list(Deployments.parse(TOML))
    result = checks.check_accepted_keys(stack)
    assert (result.state, "`understudy smoke --stack studio --model sora-2`" in result.todo) == ("not checked", True)


def test_a_check_that_raises_does_not_end_the_others(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(stack: Stack) -> Result:
        raise KeyError("StackStatus")

    monkeypatch.setattr(checks, "check_stack", breaks)
    aws.answers("sts", "get_caller_identity", identity())
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    aws.answers("lambda", "get_account_settings", {"AccountLimit": limit})
    stack = Stack("studio", "", aws.client, lambda: "eu-north-1")
    results = dict(checks.examine(stack, tmp_path / "nowhere.toml"))
    assert results["stack"].found == "KeyError: 'StackStatus'"
    assert [name for name, result in results.items() if result.state == "failure"] == ["stack", "deployments file"]
    assert results["concurrency"].state == "ok"
    aws.all_asked()


Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command with these results instead of the checks."""

    def run(*arguments: str, states: dict[str, str]) -> Any:
        found = [(name, Result(state, "It [is] so.", "Do [this].")) for name, state in states.items()]  # type: ignore[arg-type]
        monkeypatch.setattr(doctor, "examine", lambda stack, deployments: iter(found))
        monkeypatch.setenv("AWS_PROFILE", "")  # restores what --profile sets
        return CliRunner().invoke(main, ["doctor", *arguments])

    return run


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("not checked", 0), ("failure", 1)])
def test_only_a_failure_fails_the_command(run: Run, state: str, code: int) -> None:
    ran = run(states={"stack": "ok", "alarms": state})
    assert ran.exit_code == code, ran.output
    row = next(line for line in ran.output.splitlines() if "alarms" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["alarms", state, "It [is] so.", "Do [this]."]
    assert ran.output.splitlines()[-1] == ("2 ok" if state == "ok" else f"1 ok, 1 {state}")


def test_the_same_stack_is_chosen_in_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / ".local" / "5000" / "root.json"
    root.parent.mkdir(parents=True)
    root.write_text('{"id": "test", "secret": "test"}')
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[str, Path]] = []

    def examine(stack: Stack, deployments: Path) -> list[tuple[str, Result]]:
        seen.append((stack.options, deployments))
        return []

    monkeypatch.setattr(doctor, "examine", examine)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")  # restored afterwards
    invoke = CliRunner().invoke
    invoke(main, ["doctor"])
    invoke(main, ["doctor", "--stack", "a b", "--region", "eu-north-1", "--profile", "p", "--deployments", "mine.toml"])
    ran = invoke(main, ["doctor", "--local"], env={"PORT": "5000"})
    assert ran.exit_code == 0, ran.output
    assert seen == [
        ("", Path("config/deployments.toml")),
        (" --stack 'a b' --region eu-north-1 --profile p", Path("mine.toml")),
        (" --local", Path(".local/5000/deployments.toml")),
    ]


def test_the_command_works_without_the_layers_packages() -> None:
    """`uv tool install .` brings only the four packages of pyproject.toml."""
    hidden = ("pydantic", "aws_lambda_powertools", "multipart", "av", "PIL", "typing_extensions")
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden!r})); import understudy_cli.main"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

"""The checks of `understudy doctor`. Each looks at one thing and returns a result; none changes anything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from understudy.deployments.config import BadDeployments, Deployment, Deployments
from understudy.jobs.job import QUIET_SECONDS
from understudy_cli import jobs
from understudy_cli.stacks import Stack, Unknown

State = Literal["ok", "warning", "failure", "not checked"]

OUTPUTS = (  # of the template
    "ApiUrl",
    "ApiId",
    "BucketName",
    "TableName",
    "JobMachineArn",
    "UploadQueueUrl",
    "DeadLettersUrl",
    "IdSecretArn",
    "LogGroupName",
)
COMPLETE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
USABLE = {"UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"}

# Functions that run at once, by the template. A call takes two: the authorizer and its own function.
INGEST_UPLOAD, A_CALL = 10, 2
ENOUGH, TOO_FEW = 100, 40

MOST_NAMED = 10  # quiet jobs that are counted
SWEEP_SECONDS = 4500  # in which sweep_jobs must have looked after a quiet job: an hour, and time to do so
DAY = 86_400

SKEW_SECONDS, REFUSED_SKEW_SECONDS = 60, 300  # AWS refuses a signature that is older than five minutes

DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
NO_SECRET = {"ResourceNotFoundException", "ParameterNotFound"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found, and what the operator does about it."""

    state: State
    found: str
    todo: str = ""


def examine(stack: Stack, deployments: Path) -> Iterator[tuple[str, Result]]:
    """Yield the name and the result of every check. The first checks find what the others need."""
    checks: dict[str, Callable[[Stack], Result]] = {
        "region": check_region,
        "credentials": check_credentials,
        "clock": check_clock,
        "stack": check_stack,
        "concurrency": check_concurrency,
        "deletion protection": check_table_protection,
        "jobs": check_jobs,
        "given up": check_given_up,
        "dead letters": check_dead_letters,
        "alarms": check_alarms,
        "alarm topic": check_alarm_topic,
        "deployments file": partial(check_deployments_file, file=deployments),
    }
    for name, check in checks.items():
        yield name, guarded(check, stack)
    for deployment in stack.deployments:
        yield f"key of {deployment.id}", guarded(check_secret, stack, deployment)
    if stack.deployments:
        yield "keys at providers", guarded(check_accepted_keys, stack)


def guarded(check: Callable[..., Result], *given: Any) -> Result:
    """Return the check's result. A check that raises does not end the others: its result says why it raised."""
    try:
        return check(*given)
    except Unknown as error:
        return Result("not checked", str(error))
    except ClientError as error:
        todo = "Remove the cause that the error names, then run the command again."
        if _code(error) in DENIED:
            todo = f"Get the right to call {error.operation_name}. docs/command-line.md lists the rights."
        return Result("failure", str(error), todo)
    except Exception as error:  # noqa: BLE001 - the other checks still have something to say
        todo = "Run the command again. If the error stays, report it as a bug."
        return Result("failure", f"{type(error).__name__}: {error}", todo)


def check_region(stack: Stack) -> Result:
    """Check that a region is chosen."""
    try:
        stack.region = stack.find_region()
    except BotoCoreError as error:  # no such profile
        return Result("failure", f"{error}.", "Choose another with --profile, or correct ~/.aws/config.")
    if not stack.region:
        return Result("failure", "No region is chosen.", "Add --region REGION, or set AWS_REGION.")
    return Result("ok", f"{stack.region}.")


def check_credentials(stack: Stack) -> Result:
    """Check that AWS accepts the credentials. The answer names AWS's time, also if AWS refuses the call."""
    client = stack.client("sts")
    todo = "Choose others with --profile, or sign in again (`aws sso login`, for example)."
    try:
        identity = client.get_caller_identity()
    except ClientError as error:
        stack.skew = _skew(error.response)
        return Result("failure", f"AWS does not accept the credentials: {error}.", todo)
    except BotoCoreError as error:
        return Result("failure", f"AWS could not be asked: {error}.", todo)
    stack.accepted, stack.skew = True, _skew(identity)
    return Result("ok", f"Account {identity['Account']}, {identity['Arn']}.")


def check_clock(stack: Stack) -> Result:
    """Check this machine's clock against the time that AWS's answer names."""
    if stack.skew is None:
        raise Unknown("This needs an answer of AWS.")
    seconds = round(abs(stack.skew))
    found = f"This machine's clock is {seconds} s {'ahead of' if stack.skew > 0 else 'behind'} AWS's."
    todo = "Set the clock of this machine, by NTP for example."
    if seconds > REFUSED_SKEW_SECONDS:
        return Result("failure", f"{found} AWS refuses the signatures of this machine.", todo)
    if seconds > SKEW_SECONDS:
        return Result("warning", f"{found} AWS refuses signatures above {REFUSED_SKEW_SECONDS} s.", todo)
    return Result("ok", f"The clock differs from AWS's by {seconds} s.")


def check_stack(stack: Stack) -> Result:
    """Check that the stack exists, that its last deployment succeeded and that its outputs are complete."""
    name = repr(stack.name)
    try:
        stack.description = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"][0]
    except ClientError as error:
        if _code(error) != "ValidationError":
            raise
        found = f"Stack {name} does not exist in this account and region."
        return Result("failure", found, "Choose another with --stack, --region or --profile, or deploy the stack.")
    status = stack.described["StackStatus"]
    if status not in COMPLETE | USABLE:
        todo = "Read the stack's events in CloudFormation, remove the cause, then deploy again."
        return Result("failure", f"Stack {name} is {status}.", todo)
    if missing := [output for output in OUTPUTS if output not in stack.outputs]:
        todo = "Deploy this version of the template, or choose Understudy's stack with --stack."
        return Result("failure", f"Stack {name} lacks outputs: {', '.join(missing)}.", todo)
    if status in USABLE:
        todo = "If an update runs, wait. If the last update was rolled back, remove the cause and deploy again."
        return Result("warning", f"Stack {name} is {status}.", todo)
    return Result("ok", f"Stack {name} is {status} and has all {len(OUTPUTS)} outputs.")


def check_concurrency(stack: Stack) -> Result:
    """Check Lambda's concurrency in this account against what the stack can use."""
    limit = stack.client("lambda").get_account_settings()["AccountLimit"]
    free, whole = limit["UnreservedConcurrentExecutions"], limit["ConcurrentExecutions"]
    calls = max(free - INGEST_UPLOAD, 0) // A_CALL
    steps = stack.parameter("RunJobConcurrency") or "0"
    found = (
        f"{free} of {whole} are not reserved. ingest_upload uses up to {INGEST_UPLOAD}. "
        f"The rest is enough for {calls} calls at once, "
        + ("less the steps of jobs that run." if steps == "0" else f"and run_job has {steps} of its own.")
    )
    todo = 'Ask for 1,000 in Service Quotas: AWS Lambda, "Concurrent executions".'
    if free < TOO_FEW:
        return Result("failure", found, todo)
    return Result("warning", found, todo) if free < ENOUGH else Result("ok", found)


def check_table_protection(stack: Stack) -> Result:
    """Check that DynamoDB refuses to delete the table. A local stack's table needs no protection."""
    if stack.local:
        return Result("not checked", "This is a local stack.")
    table = stack.client("dynamodb").describe_table(TableName=stack.output("TableName"))["Table"]
    if table.get("DeletionProtectionEnabled"):
        return Result("ok", "DynamoDB refuses to delete the table.")
    return Result("warning", "DynamoDB does not refuse to delete the table.", "Deploy with TableProtection=on.")


def check_jobs(stack: Stack) -> Result:
    """Check that every job that has not ended has had a step lately."""
    os.environ["TABLE_NAME"] = stack.output("TableName")
    now = time.time()
    quiet = list(islice((job for job in jobs.unfinished(int(now - QUIET_SECONDS)) if job.quiet), MOST_NAMED))
    if not quiet:
        return Result("ok", "Every job that has not ended had a step lately.")
    oldest = min(quiet, key=lambda job: job.touched_at)
    count = f"{len(quiet)} or more" if len(quiet) == MOST_NAMED else len(quiet)
    found = f"Jobs without a step for {QUIET_SECONDS // 60} minutes: {count}. The first is {oldest.id}."
    show = f"`understudy jobs show {oldest.id}{stack.options}` says why."
    if oldest.touched_at < now - QUIET_SECONDS - SWEEP_SECONDS:
        todo = f"Look for errors in the log of sweep_jobs, which looks after such jobs once an hour. {show}"
        return Result("failure", f"{found} sweep_jobs has not looked after it.", todo)
    return Result("warning", found, f"Wait: sweep_jobs looks after them once an hour. {show}")


def check_given_up(stack: Stack) -> Result:
    """Check that no execution of the last day was given up because its step kept failing."""
    arn = stack.output("JobMachineArn")
    failed = stack.client("stepfunctions").list_executions(stateMachineArn=arn, statusFilter="FAILED", maxResults=100)
    day_ago = time.time() - DAY
    names = [one["name"] for one in failed["executions"] if one["stopDate"].timestamp() > day_ago]
    if not names:
        return Result("ok", "No execution was given up in the last day.")
    found = f"Executions that were given up in the last day: {len(names)}. The last is {names[0]}."
    todo = f"`understudy jobs show {names[0]}{stack.options}` and the log of run_job say why."
    return Result("warning", found, todo)


def check_dead_letters(stack: Stack) -> Result:
    """Check that the dead-letter queue is empty."""
    url, name = stack.output("DeadLettersUrl"), "ApproximateNumberOfMessages"
    count = int(stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])
    if not count:
        return Result("ok", "The dead-letter queue is empty.")
    found = f"Messages in the dead-letter queue: {count}. Their files were not taken."
    todo = f"Remove the cause (docs/operations.md). For dropped files, run `understudy redrive{stack.options}`."
    return Result("failure", found, todo)


def check_alarms(stack: Stack) -> Result:
    """Check that the stack has alarms and that no alarm is in the state ALARM."""
    if not stack.alarms:
        return Result("warning", "The stack has no alarms.", "Deploy the template again. It makes the alarms.")
    if ringing := [alarm for alarm in stack.alarms if alarm["StateValue"] == "ALARM"]:
        found = " ".join(f"{_short(one)} is in ALARM: {one.get('AlarmDescription', '')}." for one in ringing)
        return Result("failure", found, 'See "Alarms" in docs/operations.md.')
    return Result("ok", f"None of {len(stack.alarms)} alarms is in ALARM.")


def check_alarm_topic(stack: Stack) -> Result:
    """Check that every alarm tells somebody."""
    if not stack.alarms:
        raise Unknown("This needs alarms.")
    silent = [one for one in stack.alarms if not (one.get("ActionsEnabled", True) and one.get("AlarmActions"))]
    if not silent:
        return Result("ok", f"All {len(stack.alarms)} alarms have a topic.")
    which = "No alarm has a topic" if len(silent) == len(stack.alarms) else f"{_names(silent)} has no topic"
    todo = "Deploy with AlarmTopicArn=ARN, the ARN of an SNS topic."
    return Result("warning", f"{which}, so nobody is told.", todo)


def check_deployments_file(stack: Stack, file: Path) -> Result:
    """Check that the deployments file can be used."""
    try:
        stack.deployments = list(Deployments.parse(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, BadDeployments) as error:
        return Result("failure", f"{error}.", "Correct the file, or choose another with --deployments FILE.")
    return Result("ok", f"{file} has {len(stack.deployments)} deployments.")


def check_secret(stack: Stack, deployment: Deployment) -> Result:
    """Check that a deployment's secret exists, can be read and is one line of ASCII.

    A secret that several deployments use is read once.
    """
    reference = deployment.secret
    if reference is None:
        return Result("ok", "The server wants no key.")
    if reference not in stack.secrets:
        stack.secrets[reference] = _secret(stack, reference)
    found: Result = stack.secrets[reference]
    return found


def check_accepted_keys(stack: Stack) -> Result:
    """Say that no key was sent to its provider: no provider has a call that is known to be free."""
    model = next(iter(stack.deployments[0].models))
    todo = f"Make a short video: `understudy smoke{stack.options} --model {model}`."
    return Result("not checked", "No key was sent to its provider.", todo)


def _secret(stack: Stack, reference: str) -> Result:
    # {stack} stands for the stack's name, as in the functions (understudy.store.secrets).
    store, _, name = reference.replace("{stack}", stack.name).partition(":")
    if store == "ssm":
        create = f"aws ssm put-parameter --type SecureString --name {name} --value file://key.txt"
        replace = f"{create} --overwrite"
    else:
        create = f"aws secretsmanager create-secret --name {name} --secret-string file://key.txt"
        replace = f"aws secretsmanager put-secret-value --secret-id {name} --secret-string file://key.txt"
    try:
        if store == "ssm":
            text = stack.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"].get("Value")
        else:
            text = stack.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString")
    except ClientError as error:
        if _code(error) not in NO_SECRET:
            raise
        return Result("failure", f"{name} does not exist.", f"Store the key (`{create}`), or delete the deployment.")
    key, todo = (text or "").strip(), f"Store the bare key: `{replace}`."
    if not key:
        return Result("failure", f"{name} is empty or is not text.", todo)
    if not (key.isascii() and key.isprintable()):
        return Result("failure", f"{name} is not one line of ASCII text.", todo)
    if key.startswith("{"):
        return Result("warning", f"{name} looks like JSON. Providers get the whole text as the key.", todo)
    return Result("ok", f"{name} is one line of ASCII text.")


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _skew(answer: Mapping[str, Any]) -> float | None:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return time.time() - parsedate_to_datetime(date).timestamp() if date else None


def _short(alarm: dict[str, Any]) -> str:
    """Return the alarm's name in the template."""
    return str(alarm["AlarmName"].split("-")[-2])


def _names(alarms: list[dict[str, Any]]) -> str:
    return ", ".join(map(_short, alarms))

"""The process of the local AWS: MiniStack with eight changes.

1. A layer is unpacked once, not for every execution environment. Unpacking our layer takes half a second and a thousand
   files. MiniStack has only one process, which answers no requests meanwhile. Fifty environments at the same time
   delayed all requests for longer than the gateway's timeout.

2. MiniStack looks for messages every tenth of a second, not every second. AWS Lambda's pollers take a message within
   milliseconds.

3. Functions for which no caller waits run at a lower priority. On Amazon each environment has a processor of its own;
   here a dozen copies of `run_job` would delay a call of the API until it times out.

4. A role has at most ten managed policies, which is IAM's quota in an account that has never asked for more.

5. IAM knows the partitions and the attributes that a request to DynamoDB names (`dynamodb:LeadingKeys`,
   `dynamodb:Attributes`), in a transaction those of each item. MiniStack knows neither, and so takes every policy that
   depends on them for one that allows everything.

6. Web pages cannot use it beyond what Amazon's S3 allows them: another host name is refused (DNS rebinding), and so is
   a page that calls MiniStack's own paths, which want no credentials. The only root is the one whose key is in the
   environment: MiniStack also takes `test` and every account number for root, with any signature.

7. S3 says 403 and not 404 of an object that does not exist, unless the caller may list the bucket.

8. Step Functions keeps its executions. An execution that ran when the local AWS was stopped begins again after the next
   start, with its first input; MiniStack marks it as failed. A start with the name and the input of a running execution
   is answered with that execution. A machine calls only the functions that its role may call. An execution ends after
   the machine's TimeoutSeconds. A stopped execution stays stopped, although its last task fails. At most twelve tasks
   run at the same time, because they share the processors of this machine with the calls of the API. What still differs
   from Amazon's: a pause between two retries is a minute at most, and MaxDelaySeconds and JitterStrategy do not count.
"""

from __future__ import annotations

import contextvars
import hashlib
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import types
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ministack import app as ministack  # type: ignore[import-not-found]
from ministack.core import (  # type: ignore[import-not-found]
    iam_actions,
    iam_evaluator,
    lambda_runtime,
    responses,
    router,
)
from ministack.services import iam, lambda_svc, stepfunctions  # type: ignore[import-not-found]

LOOKS_EVERY = 0.1  # seconds, for messages
POLICIES_PER_ROLE = 10  # IAM's page of quotas, 2026-11
BACKGROUND = ("-run-job", "-sweep-jobs", "-ingest-upload", "-stitch-clips")  # functions by the end of their names
NICE = ("nice", "-n", "5")  # a third of the processor time that other processes get

answer = ministack.app
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
HOSTS = {"localhost", "host.docker.internal"}  # the second: of functions in Docker
attach_any = iam.attach_managed_policy
known_conditions = iam_actions.dynamodb_service_context
enforce_known = iam_evaluator.enforce
call_any = stepfunctions._call_lambda
start_new = stepfunctions._start_execution
walk_through = stepfunctions._run_execution
fail_any = stepfunctions._fail_execution
restore_failed = stepfunctions.load_persisted_state

RESUMES_AFTER = 5  # seconds after the start of the local AWS: the simulators start after it
ROLE: contextvars.ContextVar[str] = contextvars.ContextVar("role")  # of the machine whose execution this thread runs
YEAR = 365 * 86400  # seconds: the longest execution
TASKS = threading.BoundedSemaphore(12)
interrupted: list[tuple[str, str, str]] = []  # account, region and ARN of the executions that begin again

PARTITION = "pk"  # the partition key of the one table
MEMBERS = iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS  # of an item of a transaction -> its action
EXPRESSIONS = ("UpdateExpression", "ConditionExpression", "ProjectionExpression", "FilterExpression")
PATH = re.compile(r"(?<![\w:.#])#?[A-Za-z_]\w*(?![\w(])")  # the first name of a path; not a value, not a function
WORDS = frozenset({"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "IN", "BETWEEN"})


class Layers(zipfile.ZipFile):
    """A zip file that, if it is a layer (`layer_N`), is unpacked once and extracted as symbolic links."""

    @property
    def _is_layer(self) -> bool:
        return Path(str(self.filename)).name.startswith("layer_")

    def namelist(self) -> list[str]:
        """Return the names in the file; for a layer, the names of its links.

        MiniStack checks each name for a path out of the folder.
        """
        names = super().namelist()
        return sorted({name.partition("/")[0] for name in names}) if self._is_layer else names

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        if not self._is_layer:
            return super().extractall(path, members, pwd)
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        unpacked = Path(tempfile.gettempdir()) / "layers" / digest
        if not unpacked.exists():
            self._unpack(unpacked)
        for entry in unpacked.iterdir():
            (Path(path) / entry.name).symlink_to(entry)
        return None

    def _unpack(self, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=target.parent))
        super().extractall(half, super().namelist())
        try:
            half.rename(target)
        except OSError:  # another environment was first
            shutil.rmtree(half)


class Wake(threading.Event):
    """The event on which MiniStack's poller waits between two polls: for at most 0.1 s, not for MiniStack's 1 s."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(LOOKS_EVERY if timeout is None else min(timeout, LOOKS_EVERY))


def attach_policy(role: dict[str, Any], policy: str) -> None:
    """Attach a managed policy to a role. Raises RuntimeError if the role has as many as IAM allows."""
    if len(role["AttachedPolicies"]) >= POLICIES_PER_ROLE:
        raise RuntimeError(f"LimitExceeded: Cannot exceed quota for PoliciesPerRole: {POLICIES_PER_ROLE}")
    attach_any(role, policy)


def is_root(access_key: str) -> bool:
    """Return whether this is the access key of root; a request without one is refused elsewhere."""
    return not access_key or access_key == os.environ["AWS_ACCESS_KEY_ID"]


async def guarded(scope: Any, receive: Any, send: Any) -> None:
    """Answer as MiniStack does, but refuse what only a web page sends."""
    if scope["type"] == "http" and _of_a_foreign_page(scope["path"], dict(scope["headers"])):
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Web pages cannot use the local AWS.\n"})
        return
    if scope["type"] == "http":
        send = _hiding_absence(scope, send)
    await answer(scope, receive, _resuming(send) if scope["type"] == "lifespan" else send)


def _hiding_absence(scope: Any, send: Any) -> Any:
    """Return a `send` that turns S3's 404 of an object into a 403 for a caller who may not list the bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (2026-11)
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope["query_string"].decode("latin-1"))
    signed = headers.get("authorization", "") + "".join(query.get("X-Amz-Credential", []))
    bucket, _, key = scope["path"].lstrip("/").partition("/")
    reads_object = scope["method"] in {"GET", "HEAD"} and key and "uploadId" not in query  # that one lists parts
    if not reads_object or "/s3/aws4_request" not in signed:
        return send
    hidden = False

    async def sent(message: Any) -> None:
        nonlocal hidden
        if message["type"] == "http.response.start" and message["status"] == 404:
            caller = router.extract_access_key_id(headers, query)
            arn = f"arn:aws:s3:::{bucket}"
            hidden = enforce_known(caller, "s3:ListBucket", "s3", "us-east-1", resource_arn=arn) is not None
            if hidden:
                kept = [one for one in message["headers"] if one[0].lower() != b"content-length"]
                length = (b"content-length", b"0" if scope["method"] == "HEAD" else str(len(DENIED)).encode())
                message = {**message, "status": 403, "headers": [*kept, length]}
        elif hidden and message["type"] == "http.response.body":
            message = {**message, "body": b"" if scope["method"] == "HEAD" else DENIED, "more_body": False}
        await send(message)

    return sent


def _of_a_foreign_page(path: str, headers: dict[bytes, bytes]) -> bool:
    host = headers.get(b"host", b"").decode("latin-1").rpartition(":")[0].strip("[]")
    if not (host in HOSTS or host.endswith(".localhost") or _is_address(host)):
        return True
    asks_for_own = path.startswith(("/_ministack", "/_localstack"))
    return asks_for_own and (b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Item(str):
    """The table of an item of a transaction, with the item's own condition keys."""

    conditions: dict[str, list[str]]


def conditions(request: dict[str, Any]) -> dict[str, list[str]]:
    """Return the condition keys of a request or of an item: its partition and the attributes that it names.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html (2026-11)
    """
    names = request.get("ExpressionAttributeNames") or {}
    row = request.get("Key") or request.get("Item") or {}
    partition = row.get(PARTITION) or _queried(request, names)
    found = {names.get(name, name) for text in EXPRESSIONS for name in PATH.findall(request.get(text) or "")}
    attributes = sorted((found | set(row)) - WORDS)
    leading = [str(next(iter(partition.values())))] if partition else []
    return {"dynamodb:LeadingKeys": leading, "dynamodb:Attributes": attributes}


def _queried(request: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    """Return the value of the partition key in the condition of a query."""
    values = request.get("ExpressionAttributeValues") or {}
    for name, value in re.findall(r"(#?\w+)\s*=\s*(:\w+)", request.get("KeyConditionExpression") or ""):
        if names.get(name, name) == PARTITION:
            return dict(values.get(value, {}))
    return {}


def request_conditions(body: bytes) -> dict[str, Any]:
    """Return MiniStack's condition keys of a request to DynamoDB, and those that it does not know."""
    request = json.loads(body or b"{}")
    return dict(known_conditions(body)) | ({} if "TransactItems" in request else conditions(request))


def transaction_items(action: str, body: bytes, region: str, account: str) -> list[tuple[str, Item]]:
    """Return the action and the table of each item of a transaction, as MiniStack's function of this name does."""
    if action not in {"dynamodb:TransactWriteItems", "dynamodb:TransactGetItems"}:
        return []
    found = []
    for item in json.loads(body or b"{}").get("TransactItems", []):
        for member, detail in item.items():
            table = Item(iam_actions._dynamodb_table_arn(detail["TableName"], region, account))
            table.conditions = conditions(detail)
            found.append((MEMBERS[member], table))
    return found


def enforce(*arguments: Any, resource_arn: Any = None, service_context: Any = None, **options: Any) -> Any:
    """Check a request against the caller's policies; an item of a transaction by its own condition keys."""
    if isinstance(resource_arn, Item):
        service_context = {**(service_context or {}), **resource_arn.conditions}
    return enforce_known(*arguments, resource_arn=resource_arn, service_context=service_context, **options)


def start_environment(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the process of an execution environment, as MiniStack does with `subprocess.Popen`."""
    name = options["env"]["AWS_LAMBDA_FUNCTION_NAME"]
    return subprocess.Popen([*(NICE if name.endswith(BACKGROUND) else ()), *command], **options)


def start_execution(request: dict[str, Any]) -> Any:
    """Start an execution, or answer with the running one that has this name and this input.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html (2026-11)
    """
    arn = f"{request.get('stateMachineArn', '').replace(':stateMachine:', ':execution:')}:{request.get('name')}"
    known = stepfunctions._executions.get(arn)
    if known and known["status"] == "RUNNING" and known["input"] == request.get("input", "{}"):
        return responses.json_response({"executionArn": arn, "startDate": known["startDate"]})
    return start_new(request)


def run_execution(arn: str) -> None:
    """Run an execution with the rights of its machine's role, and for at most the machine's TimeoutSeconds."""
    execution = stepfunctions._executions[arn]
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) or {"definition": "{}", "roleArn": ""}
    ROLE.set(machine["roleArn"])
    started = datetime.fromisoformat(execution["startDate"]).timestamp()
    left = started + json.loads(machine["definition"]).get("TimeoutSeconds", YEAR) - time.time()
    timer = threading.Timer(max(left, 0), contextvars.copy_context().run, (_time_out, execution))
    timer.daemon = True
    timer.start()
    try:
        walk_through(arn)
    finally:
        timer.cancel()


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] == "RUNNING":
        execution |= {"status": "TIMED_OUT", "stopDate": responses.now_iso()}
        stepfunctions._add_event(execution, "ExecutionTimedOut")
        stepfunctions._emit_execution_status_event(execution)


def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
    """Mark an execution as failed, unless it has ended already."""
    if execution["status"] == "RUNNING":
        fail_any(execution, error, cause)


def call_function(function: str, event: Any) -> Any:
    """Call the function of a task. The role of the machine must allow it.

    The error of a refusal is Amazon's: https://github.com/awslabs/aws-deployment-framework/issues/460 (2022-04)
    """
    role = ROLE.get("")
    if role and not _may_call(role, function):
        cause = f"User: {role} is not authorized to perform: lambda:InvokeFunction on resource: {function}"
        raise stepfunctions._ExecutionError("Lambda.AWSLambdaException", cause)
    with TASKS:
        return call_any(function, event)


def _may_call(role: str, function: str) -> bool:
    account, name = role.split(":")[4], role.rpartition("/")[2]
    context = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=responses.get_region(),
    )
    policies = iam_evaluator._gather_role_policies(name, account)
    boundary = iam_evaluator._permissions_boundary(iam._roles, name, account)
    return bool(iam_evaluator.evaluate(context, policies, *boundary).decision == "Allow")


def restore_executions(saved: Any) -> None:
    """Restore what Step Functions has saved. The executions that ran begin again when the local AWS has started."""
    restore_failed(saved)
    for (account, region, arn), execution in list(stepfunctions._executions._data.items()):
        if execution.get("error") == "States.ServiceRestart":
            execution |= {"status": "RUNNING", "stopDate": None, "error": None, "cause": None}
            interrupted.append((account, region, arn))


def _resuming(send: Any) -> Any:
    """Return a `send` that begins the interrupted executions again after the start of the local AWS."""

    async def sent(message: Any) -> None:
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            for account, region, arn in interrupted:
                scope = contextvars.copy_context()
                scope.run(responses.set_request_account_id, account)
                scope.run(responses.set_request_region, region)
                thread = threading.Timer(RESUMES_AFTER, scope.run, (run_execution, arn))
                thread.daemon = True
                thread.start()

    return sent


if __name__ == "__main__":
    lambda_svc._esm_wake = Wake()
    lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | {"ZipFile": Layers})
    lambda_runtime.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": start_environment})
    iam.attach_managed_policy = attach_policy
    iam_actions.dynamodb_service_context = request_conditions
    iam_actions.dynamodb_transaction_checks = transaction_items
    iam_evaluator.enforce = enforce
    iam_evaluator.is_root_access_key = is_root
    stepfunctions._start_execution = start_execution
    stepfunctions._run_execution = run_execution
    stepfunctions._fail_execution = fail_execution
    stepfunctions._call_lambda = call_function
    stepfunctions.load_persisted_state = restore_executions
    ministack.app = guarded
    sys.exit(ministack.main())

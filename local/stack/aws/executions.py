"""Step Functions keeps its executions, starts each once, ends each in time, and gives each its machine's rights.

* An execution that ran when the local AWS was stopped begins again after the next start, with its first input.
  MiniStack marks it as failed.
* A start with the name and the input of a running execution is answered with that execution.
* A machine calls only the functions that its role may call.
* An execution ends after the machine's TimeoutSeconds. A stopped execution stays stopped, although its last task fails.
* At most twelve tasks run at the same time, because they share the processors of this machine with the calls of the
  API.

What still differs from Amazon's: a pause between two retries is a minute at most, and MaxDelaySeconds and
JitterStrategy do not count.
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from datetime import datetime
from typing import Any

from ministack import app as ministack  # type: ignore[import-not-found]
from ministack.core import iam_evaluator, responses  # type: ignore[import-not-found]
from ministack.services import iam, stepfunctions  # type: ignore[import-not-found]

RESUMES_AFTER = 5  # seconds after the start of the local AWS: the simulators start after it
ROLE: contextvars.ContextVar[str] = contextvars.ContextVar("role")  # of the machine whose execution this thread runs
YEAR = 365 * 86400  # seconds: the longest execution
TASKS = threading.BoundedSemaphore(12)
interrupted: list[tuple[str, str, str]] = []  # account, region and ARN of the executions that begin again

call_any = stepfunctions._call_lambda
start_new = stepfunctions._start_execution
walk_through = stepfunctions._run_execution
fail_any = stepfunctions._fail_execution
restore_failed = stepfunctions.load_persisted_state


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


def install() -> None:
    """Replace MiniStack's functions for executions, and resume the interrupted executions after its start."""
    stepfunctions._start_execution = start_execution
    stepfunctions._run_execution = run_execution
    stepfunctions._fail_execution = fail_execution
    stepfunctions._call_lambda = call_function
    stepfunctions.load_persisted_state = restore_executions
    answer = ministack.app

    async def resuming(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, _resuming(send) if scope["type"] == "lifespan" else send)

    ministack.app = resuming

"""Executions of the state machine that drives jobs (`JobMachine` in template.yaml).

An execution waits, calls `run_job`, and begins again, until `run_job` says that nothing is left to do. Step Functions
starts at most one execution of a name, so a start whose answer was lost can be repeated.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from understudy.ids import new_record
from understudy.settings import settings
from understudy.store.clients import stepfunctions

MAX_SECONDS = 900  # the longest wait between two steps


def wait(seconds: float) -> int:
    """Return the whole seconds for which an execution waits: at least 1, at most MAX_SECONDS."""
    return min(max(math.ceil(seconds), 1), MAX_SECONDS)


def start_job(team: str, job: str, run: int, seconds: float) -> bool:
    """Start the execution that drives the job after `seconds`. Return False if there was one of this name already.

    `run` counts the executions of a job: a name cannot be used again for 90 days after its execution has ended.
    """
    return _start(job_name(job, run), {"team": team, "video": job}, seconds)


def delete_video(deployment: str, model: str, reference: str) -> None:
    """Start the execution that deletes a video at the provider."""
    _start_deletion({"delete": "video", "deployment": deployment, "model": model, "reference": reference})


def delete_character(deployment: str, reference: str, *, pending: bool = False) -> None:
    """Start the execution that deletes a native character at the provider.

    `pending`: the provider is still making the character, and `reference` is what it is polled by.
    """
    deletion = {"delete": "character", "deployment": deployment, "reference": reference}
    _start_deletion(deletion | ({"pending": True} if pending else {}))


def job_name(job: str, run: int) -> str:
    """Return the name of the job's execution number `run`."""
    return job if run == 1 else f"{job}-{run}"


def status(name: str) -> str | None:
    """Return RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, or None if there is no execution of this name."""
    from botocore.exceptions import ClientError

    arn = f"{settings().job_machine.replace(':stateMachine:', ':execution:')}:{name}"
    try:
        return str(stepfunctions().describe_execution(executionArn=arn)["status"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
            return None
        raise


def _start_deletion(deletion: dict[str, Any]) -> None:
    _start(f"delete-{new_record()}", deletion, 1)


def _start(name: str, work: dict[str, Any], seconds: float) -> bool:
    from botocore.exceptions import ClientError

    begun = {**work, "begun": int(time.time()), "next": {"seconds": wait(seconds)}}
    try:
        stepfunctions().start_execution(stateMachineArn=settings().job_machine, name=name, input=json.dumps(begun))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ExecutionAlreadyExists":
            return False
        raise
    return True

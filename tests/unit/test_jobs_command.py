"""`understudy jobs show|open`: what an operator is told of a job, and how the job is found."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from tests.fakes.executions import MACHINE
from tests.fakes.stage import NAMES, Stage
from understudy.ids import IdCodec, Kind, ManagedId
from understudy.jobs import transitions
from understudy.jobs.job import Job
from understudy.store import executions as started
from understudy_cli import aws_options, executions, job_ids, jobs
from understudy_cli.executions import Execution, read
from understudy_cli.main import main

RECORD = "01a22f8e7d5ad900f67ddf55a9a1"
START = datetime(2026, 12, 1, 2, 3, 4, tzinfo=UTC)
ASKED = json.dumps({"done": False, "seconds": 5})
DONE = json.dumps({"done": True, "seconds": 0})
KILLED = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": "Error: signal: killed\nsecond line"})


def event(kind: str, seconds: float, **details: Any) -> dict[str, Any]:
    """Return an event as Step Functions does, so many seconds after the start."""
    found = {"type": kind, "timestamp": START + timedelta(seconds=seconds)}
    return found | ({f"{kind[0].lower()}{kind[1:]}EventDetails": details} if details else {})


def entered(state: str, seconds: float) -> dict[str, Any]:
    details = {"name": state, "input": '{"prompt": "never shown"}'}
    return {**event("TaskStateEntered", seconds), "stateEnteredEventDetails": details}


def said(*events: dict[str, Any]) -> list[str]:
    """Return the lines that the events make, with their times of day."""
    return [f"{executions.clock(line.at)} {line.text}" for line in read(events).last]


def test_a_history_in_words() -> None:
    history = [
        event("ExecutionStarted", 0, input=json.dumps({"video": RECORD, "next": {"seconds": 2}})),
        event("WaitStateEntered", 0),
        event("WaitStateExited", 2),
        entered("Step", 2),
        event("LambdaFunctionScheduled", 2, resource="run-job"),
        event("LambdaFunctionStarted", 2.1),
        event("LambdaFunctionSucceeded", 3.2, output=ASKED),
        event("TaskStateExited", 3.2),
        event("ChoiceStateEntered", 3.2),
        entered("Step", 8),
        event("LambdaFunctionScheduled", 8),
        event("LambdaFunctionSucceeded", 9, output=DONE),
        event("ExecutionSucceeded", 9, output="{}"),
    ]
    assert said(*history) == [
        "02:03:04 Started. First step in 2 s.",
        "02:03:07 Step took 1.2 s, next step in 5 s.",
        "02:03:13 Step took 1.0 s. Nothing is left to do.",
        "02:03:13 Ended.",
    ]
    assert read(history).steps == 2


def test_the_history_of_a_local_aws() -> None:
    history = [
        entered("Step", 0),
        event("TaskScheduled", 0, resource="run-job"),
        event("TaskFailed", 1, error="Lambda.Unknown", cause="no more"),
        event("TaskScheduled", 3),
        event("TaskSucceeded", 3.5, output=ASKED),
    ]
    assert said(*history) == [
        "02:03:05 Step failed after 1.0 s: Lambda.Unknown: no more.",
        "02:03:07 Step took 0.5 s, next step in 5 s.",
    ]
    assert read(history).steps == 2


@pytest.mark.parametrize(
    ("kind", "details", "text"),
    [
        ("LambdaFunctionFailed", {"error": "Runtime.ExitError", "cause": KILLED}, "Error: signal: killed."),
        ("LambdaFunctionTimedOut", {"error": "States.Timeout"}, "Step failed after 9.0 s: States.Timeout."),
        ("LambdaFunctionScheduleFailed", {"error": "x", "cause": "c" * 500}, f"x: {'c' * 200}..."),
        ("LambdaFunctionFailed", {"error": "x", "cause": "[1, 2]"}, "x: [1, 2]."),
        ("LambdaFunctionFailed", {}, "Step failed after 9.0 s: no name."),
    ],
)
def test_a_step_that_failed(kind: str, details: dict[str, Any], text: str) -> None:
    (line,) = said(event("LambdaFunctionScheduled", 0), event(kind, 9, **details))
    assert line.endswith(text)
    assert "second line" not in line


def test_an_execution_that_was_given_up() -> None:
    assert said(
        entered("Close", 0),
        event("LambdaFunctionScheduled", 0),
        event("LambdaFunctionFailed", 1, error="Throttled"),
        event("LambdaFunctionScheduled", 2),
        event("LambdaFunctionSucceeded", 3, output=DONE),
        event("ExecutionFailed", 3, error="GivenUp", cause="A step failed again and again."),
    ) == [
        "02:03:04 run_job is asked to end the job.",
        "02:03:05 The closing step failed after 1.0 s: Throttled.",
        "02:03:07 The closing step took 1.0 s. Closed.",
        "02:03:07 Given up: GivenUp: A step failed again and again.",
    ]


def test_other_ends() -> None:
    assert said(event("ExecutionAborted", 0)) == ["02:03:04 Stopped by an operator."]
    (line,) = said(event("ExecutionTimedOut", 0))
    assert line.endswith("Stopped by Step Functions, because the time for an execution was over.")


def test_a_step_that_runs_is_the_last_line() -> None:
    began = [event("LambdaFunctionScheduled", 0), event("LambdaFunctionStarted", 0.1)]
    assert said(*began) == ["02:03:04 Step has begun and has not ended yet."]
    assert said(*began, event("ExecutionAborted", 1)) == ["02:03:05 Stopped by an operator."]


def test_a_history_that_says_nothing_of_the_next_step() -> None:
    assert said(event("ExecutionStarted", 0)) == ["02:03:04 Started. First step in an unknown time."]
    assert said(event("LambdaFunctionSucceeded", 0)) == [
        "02:03:04 Step took an unknown time, next step in an unknown time."
    ]


def test_of_a_long_history_the_end_is_shown() -> None:
    step = [event("LambdaFunctionScheduled", 0), event("LambdaFunctionSucceeded", 1, output=ASKED)]
    history = read(step * 500)
    assert (history.steps, history.count, len(history.last)) == (500, 500, executions.MOST_LINES)


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-north-1", "eu-north-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_link_to_the_console(partition: str, region: str, host: str) -> None:
    arn = f"arn:{partition}:states:{region}:123456789012:execution:understudy-jobs:{RECORD}"
    link = Execution(arn, RECORD, "RUNNING", START, None, {}).link
    assert link == f"https://{host}/states/home?region={region}#/v2/executions/details/{arn}"


def public_id(record: str = RECORD, kind: Kind = Kind.VIDEO) -> str:
    return IdCodec(b"k" * 64).encode(ManagedId(kind, record, "openai", "one", "video_0123"), team="blue")


def test_what_an_operator_has() -> None:
    wrapped = f"litellm:custom_llm_provider:openai;model_id:x;video_id:{public_id()}"
    full = job_ids.Reference(RECORD, "one", "video_0123")
    assert job_ids.parse(public_id()) == full
    assert job_ids.parse(f"video_{base64.b64encode(wrapped.encode()).decode()}") == full
    assert job_ids.parse(RECORD) == job_ids.parse(f"{RECORD}-3") == job_ids.Reference(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "video_",
        "video_é",
        "video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5",
        public_id()[:70],
        public_id("short"),
        public_id(kind=Kind.CHARACTER),
        public_id(kind=Kind.UPLOAD),
        f"{RECORD}-",
        RECORD.upper(),
    ],
)
def test_what_is_no_job(text: str) -> None:
    with pytest.raises(ValueError, match="is not a video's id, a job's record or the name of an execution"):
        job_ids.parse(text)


class StepFunctions:
    """The client of the command: the executions of the test's machine, with a history of one step each."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.forgotten = False

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        name = executionArn.rpartition(":")[2]
        found = None if self.forgotten else self._stage.executions.all.get(name)
        if found is None:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "No."}}, "DescribeExecution")
        stopped = {} if found.running else {"stopDate": START + timedelta(seconds=9)}
        given = {"executionArn": executionArn, "status": found.status, "startDate": START}
        return {**given, **stopped, "input": json.dumps(found.started)}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_execution_history"
        return self

    def paginate(self, *, executionArn: str, PaginationConfig: dict[str, int]) -> Any:
        yield {"events": [event("ExecutionStarted", 0, input='{"next": {"seconds": 1}}')]}
        yield {"events": [event("LambdaFunctionScheduled", 1), event("LambdaFunctionSucceeded", 2, output=ASKED)]}


Run = Callable[..., Any]


@pytest.fixture
def sfn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> StepFunctions:
    sfn = StepFunctions(stage)
    monkeypatch.setattr(executions.boto3, "client", lambda service: {"stepfunctions": sfn}[service])
    monkeypatch.setattr(aws_options, "choose", lambda region, profile, local: None)
    outputs = {"TableName": NAMES["table"], "JobMachineArn": MACHINE}
    monkeypatch.setattr(aws_options, "outputs", lambda stack, *needed: outputs)
    monkeypatch.setattr(jobs, "time", stage.clock)
    return sfn


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["jobs", *arguments])


def test_a_job_is_shown(stage: Stage, sfn: StepFunctions) -> None:
    video = stage.create("A fox that nobody may read about").body["id"]
    stage.work()
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    ran = run("show", video)
    assert ran.exit_code == 0, ran.output
    lines = ran.output.splitlines()
    shown = dict(line.split(maxsplit=1) for line in lines[:4])
    assert shown == {"job": job.id, "team": "blue", "model": "sora-2", "deployment": "one"}
    assert any(line.startswith("state ") and line.endswith(" running") for line in lines)
    assert any(line.startswith("deadline ") and " UTC, in " in line for line in lines)
    assert lines[-5:] == [
        f"Execution {job.id} is RUNNING.",
        "Started 2026-12-01 02:03:04 UTC. Steps: 1.",
        "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/"
        f"{MACHINE.replace('stateMachine', 'execution')}:{job.id}",
        "  02:03:04  Started. First step in 1 s.",
        "  02:03:06  Step took 1.0 s, next step in 5 s.",
    ]
    for secret in ("fox", "key-a", "Bearer"):
        assert secret not in ran.output
    for name in (job.id, f"{job.id}-2"):
        assert run("show", name).output == ran.output


def test_a_local_aws_has_no_console(stage: Stage, sfn: StepFunctions) -> None:
    ran = run("show", stage.create().body["id"], "--local")
    assert ran.exit_code == 0, ran.output
    assert "https://" not in ran.output


def test_every_execution_of_a_job_is_shown(stage: Stage, sfn: StepFunctions) -> None:
    video = stage.create().body["id"]
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    transitions.drive(job, 2)
    output = run("show", video).output
    assert [line for line in output.splitlines() if line.startswith("Execution ")] == [
        f"Execution {job.id} is RUNNING.",
        f"Execution {job.id}-2 is RUNNING.",
    ]
    del stage.executions.all[started.job_name(job.id, 2)]
    assert (
        f"Execution {job.id}-2 does not exist: it was not started, or Step Functions has " in run("show", video).output
    )


def test_the_error_and_the_end_of_a_job_are_shown(stage: Stage, sfn: StepFunctions) -> None:
    video = stage.create().body["id"]
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    transitions.fail(job, "provider_timeout", "The provider did not finish this video in time.")
    stage.executions.stop(stage.executions.of(job.id))
    output = run("show", video).output
    assert "provider_timeout: The provider did not finish this video in time." in output
    assert "Started 2026-12-01 02:03:04, stopped 2026-12-01 02:03:13 UTC." in output
    assert "sweep_jobs" not in output


def test_a_quiet_job_is_said_to_be_quiet(stage: Stage, sfn: StepFunctions) -> None:
    video = stage.create().body["id"]
    stage.clock.advance(2000)
    assert ", which is too long ago: sweep_jobs looks after the job" in run("show", video).output


def test_a_job_is_found_by_the_owner_of_the_providers_id(stage: Stage, sfn: StepFunctions) -> None:
    video = stage.create().body["id"]
    sfn.forgotten = True
    ran = run("show", video)
    assert "team           blue" in ran.output, ran.output
    assert "does not exist" in ran.output


@pytest.mark.parametrize("table_engine", ["moto"])
def test_a_job_is_found_by_a_scan(stage: Stage, sfn: StepFunctions) -> None:
    stage.create()
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    sfn.forgotten = True
    assert "team           blue" in run("show", job.id).output
    assert run("show", RECORD).exit_code == 1


def test_the_executions_of_a_deleted_video_are_shown(stage: Stage, sfn: StepFunctions) -> None:
    video = stage.create().body["id"]
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    transitions.delete(job)
    ran = run("show", video)
    assert ran.exit_code == 0, ran.output
    assert "deleted: the job has no row" in ran.output
    assert f"Execution {job.id} is RUNNING." in ran.output


def test_a_deletion_is_shown(stage: Stage, sfn: StepFunctions) -> None:
    started.delete_video("one", "sora-2", "video_up")
    (name,) = stage.executions.all
    ran = run("show", name)
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[:3] == ["deletion of    video", "deployment     one", "its id         video_up"]
    assert f"Execution {name} is RUNNING." in ran.output


def test_an_unknown_job_is_an_error(stage: Stage, sfn: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_ids.scan, "rows", lambda prefix, sort: iter(()))
    ran = run("show", public_id(), "--stack", "studio")
    assert ran.exit_code == 1
    assert ran.output == (
        f"Error: Stack 'studio' has no job {RECORD}. "
        "Choose another stack with --stack, --region, --profile or --local.\n"
    )
    assert "has no execution delete-0: it was not started" in run("show", "delete-0").output


def test_jobs_that_have_not_ended_are_lines_without_a_terminal(stage: Stage, sfn: StepFunctions) -> None:
    stage.create()
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    stage.clock.advance(2400)
    assert [line.split("\t") for line in run("open").output.splitlines()] == [
        ["blue", job.id, "running", "40 min", "40 min", "yes"]
    ]
    stage.sweep()
    assert run("open").output.rstrip().split("\t")[-2:] == ["0 s", "no"]


def test_when_every_job_has_ended_the_command_says_so(stage: Stage, sfn: StepFunctions) -> None:
    stage.create()
    stage.run()
    ran = run("open")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", "Every job has ended.\n")


def test_a_job_that_has_just_ended_is_not_listed(stage: Stage, sfn: StepFunctions) -> None:
    """The index is behind the table for a moment."""
    stage.create()
    (job,) = jobs.unfinished(int(stage.clock.now) + 60)
    assert not job.done
    transitions.table.update(job.key, {"state": "failed"}, expect={})
    assert list(jobs.unfinished(int(stage.clock.now) + 60)) == []
    assert Job.find("blue", job.id) is not None


def test_aws_errors_are_said_in_one_line(stage: Stage, sfn: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "No."}}, "DescribeExecution")

    monkeypatch.setattr(sfn, "describe_execution", refuse)
    ran = run("show", RECORD)
    assert ran.exit_code == 1
    assert ran.output.startswith("Error: AWS could not do this: An error occurred (AccessDeniedException)")
    assert ran.output.endswith("operation: No. Remove the cause, then run the command again.\n")

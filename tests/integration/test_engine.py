"""What drives a job: an execution of the state machine for each job, whatever happens to the processes around it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.lambda_ import functions
from local.lambda_.seed import TEAM, Seeds
from local.simulators.process import Simulator
from local.stack import ministack
from tests import rings
from tests.integration.live import PATIENCE, Api, Heard, Json, Stack, answered, record, together

ENDED = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
FAR = 365 * 86400  # seconds


class Machine:
    """The state machine of the stack, as an operator sees it."""

    def __init__(self, stack: Stack) -> None:
        self.client: Any = stack.settings.client("stepfunctions")
        self.arn = stack.outputs["JobMachineArn"]

    def arn_of(self, name: str) -> str:
        return f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"

    def status(self, name: str) -> str:
        return str(self.client.describe_execution(executionArn=self.arn_of(name))["status"])

    def ended(self, name: str) -> str:
        """Wait until the execution has ended and return how."""
        eventually(lambda: self.status(name) in ENDED, f"{name} has not ended")
        return self.status(name)

    def events(self, name: str, kind: str) -> int:
        """Return how many events of a kind are in the history of the execution."""
        pages = self.client.get_paginator("get_execution_history").paginate(executionArn=self.arn_of(name))
        return sum(event["type"] == kind for page in pages for event in page["events"])

    def pause(self, name: str) -> int:
        """Return the seconds for which the execution waits at the moment, or 0 if it does not wait."""
        last = self.client.get_execution_history(executionArn=self.arn_of(name), reverseOrder=True, maxResults=1)
        (event,) = last["events"]
        if event["type"] != "WaitStateEntered":
            return 0
        return int(json.loads(event["stateEnteredEventDetails"]["input"])["next"]["seconds"])

    def stop(self, name: str) -> None:
        self.client.stop_execution(executionArn=self.arn_of(name))


def eventually(true: Callable[[], object], otherwise: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, otherwise
        time.sleep(0.1)


@pytest.fixture(scope="module")
def machine(stack: Stack) -> Machine:
    return Machine(stack)


@pytest.fixture(scope="module")
def seeds(stack: Stack) -> Seeds:
    found = Seeds(stack.settings)
    found.forget_stale()
    return found


@pytest.fixture
def endless(upstream: Simulator) -> Iterator[Callable[[], object]]:
    """The simulator finishes no job until the function that this fixture returns is called."""
    before = upstream.settings()["run_seconds"]

    def finish() -> object:
        return upstream.settings(run_seconds=before)

    upstream.settings(run_seconds=float(FAR))
    yield finish
    finish()


def row_key(team: str, job: str) -> Json:
    return {"pk": {"S": f"team#{team}"}, "sk": {"S": f"video#{job}"}}


def row(stack: Stack, team: str, job: str) -> Json:
    """Return the row of a job, as DynamoDB has it."""
    client = stack.settings.client("dynamodb")
    found = client.get_item(TableName=stack.outputs["TableName"], Key=row_key(team, job), ConsistentRead=True)
    return dict(found["Item"])


def make_older(stack: Stack, job: str, seconds: int) -> None:
    """Change when a job was ordered. An old job is polled seldom, a job of the future as often as its pace allows."""
    stack.settings.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key=row_key("local", job),
        UpdateExpression="SET late_at = late_at - :age",
        ExpressionAttributeValues={":age": {"N": str(seconds)}},
    )


def test_a_job_of_many_polls_is_driven_by_one_execution_to_its_end(
    api: Api, stack: Stack, machine: Machine, upstream: Simulator, endless: Callable[[], object]
) -> None:
    polls = rings.size(12, 60)
    heard = Heard(upstream, "solo")
    name = record(api.video(model="solo", prompt="a snail on a long way")["id"])
    make_older(stack, name, -FAR)  # or 60 polls would take ten minutes
    eventually(lambda: heard.count("get_video") >= polls, f"not {polls} polls", 5 * polls)
    assert machine.status(name) == "RUNNING"
    endless()
    assert machine.ended(name) == "SUCCEEDED"
    ended = row(stack, "local", name)
    assert (ended["state"]["S"], ended["run"]["N"]) == ("completed", "1")
    assert "unfinished" not in ended
    assert machine.events(name, "TaskSucceeded") >= polls
    assert machine.events(name, "TaskFailed") == 0


def test_many_videos_at_once_are_all_made(api: Api) -> None:
    many = rings.size(10, 30)
    made = together(lambda number: api.video(model="solo", prompt=f"snail {number}")["id"], range(many), workers=5)
    api.wait_all(made)


def test_an_operator_s_stop_ends_the_job_within_seconds(api: Api, stack: Stack, machine: Machine) -> None:
    video = api.video(model="unhurried")["id"]
    machine.stop(record(video))
    stopped = time.monotonic()
    ended = api.wait(video, "failed")
    assert time.monotonic() - stopped < 20
    assert ended["error"]["code"] == "stopped"
    assert machine.status(record(video)) == "ABORTED"


def test_a_killed_step_is_repeated_and_the_job_completes(
    api: Api, stack: Stack, machine: Machine, upstream: Simulator
) -> None:
    heard = Heard(upstream, "killed")
    fault = upstream.fault(method="GET", path=r"/videos/[^/]+$", account="killed", when="before", delay=15)
    video = api.video(model="killed", prompt="a lighthouse in a storm")["id"]
    fired = lambda: next(one for one in upstream.faults() if one["id"] == fault)["fired"]  # noqa: E731
    eventually(fired, "run_job has not asked the provider")
    assert stack.kill("run-job") > 0
    assert api.wait(video)["progress"] == 100
    name = record(video)
    assert machine.ended(name) == "SUCCEEDED"
    assert machine.events(name, "TaskFailed") >= 1
    assert heard.count("create_video") == 1


def swept(stack: Stack, video: str) -> None:
    client = stack.settings.client("lambda")
    answer = client.invoke(FunctionName=functions.deployed_name("sweep_jobs"), Payload=json.dumps({"detail": {}}))
    assert "FunctionError" not in answer, answer["Payload"].read()


def looked_at(stack: Stack, video: str) -> None:
    Seeds(stack.settings).call("GET", f"/videos/{video}")


@pytest.mark.parametrize("noticed", [swept, looked_at])
def test_a_job_whose_execution_was_never_started_is_driven(
    stack: Stack, seeds: Seeds, machine: Machine, noticed: Callable[[Stack, str], None]
) -> None:
    job = seeds.plant("quiet", TEAM, seeds.value("video_completed"))
    before = time.time()
    noticed(stack, job["id"])
    assert int(row(stack, TEAM, job["video"])["touched_at"]["N"]) >= int(before)
    assert seeds.finished(f"/videos/{job['id']}")["status"] == "completed"
    assert machine.ended(job["video"]) == "SUCCEEDED"


def test_jobs_go_on_after_a_restart_of_the_local_aws(
    api: Api, stack: Stack, machine: Machine, upstream: Simulator, endless: Callable[[], object]
) -> None:
    heard = Heard(upstream, "solo")
    video = api.video(model="solo", prompt="a snail that is interrupted")["id"]
    make_older(stack, record(video), 1500)
    # It waits for longer than this test does. No step runs, so none logs that it has lost AWS.
    eventually(lambda: machine.pause(record(video)) > PATIENCE, "the job is polled too often")
    ministack.stop(stack.settings)
    endless()
    ministack.start(stack.settings)
    assert machine.status(record(video)) == "RUNNING"
    assert api.wait(video)["progress"] == 100
    assert machine.ended(record(video)) == "SUCCEEDED"
    assert heard.count("create_video") == 1
    assert answered(api.get(f"/videos/{video}"))["error"] is None

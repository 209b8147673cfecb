"""Step Functions in virtual time, with the definition that template.yaml has.

Each execution waits, calls `run_job`, retries what failed and closes what keeps failing, as the definition says. A
definition that uses what is not known here fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from tests.fakes.clock import Clock
from tests.fakes.edges import Edges, Killed

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:understudy-jobs"
TASK_FIELDS = {"Type", "Resource", "TimeoutSeconds", "Parameters", "ResultPath", "Retry", "Catch", "Next"}
RETRY_FIELDS = {"ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxDelaySeconds", "MaxAttempts", "JitterStrategy"}

Task = Callable[[dict[str, Any]], Any]


class TaskFailed(Exception):
    """The function has failed with this error, by its name in Step Functions."""


@dataclass
class Execution:
    """An execution: the state that comes next, when it is due, and what it has as input."""

    name: str
    started: dict[str, Any]
    state: str
    data: dict[str, Any]
    due: float
    status: str = "RUNNING"
    stopped_by: str | None = None  # the error of a Fail state
    tries: dict[int, int] = field(default_factory=dict)  # of the present Task, by retrier
    steps: int = 0

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def seconds(self) -> int:
        """The seconds of the last wait that was asked for."""
        return int(self.data["next"]["seconds"])


@dataclass
class Executions:
    """Replaces the Step Functions client that the layer uses; `all` keeps every execution that was ever started."""

    clock: Clock
    edges: Edges
    all: dict[str, Execution] = field(default_factory=dict)

    @property
    def running(self) -> list[Execution]:
        return [one for one in self.all.values() if one.running]

    @property
    def failed(self) -> list[Execution]:
        """What was given up."""
        return [one for one in self.all.values() if one.status not in {"RUNNING", "SUCCEEDED"}]

    @property
    def started(self) -> list[dict[str, Any]]:
        """What each execution was started with."""
        return [one.started for one in self.all.values()]

    @property
    def deletions(self) -> list[dict[str, Any]]:
        """What was started to be deleted at providers, without what the engine adds."""
        return [_work(one) for one in self.started if "delete" in one]

    def of(self, record: str) -> Execution:
        """Return the last execution of a job."""
        return [one for one in self.all.values() if one.started.get("video") == record][-1]

    # The client.

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: A002
        self.edges.touch("StartExecution")
        assert stateMachineArn == MACHINE
        assert 1 <= len(name) <= 80
        assert not set(name) & set(' \n\t<>{}[]?*"#%\\^|~`$&,;:/')
        assert len(input) <= 262_144
        if name in self.all:
            known = self.all[name]
            if not known.running or known.started != json.loads(input):
                raise _refused("ExecutionAlreadyExists", "StartExecution")
        else:
            started = json.loads(input)
            self.all[name] = Execution(name, started, machine()["StartAt"], started, self.clock.now)
            self._go_on(self.all[name], _no_task)
        return {"executionArn": _arn(name)}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:
        self.edges.touch("DescribeExecution")
        found = next((one for one in self.all.values() if _arn(one.name) == executionArn), None)
        if found is None:
            raise _refused("ExecutionDoesNotExist", "DescribeExecution")
        return {"status": found.status}

    # The engine.

    def next(self, before: float | None = None) -> Execution | None:
        """Return the execution that is due first, or None if none is due before `before`. Move the clock there."""
        first = min(self.running, key=lambda one: one.due, default=None)
        if first is None or (before is not None and first.due > before):
            return None
        self.clock.now = max(self.clock.now, first.due)
        return first

    def advance(self, execution: Execution, task: Task) -> bool:
        """Let the execution go on until it waits again or has ended. Return False if its step has failed."""
        assert execution.due <= self.clock.now
        return self._go_on(execution, task)

    def stop(self, execution: Execution) -> None:
        """Stop it, as an operator can."""
        assert execution.running
        execution.status = "ABORTED"

    def _go_on(self, execution: Execution, task: Task) -> bool:
        while execution.running and execution.due <= self.clock.now:
            state = machine()["States"][execution.state]
            match state["Type"]:
                case "Wait":
                    assert set(state) == {"Type", "SecondsPath", "Next"}
                    seconds = _read(state["SecondsPath"], execution.data)
                    assert isinstance(seconds, int) and 1 <= seconds <= 900, seconds
                    execution.due, execution.state = self.clock.now + seconds, state["Next"]
                case "Task":
                    if not self._task(execution, state, task):
                        return False
                case "Choice":
                    (choice,) = state["Choices"]
                    assert set(choice) == {"Variable", "BooleanEquals", "Next"}
                    chosen = _read(choice["Variable"], execution.data) is choice["BooleanEquals"]
                    execution.state = choice["Next"] if chosen else state["Default"]
                case "Succeed":
                    execution.status = "SUCCEEDED"
                case "Fail":
                    execution.status, execution.stopped_by = "FAILED", state["Error"]
                case unknown:
                    raise AssertionError(unknown)
        return True

    def _task(self, execution: Execution, state: dict[str, Any], task: Task) -> bool:
        assert set(state) <= TASK_FIELDS
        assert state["Resource"] == "RunJobFunction.Arn"
        handed = _parameters(state["Parameters"], execution.data) if "Parameters" in state else execution.data
        execution.steps += 1
        try:
            result = task(json.loads(json.dumps(handed)))
        except TaskFailed as failed:
            self._failed(execution, state, str(failed))
            return False
        execution.data = {**execution.data, state["ResultPath"].removeprefix("$."): json.loads(json.dumps(result))}
        execution.state, execution.tries = state["Next"], {}
        return True

    def _failed(self, execution: Execution, state: dict[str, Any], error: str) -> None:
        for number, retrier in enumerate(state.get("Retry", [])):
            assert set(retrier) <= RETRY_FIELDS
            if {error, "States.ALL"} & set(retrier["ErrorEquals"]):
                tried = execution.tries.get(number, 0)
                if tried < retrier["MaxAttempts"]:
                    pause = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** tried
                    execution.due = self.clock.now + min(pause, retrier["MaxDelaySeconds"])
                    execution.tries[number] = tried + 1
                    return
                break
        for catcher in state.get("Catch", []):
            if {error, "States.ALL"} & set(catcher["ErrorEquals"]):
                found = {"Error": error, "Cause": "{}"}
                execution.data = {**execution.data, catcher["ResultPath"].removeprefix("$."): found}
                execution.state, execution.tries = catcher["Next"], {}
                return
        execution.status, execution.stopped_by = "FAILED", error


@cache
def machine() -> dict[str, Any]:
    """Return the definition in template.yaml."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda _loader, _tag, node: node.value)
    template = yaml.load(TEMPLATE.read_text("utf-8"), Loader)  # noqa: S506 - a SafeLoader
    definition: dict[str, Any] = template["Resources"]["JobMachine"]["Properties"]["Definition"]
    assert set(definition) == {"Comment", "StartAt", "TimeoutSeconds", "States"}
    return definition


def call(handler: Callable[[dict[str, Any], Any], Any], event: dict[str, Any], context: Any) -> Any:
    """Call a function as Step Functions does. Raises TaskFailed if it raises or its process dies."""
    try:
        return handler(event, context)
    except Killed as killed:
        raise TaskFailed("Lambda.Unknown") from killed
    except Exception as error:
        raise TaskFailed(type(error).__name__) from error


def _no_task(_input: dict[str, Any]) -> Any:
    raise AssertionError("an execution begins with a wait")


def _read(path: str, data: dict[str, Any]) -> Any:
    value: Any = data
    for name in path.removeprefix("$").strip(".").split("."):
        value = value[name] if name else value
    return value


def _parameters(parameters: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    assert all(name.endswith(".$") for name in parameters)
    return {name.removesuffix(".$"): _read(path, data) for name, path in parameters.items()}


def _work(started: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in started.items() if name not in {"begun", "next"}}


def _arn(name: str) -> str:
    return f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"


def _refused(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)

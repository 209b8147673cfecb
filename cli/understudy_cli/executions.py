"""Executions of the state machine that drives jobs, as an operator reads them: status, steps, and history in words."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

MOST_LINES = 20  # of a history
CAUSE_CHARACTERS = 200  # of an error that a step has failed with
CONSOLES = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}
CALLED = {"LambdaFunctionScheduled", "LambdaFunctionStarted", "TaskScheduled", "TaskStarted"}
CLOSE = "Close"  # the state that ends a job whose step keeps failing (template.yaml)

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a history: when it happened, and what."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class History:
    """How often an execution has called `run_job`, how many lines its history has, and the last lines."""

    steps: int = 0
    count: int = 0
    last: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as Step Functions describes it. `work` is what it was started with."""

    arn: str
    name: str
    status: str
    started: datetime
    stopped: datetime | None
    work: dict[str, Any]

    @property
    def link(self) -> str:
        """The page of the AWS console with the execution's graph."""
        _, partition, _, region, *_ = self.arn.split(":")
        console = CONSOLES.get(partition, CONSOLES["aws"])
        return f"https://{region}.console.{console}/states/home?region={region}#/v2/executions/details/{self.arn}"


class Machine:
    """The state machine of a stack."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._client: Any = boto3.client("stepfunctions")

    def find(self, name: str) -> Execution | None:
        """Return the execution of this name, or None. Step Functions forgets executions 90 days after their end."""
        arn = f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            found = self._client.describe_execution(executionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return None
            raise
        return Execution(
            found["executionArn"],
            name,
            found["status"],
            found["startDate"],
            found.get("stopDate"),
            json.loads(found.get("input") or "{}"),
        )

    def history(self, execution: Execution) -> History:
        """Return the execution's history. All of it is read, because Step Functions does not count steps."""
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=execution.arn, PaginationConfig={"PageSize": 1000}
        )
        return read(event for page in pages for event in page["events"])


def read(events: Iterable[Event]) -> History:
    """Return the history that these events tell, the oldest first."""
    reader = _Reader()
    count, last = 0, deque[Line](maxlen=MOST_LINES)
    for line in reader.lines(events):
        count += 1
        last.append(line)
    return History(reader.steps, count, list(last))


class _Reader:
    """Puts events into words, one after another.

    AWS reports a call of a function as `LambdaFunction...`, a local AWS as `Task...`.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._closing = False
        self._began: datetime | None = None

    def lines(self, events: Iterable[Event]) -> Iterator[Line]:
        """Yield the lines. A step that has not ended is the last line."""
        kind = ""
        for event in events:
            kind = event["type"]
            if text := self._text(event):
                yield Line(event["timestamp"], text)
        if self._began and kind in CALLED:
            yield Line(self._began, f"{self._what} has begun and has not ended yet.")

    def _text(self, event: Event) -> str | None:
        kind = event["type"]
        details: dict[str, Any] = next((event[name] for name in event if name.endswith("EventDetails")), {})
        match kind:
            case "TaskStateEntered":
                self._closing = details.get("name") == CLOSE
                return "run_job is asked to end the job." if self._closing else None
            case "LambdaFunctionScheduled" | "TaskScheduled":
                self.steps += 1
                self._began = event["timestamp"]
                return None
            case "LambdaFunctionSucceeded" | "TaskSucceeded":
                return self._succeeded(event, details)
            case "ExecutionStarted":
                return f"Started. First step in {_seconds(details.get('input'), 'next')}."
            case "ExecutionSucceeded":
                return "Ended."
            case "ExecutionFailed":
                return f"Given up: {_error(details)}"
            case "ExecutionAborted":
                return "Stopped by an operator."
            case "ExecutionTimedOut":
                return "Stopped by Step Functions, because the time for an execution was over."
        if kind.startswith(("LambdaFunction", "Task")) and kind.endswith(("Failed", "TimedOut")):
            return f"{self._what} failed{self._after(event)}: {_error(details)}"
        return None

    @property
    def _what(self) -> str:
        return "The closing step" if self._closing else "Step"

    def _succeeded(self, event: Event, details: dict[str, Any]) -> str:
        took = f"{self._what} took {_took(self._began, event['timestamp'])}"
        result = _json(details.get("output"))
        if self._closing:
            return f"{took}. Closed."
        if result.get("done"):
            return f"{took}. Nothing is left to do."
        return f"{took}, next step in {_seconds(details.get('output'))}."

    def _after(self, event: Event) -> str:
        return f" after {_took(self._began, event['timestamp'])}" if self._began else ""


def _took(began: datetime | None, ended: datetime) -> str:
    return "an unknown time" if began is None else f"{(ended - began).total_seconds():.1f} s"


def _seconds(text: str | None, *path: str) -> str:
    value: Any = _json(text)
    for name in path:
        value = value.get(name) or {}
    return f"{value['seconds']} s" if "seconds" in value else "an unknown time"


def _error(details: dict[str, Any]) -> str:
    """Return the error's name and the first line of what the function has said, which may be JSON."""
    name, cause = details.get("error") or "no name", details.get("cause") or ""
    said = str(_json(cause).get("errorMessage") or cause).strip().partition("\n")[0]
    if len(said) > CAUSE_CHARACTERS:
        said = f"{said[:CAUSE_CHARACTERS]}..."
    text = f"{name}: {said}" if said else name
    return text if text.endswith((".", "...")) else f"{text}."


def _json(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def clock(at: datetime) -> str:
    """Return a time of day in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def day_and_time(at: datetime | float) -> str:
    """Return a time in UTC; a number is in unix seconds."""
    return f"{at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"

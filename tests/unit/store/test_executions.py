"""How executions are started: their names, what they are told, and what a start does whose answer was lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

from tests.fakes.clock import Clock
from tests.fakes.edges import Killed
from tests.fakes.executions import MACHINE, Executions
from understudy.settings import settings
from understudy.store import clients
from understudy.store import executions as store
from understudy.store.executions import MAX_SECONDS

JOB = "01a3185c5001e0d0b1c2d3e4f5a6"


def refuse(monkeypatch: pytest.MonkeyPatch, executions: Executions, code: str) -> None:
    """Make every call to Step Functions fail with this error."""

    def fail(**_: Any) -> dict[str, str]:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "StartExecution")

    for name in ("start_execution", "describe_execution"):
        monkeypatch.setattr(executions, name, fail)


class TestJobs:
    def test_the_execution_has_the_jobs_id_as_its_name_and_knows_where_the_job_is(
        self, executions: Executions, clock: Clock
    ) -> None:
        clock.advance(0.7)
        assert store.start_job("blue", JOB, 1, 5)
        execution = executions.all[JOB]
        assert execution.started == {"team": "blue", "video": JOB, "begun": int(clock.now), "next": {"seconds": 5}}
        assert execution.due == clock.now + 5

    def test_each_further_run_has_a_name_of_its_own(self, executions: Executions) -> None:
        for run in (1, 2, 3):
            assert store.start_job("blue", JOB, run, 1)
        assert list(executions.all) == [JOB, f"{JOB}-2", f"{JOB}-3"]
        assert [store.job_name(JOB, run) for run in (1, 2, 3)] == list(executions.all)

    @pytest.mark.parametrize(
        ("seconds", "waits"),
        [(-3, 1), (0, 1), (0.2, 1), (1, 1), (4.5, 5), (899.5, MAX_SECONDS), (MAX_SECONDS, 900), (5000, MAX_SECONDS)],
    )
    def test_it_waits_for_whole_seconds_from_1_to_900(self, executions: Executions, seconds: float, waits: int) -> None:
        store.start_job("blue", JOB, 1, seconds)
        found = executions.all[JOB].started["next"]["seconds"]
        assert (found, type(found)) == (waits, int)
        assert store.wait(seconds) == waits


class TestRepeats:
    """Step Functions starts at most one execution of a name."""

    def test_a_start_that_is_repeated_at_once_changes_nothing(self, executions: Executions) -> None:
        assert store.start_job("blue", JOB, 1, 5)
        assert store.start_job("blue", JOB, 1, 5)
        assert len(executions.all) == 1

    @pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
    def test_a_later_start_of_the_same_name_says_that_there_was_one(
        self, executions: Executions, clock: Clock, status: str
    ) -> None:
        store.start_job("blue", JOB, 1, 5)
        executions.all[JOB].status = status
        clock.advance(60)
        assert not store.start_job("blue", JOB, 1, 5)
        assert len(executions.all) == 1
        assert executions.all[JOB].status == status

    def test_a_process_that_died_before_the_start_can_start_again(self, executions: Executions) -> None:
        executions.edges.fatal = "StartExecution"
        with pytest.raises(Killed):
            store.start_job("blue", JOB, 1, 5)
        assert executions.all == {}
        assert store.start_job("blue", JOB, 1, 5)


class TestErrors:
    @pytest.mark.parametrize("code", ["ThrottlingException", "ExecutionLimitExceeded", "AccessDeniedException"])
    def test_other_errors_are_raised(self, executions: Executions, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
        refuse(monkeypatch, executions, code)
        for call in (
            lambda: store.start_job("blue", JOB, 1, 5),
            lambda: store.delete_video("one", "sora-2", "video_1"),
            lambda: store.delete_character("one", "char_1"),
            lambda: store.status(JOB),
        ):
            with pytest.raises(ClientError, match=code):
                call()

    def test_that_one_exists_is_no_answer_to_a_question(
        self, executions: Executions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse(monkeypatch, executions, "ExecutionAlreadyExists")
        with pytest.raises(ClientError):
            store.status(JOB)

    def test_that_none_exists_is_no_answer_to_a_start(
        self, executions: Executions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse(monkeypatch, executions, "ExecutionDoesNotExist")
        with pytest.raises(ClientError):
            store.start_job("blue", JOB, 1, 5)


class TestDeletions:
    def test_a_video(self, executions: Executions, clock: Clock) -> None:
        store.delete_video("one", "sora-2", "video_1")
        deletion = {"delete": "video", "deployment": "one", "model": "sora-2", "reference": "video_1"}
        assert executions.deletions == [deletion]
        assert executions.started == [{**deletion, "begun": int(clock.now), "next": {"seconds": 1}}]

    def test_a_character(self, executions: Executions) -> None:
        store.delete_character("one", "char_1")
        store.delete_character("one", "task_1", pending=True)
        assert executions.deletions == [
            {"delete": "character", "deployment": "one", "reference": "char_1"},
            {"delete": "character", "deployment": "one", "reference": "task_1", "pending": True},
        ]

    def test_each_has_a_name_of_its_own_that_no_job_has(self, executions: Executions) -> None:
        for _ in range(3):
            store.delete_video("one", "sora-2", "video_1")
        assert len(executions.all) == 3
        assert all(name.startswith("delete-") for name in executions.all)


class TestStatus:
    @pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
    def test_of_an_execution(self, executions: Executions, status: str) -> None:
        store.start_job("blue", JOB, 2, 5)
        executions.all[f"{JOB}-2"].status = status
        assert store.status(f"{JOB}-2") == status

    def test_of_none(self, executions: Executions) -> None:
        store.start_job("blue", JOB, 1, 5)
        assert store.status(f"{JOB}-2") is None


@pytest.mark.usefixtures("aws_clients")
class TestRealClient:
    """What botocore sends, and what it does when an answer is lost."""

    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        settings.cache_clear()
        clients.stepfunctions.cache_clear()
        monkeypatch.setattr(time, "sleep", lambda _: None)  # botocore's pauses
        yield
        clients.stepfunctions.cache_clear()

    def test_a_status_is_asked_for_by_the_executions_address(self) -> None:
        arn = f"arn:aws:states:us-east-1:123456789012:execution:understudy-jobs:{JOB}"
        with Stubber(clients.stepfunctions()) as stubber:
            asked = {"executionArn": arn}
            answer = {"executionArn": arn, "stateMachineArn": MACHINE, "startDate": 1, "status": "RUNNING"}
            stubber.add_response("describe_execution", answer, asked)
            assert store.status(JOB) == "RUNNING"
            stubber.add_client_error("describe_execution", "ExecutionDoesNotExist", expected_params=asked)
            assert store.status(JOB) is None

    @pytest.mark.parametrize("lost", [ReadTimeoutError, EndpointConnectionError])
    def test_a_start_whose_answer_was_lost_is_repeated_with_the_same_name_and_input(self, lost: Any) -> None:
        sent: list[dict[str, Any]] = []

        def answer(request: Any, **_: Any) -> Any:
            sent.append(json.loads(request.body))
            if len(sent) == 1:
                raise lost(endpoint_url=request.url)
            body = json.dumps({"executionArn": f"{MACHINE}:x", "startDate": 1}).encode()
            headers = {"content-type": "application/x-amz-json-1.0"}
            return SimpleNamespace(status_code=200, headers=headers, content=body, raw=None, text="")

        clients.stepfunctions().meta.events.register_first("before-send", answer)
        assert store.start_job("blue", JOB, 1, 5)
        assert len(sent) == 2
        assert sent[0] == sent[1]
        assert (sent[0]["stateMachineArn"], sent[0]["name"]) == (MACHINE, JOB)
        assert json.loads(sent[0]["input"])["video"] == JOB

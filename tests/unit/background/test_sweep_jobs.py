"""Jobs whose execution is gone: who finds them, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.edges import Killed
from tests.fakes.stage import Context, Stage, load
from tests.fakes.upstream import Upstream
from understudy.access.keys import Limits
from understudy.background import delete_upstream, run_job, sweep_jobs
from understudy.jobs import transitions
from understudy.jobs.job import QUIET_SECONDS, Job
from understudy.store import bucket, table
from understudy.store import executions as started

HOUR = 3600


@pytest.fixture
def limited(stage: Stage) -> Stage:
    """A caller with one slot and a budget of 100 dollars."""
    stage.sign_in("blue", limits=Limits(concurrent=1, budget=100_000_000))
    return stage


def create(stage: Stage, model: str = "solo") -> str:
    reply = stage.create(model=model)
    assert reply.status == 200, reply
    return str(reply.body["id"])


def job_of(stage: Stage) -> Job:
    """Return the newest job, from the table."""
    return Job.page(stage.caller.team, limit=1, newest_first=True, after=None)[0]


def told(stage: Stage, name: str, status: str, error: str | None = None) -> None:
    """Give `sweep_jobs` the event that Step Functions sends when an execution has ended."""
    execution = stage.executions.all[name]
    detail = {
        "executionArn": f"arn:aws:states:us-east-1:1:execution:understudy-jobs:{name}",
        "name": name,
        "status": status,
        "error": error,
        "input": json.dumps(execution.started),
    }
    event = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}
    load("sweep_jobs").handler(event, Context())


def lose(stage: Stage) -> None:
    """Lose the executions, as if they had never been started."""
    stage.executions.all.clear()


def free(stage: Stage) -> bool:
    """Whether the caller's only slot is free."""
    row = table.get(table.slots_key(stage.caller.key_id))
    return row is None or not row["open"]


class TestStopped:
    def test_an_operator_s_stop_ends_the_job_at_once(self, limited: Stage, upstream: Upstream) -> None:
        video = create(limited)
        execution = limited.executions.of(job_of(limited).id)
        limited.executions.stop(execution)
        told(limited, execution.name, "ABORTED")
        shown = limited.show(video)
        assert (shown["status"], shown["error"]["code"]) == ("failed", "stopped")
        assert shown["error"]["message"].endswith("The video may exist at the provider and may be billed.")
        assert free(limited)
        job = job_of(limited)
        settlement = table.get(table.entry_key("blue", job.id, "settlement"))
        assert settlement is not None
        assert settlement["micro_dollars"] == job.hold > 0

    def test_before_the_order_nothing_is_charged(self, limited: Stage, upstream: Upstream) -> None:
        limited.milliseconds = 5000  # too short for the order: run_job sends it
        video = create(limited)
        execution = limited.executions.of(job_of(limited).id)
        limited.executions.stop(execution)
        told(limited, execution.name, "ABORTED")
        shown = limited.show(video)
        assert (shown["status"], shown["error"]["message"]) == ("failed", "An operator stopped this video.")
        settlement = table.get(table.entry_key("blue", job_of(limited).id, "settlement"))
        assert settlement is not None
        assert settlement["micro_dollars"] == 0
        assert upstream.submits() == []

    def test_the_sweep_finds_it_if_nobody_was_told(self, stage: Stage, upstream: Upstream) -> None:
        video = create(stage)
        stage.executions.stop(stage.executions.of(job_of(stage).id))
        stage.clock.advance(HOUR)
        stage.sweep()
        assert stage.show(video)["error"]["code"] == "stopped"

    def test_a_finished_job_stays_finished(self, stage: Stage, upstream: Upstream) -> None:
        video = create(stage)
        name = job_of(stage).id
        upstream.finish()
        stage.run()
        told(stage, name, "FAILED")
        assert stage.show(video)["status"] == "completed"

    def test_a_deleted_job_is_no_matter(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        job = job_of(stage)
        table.delete(job.key)
        told(stage, job.id, "ABORTED")
        assert Job.find(job.team, job.id) is None

    def test_the_end_of_a_deletion_is_no_matter(self, stage: Stage) -> None:
        started.delete_video("solo", "solo", "video_1")
        (execution,) = stage.executions.running
        told(stage, execution.name, "FAILED")


class TestNeverStarted:
    def test_the_sweep_starts_it(self, stage: Stage, upstream: Upstream) -> None:
        video = create(stage)
        lose(stage)
        upstream.finish()
        stage.clock.advance(HOUR)
        stage.sweep()
        stage.run()
        assert stage.show(video)["status"] == "completed"
        assert bucket.size(f"{bucket.video_prefix('blue', job_of(stage).id)}video.mp4")
        assert len(upstream.submits()) == 1

    def test_who_looks_at_it_starts_it(self, stage: Stage, upstream: Upstream) -> None:
        video = create(stage)
        lose(stage)
        upstream.finish()
        stage.clock.advance(QUIET_SECONDS - 1)
        stage.show(video)
        assert stage.executions.running == []  # perhaps its next step is still to come
        stage.clock.advance(2)
        stage.show(video)
        stage.show(video)
        assert len(stage.executions.running) == 1
        stage.run()
        assert stage.show(video)["status"] == "completed"

    def test_who_looks_at_it_is_shown_it_even_if_it_cannot_be_started(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        video = create(stage)
        lose(stage)
        stage.clock.advance(HOUR)
        monkeypatch.setattr(started, "stepfunctions", lambda: None)
        assert stage.show(video)["status"] == "queued"

    def test_a_job_of_the_version_before_goes_on_when_it_is_looked_at(self, stage: Stage, upstream: Upstream) -> None:
        """Its row has no sign of steps, and the messages that drove it were deleted with their queue."""
        video = create(stage)
        lose(stage)
        job = job_of(stage)
        row = table.get(job.key)
        assert row is not None
        old = {name: row[name] for name in row if name not in {"pk", "sk", "run", "touched_at", "unfinished"}}
        table.put(job.key, {**old, "tick": 3, "lease_until": 0}, replace=True)
        upstream.finish()
        stage.show(video)
        stage.run()
        assert stage.show(video)["status"] == "completed"


class TestGivenUp:
    def test_a_job_goes_on_in_another_execution(self, stage: Stage, upstream: Upstream) -> None:
        """For example, an execution that has taken more steps than Step Functions records."""
        video = create(stage)
        execution = stage.executions.of(job_of(stage).id)
        execution.status = "FAILED"
        told(stage, execution.name, "FAILED")
        assert [one.name for one in stage.executions.running] == [f"{execution.name}-2"]
        upstream.finish()
        stage.run()
        assert stage.show(video)["status"] == "completed"

    def test_but_not_for_ever(self, limited: Stage, upstream: Upstream) -> None:
        video = create(limited)
        for _ in range(4):
            execution = limited.executions.of(job_of(limited).id)
            execution.status = "TIMED_OUT"
            told(limited, execution.name, "TIMED_OUT")
        shown = limited.show(video)
        assert (shown["status"], shown["error"]["code"]) == ("failed", "internal_error")
        assert limited.executions.running == []
        assert free(limited)

    def test_two_sweeps_at_once_start_one_execution(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(stage)
        execution = stage.executions.of(job_of(stage).id)
        execution.status = "FAILED"
        monkeypatch.setattr(table, "update", _raise(table.RowChanged("another was first")))
        told(stage, execution.name, "FAILED")
        monkeypatch.undo()

    def test_a_sweep_that_dies_between_start_and_row_does_no_harm(self, stage: Stage, upstream: Upstream) -> None:
        video = create(stage)
        execution = stage.executions.of(job_of(stage).id)
        execution.status = "FAILED"
        stage.edges.fatal = "UpdateItem"
        with pytest.raises(Killed):
            told(stage, execution.name, "FAILED")
        told(stage, execution.name, "FAILED")
        assert [one.name for one in stage.executions.running] == [f"{execution.name}-2"]
        assert job_of(stage).run == 2
        upstream.finish()
        stage.run()
        assert stage.show(video)["status"] == "completed"

    def test_an_event_prevails_over_what_step_functions_still_says(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DescribeExecution may not know yet what the event says."""
        video = create(stage)
        monkeypatch.setattr(started, "status", lambda _name: "RUNNING")
        told(stage, job_of(stage).id, "ABORTED")
        assert stage.show(video)["error"]["code"] == "stopped"

    def test_the_end_of_an_earlier_execution_is_no_matter(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        first = stage.executions.of(job_of(stage).id)
        first.status = "FAILED"
        told(stage, first.name, "FAILED")
        told(stage, first.name, "ABORTED")
        assert (job_of(stage).state, job_of(stage).run) == ("running", 2)

    def test_a_step_that_still_runs_when_its_execution_is_stopped(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Step Functions does not stop the function, so the step may move the job while the sweep ends it."""
        video = create(stage)
        execution = stage.executions.of(job_of(stage).id)
        stage.executions.stop(execution)
        fail = transitions.fail

        def late(job: Job, *given: Any, **more: Any) -> Job:
            monkeypatch.undo()
            transitions.move(job, "archiving")
            return fail(job, *given, **more)

        monkeypatch.setattr(transitions, "fail", late)
        told(stage, execution.name, "ABORTED")
        assert stage.show(video)["error"]["code"] == "stopped"

    @pytest.mark.parametrize(("status", "error", "count"), [("TIMED_OUT", None, 1), ("FAILED", None, 1)])
    @pytest.mark.parametrize("by", ["run_job", "nobody"])
    def test_a_deletion_that_nobody_told_of_is_told(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, status: str, error: str | None, count: int, by: str
    ) -> None:
        heard: list[str] = []
        monkeypatch.setattr(delete_upstream, "needs_attention", lambda what, _, **__: heard.append(what))
        started.delete_video("solo", "solo", "video_1")
        (execution,) = stage.executions.running
        told(stage, execution.name, status, error="GivenUp" if by == "run_job" else error)
        assert heard == ([] if by == "run_job" else ["deletion_failed"] * count)


class TestSweep:
    def test_a_job_that_is_driven_is_left_alone(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        stage.run(HOUR / 4)
        stage.edges.touched.clear()
        stage.sweep()
        assert "DescribeExecution" not in stage.edges.touched
        assert len(stage.executions.all) == 1

    def test_a_job_whose_execution_runs_is_only_noted(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        stage.clock.advance(HOUR)
        stage.sweep()
        job = job_of(stage)
        assert (job.state, job.run, job.touched_at) == ("running", 1, int(stage.clock.now))
        assert len(stage.executions.all) == 1

    def test_jobs_that_have_ended_are_not_read(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        upstream.finish()
        stage.run()
        stage.clock.advance(HOUR)
        stage.edges.touched.clear()
        stage.sweep()
        assert stage.edges.touched == ["Query", "Query"]  # the jobs that have not ended, and what teams store

    def test_a_job_that_somebody_moves_meanwhile_is_no_fault(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(stage)
        stage.clock.advance(HOUR)
        monkeypatch.setattr(transitions, "touch", _raise(table.RowChanged("moved")))
        monkeypatch.setattr(sweep_jobs, "needs_attention", _raise(AssertionError("no fault")))
        stage.sweep()

    def test_one_job_that_cannot_be_helped_does_not_stop_the_others(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(stage)
        bad = job_of(stage).id
        good = create(stage)
        lose(stage)
        known = started.status

        def status(name: str) -> str | None:
            if name == bad:
                raise RuntimeError("a row that nobody foresaw")
            return known(name)

        monkeypatch.setattr(started, "status", status)
        stage.clock.advance(HOUR)
        stage.sweep()
        upstream.finish()
        stage.run()
        assert stage.show(good)["status"] == "completed"

    def test_a_sweep_without_time_leaves_the_rest_to_the_next(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        lose(stage)
        stage.clock.advance(HOUR)
        load("sweep_jobs").handler({}, Context(10_000))
        assert stage.executions.all == {}
        stage.sweep()
        assert len(stage.executions.running) == 1

    def test_a_job_that_waits_for_long_gives_signs_of_its_steps(self, stage: Stage, upstream: Upstream) -> None:
        """A job whose source is not finished changes nothing in its row, perhaps for hours."""
        source = create(stage)
        reply = stage.call("edit_video", json_body={"video": {"id": source}, "prompt": "At night"})
        assert reply.status == 200, reply
        waiting = next(job for job in Job.page("blue", limit=9, newest_first=True, after=None) if job.source)
        for _ in range(6):
            stage.run(130)  # longer than two polls are apart
            job = Job.find("blue", waiting.id)
            assert job is not None
            assert job.touched_at > stage.clock.now - run_job.TOUCH_SECONDS - 130


def _raise(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_the_quiet_time_is_longer_than_any_wait_and_step() -> None:
    step = 330  # seconds, of the Task
    assert started.MAX_SECONDS + run_job.TOUCH_SECONDS + step < QUIET_SECONDS


def test_who_starts_an_execution_twice_starts_one(stage: Stage, upstream: Upstream) -> None:
    create(stage)
    job = job_of(stage)
    stage.clock.advance(HOUR)
    transitions.wake(job)
    assert len(stage.executions.all) == 1

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.clock import Clock
from tests.fakes.edges import Killed
from tests.fakes.executions import Executions
from understudy.ids import new_record
from understudy.jobs import transitions
from understudy.jobs.job import QUIET_SECONDS, TERMINAL, Job, Named, State
from understudy.store import table
from understudy.store.bucket import File
from understudy.store.table import RowChanged

pytestmark = pytest.mark.usefixtures("aws_stack", "clock", "executions")

FILE = File("media/videos/blue/1/video.mp4", "video/mp4", 5)


def draft(**changes: Any) -> Job:
    """Return a job that is not in the table."""
    facts: dict[str, Any] = {
        "team": "blue",
        "id": new_record(),
        "operation": "create",
        "state": "running",
        "model": "sora-2",
        "deployment": "one",
        "provider": "openai",
        "prompt": "A fox",
        "created_at": 1,
        "touched_at": 1,
        **changes,
    }
    return Job(**facts)


def made(**changes: Any) -> Job:
    """Write a job to the table and return it."""
    job = draft(**changes)
    table.write_together(job.new_row())
    return job


def again(job: Job) -> Job:
    """Return the job as it is in the table now."""
    found = Job.find(job.team, job.id)
    assert found is not None
    return found


def test_it_comes_back_as_it_was() -> None:
    named = Named("openai", "one", "video_1")
    job = made(image=FILE, characters=["c1"], named=named, error={"code": "a", "message": "b"})
    assert again(job) == job
    assert Job.find("blue", "other") is None
    assert Job.find("red", job.id) is None


def test_attributes_of_another_version_do_no_harm() -> None:
    job = made()
    table.update(job.key, {"from_the_future": 1}, expect={})
    assert again(job) == job


def test_ids_sort_by_time_and_differ(clock: Clock) -> None:
    ids = []
    for _ in range(50):
        ids.append(new_record())
        clock.advance(0.5)
    assert ids == sorted(ids)
    assert len({one[12:] for one in ids}) == 50


class TestMoves:
    def test_a_move_changes_state_and_facts(self) -> None:
        job = transitions.move(made(state="preparing"), "submitting", submit_by=5)
        assert (job.state, job.submit_by) == ("submitting", 5)
        assert again(job) == job

    def test_only_one_of_two_moves(self) -> None:
        job = made(state="submitting")
        transitions.move(job, "running", upstream_id="video_1")
        for late in (
            lambda: transitions.move(job, "preparing"),
            lambda: transitions.fail(job, "outcome_unknown", "x"),
            lambda: transitions.complete(job, FILE, 0),
        ):
            with pytest.raises(RowChanged):
                late()
        assert again(job).upstream_id == "video_1"

    @pytest.mark.parametrize("state", TERMINAL)
    def test_terminal_states_are_left_by_nothing(self, state: State) -> None:
        job = made(state=state)
        for target in ("preparing", "submitting", "unknown", "running", "archiving", "completed", "failed"):
            with pytest.raises(RowChanged):
                transitions.move(job, target)
        with pytest.raises(RowChanged):
            transitions.fail(job, "code", "message")
        with pytest.raises(RowChanged):
            transitions.complete(job, FILE, 0)
        assert again(job) == job

    @pytest.mark.parametrize("state", TERMINAL)
    def test_nor_by_somebody_who_read_it_before(self, state: State) -> None:
        before = made(state="archiving")
        ended = (
            transitions.complete(before, FILE, 0)
            if state == "completed"
            else transitions.fail(before, "code", "message")
        )
        for late in (
            lambda: transitions.fail(before, "late", "x"),
            lambda: transitions.move(before, "archiving", troubles=1),
        ):
            with pytest.raises(RowChanged):
                late()
        assert again(ended).state == state

    def test_complete(self, clock: Clock) -> None:
        job = again(transitions.complete(made(state="archiving", progress=99), FILE, 0, seconds=3, size="1280x720"))
        assert (job.state, job.progress, job.output, job.seconds, job.size) == ("completed", 100, FILE, 3, "1280x720")
        assert job.completed_at == int(clock.now)

    def test_fail(self, clock: Clock) -> None:
        job = again(transitions.fail(made(), "moderation_blocked", "Not this."))
        assert (job.state, job.error) == ("failed", {"code": "moderation_blocked", "message": "Not this."})
        assert job.completed_at == int(clock.now)

    def test_a_job_that_was_deleted_is_not_made_again(self) -> None:
        job = made(state="failed")
        transitions.delete(job)
        with pytest.raises(RowChanged):
            transitions.delete(job)
        job.mark_seen(job.maker)
        assert Job.find(job.team, job.id) is None

    def test_seen_is_written_once(self) -> None:
        job = made()
        job.mark_seen(job.maker)
        seen = again(job)
        assert seen == replace(job, seen=True)
        table.delete(seen.key)
        seen.mark_seen(job.maker)  # would fail on an absent row, if it wrote
        assert Job.find(job.team, job.id) is None


@pytest.mark.parametrize(
    ("state", "upstream", "status"),
    [
        ("preparing", "queued", "queued"),
        ("submitting", "queued", "queued"),
        ("unknown", "queued", "in_progress"),
        ("running", "queued", "queued"),
        ("running", "in_progress", "in_progress"),
        ("archiving", "in_progress", "in_progress"),
        ("completed", "in_progress", "completed"),
        ("failed", "queued", "failed"),
    ],
)
def test_the_public_status(state: State, upstream: str, status: str) -> None:
    assert made(state=state, upstream_status=upstream).status == status


def unfinished(clock: Clock) -> list[table.Key]:
    """Return the keys that the index of unfinished jobs has."""
    return list(table.unfinished(int(clock.now) + 1))


class TestUnfinished:
    """A job is in the index of unfinished jobs until it ends, and its row says when somebody last drove it."""

    @pytest.mark.parametrize("state", ["preparing", "submitting", "unknown", "running", "archiving"])
    def test_every_move_records_its_time_and_keeps_the_job_in_the_index(self, clock: Clock, state: State) -> None:
        job = made(state="preparing")
        clock.advance(700)
        moved = transitions.move(job, state)
        assert again(moved).touched_at == moved.touched_at == int(clock.now)
        assert unfinished(clock) == [job.key]

    def test_so_does_an_order(self, clock: Clock) -> None:
        job = made(state="submitting")
        clock.advance(700)
        transitions.ordered(job, "video_1")
        assert again(job).touched_at == int(clock.now)
        assert unfinished(clock) == [job.key]

    @pytest.mark.parametrize("state", TERMINAL)
    def test_a_job_that_ends_leaves_the_index(self, clock: Clock, state: State) -> None:
        job, other = made(state="archiving"), made(state="archiving")
        assert unfinished(clock) == [job.key, other.key]
        clock.advance(700)
        if state == "completed":
            transitions.complete(job, FILE, 0)
        else:
            transitions.fail(job, "code", "message")
        assert again(job).touched_at == int(clock.now)
        assert unfinished(clock) == [other.key]

    def test_a_job_that_is_discarded_leaves_the_index(self, clock: Clock) -> None:
        transitions.discard(made(state="submitting"))
        assert unfinished(clock) == []

    def test_a_new_row_was_touched_when_it_was_made(self) -> None:
        job = made(created_at=5, touched_at=0)
        assert again(job) == replace(job, touched_at=5)

    def test_a_touch_records_its_time_and_nothing_else(self, clock: Clock) -> None:
        job = made()
        clock.advance(700)
        transitions.touch(job)
        assert again(job) == replace(job, touched_at=int(clock.now))
        assert unfinished(clock) == [job.key]

    def test_a_touch_that_comes_after_a_move_changes_nothing(self, clock: Clock) -> None:
        job = made()
        moved = transitions.move(job, "archiving")
        clock.advance(700)
        with pytest.raises(RowChanged):
            transitions.touch(job)
        assert again(job) == moved

    @pytest.mark.parametrize(
        ("state", "age", "quiet"),
        [("running", QUIET_SECONDS, False), ("running", QUIET_SECONDS + 1, True), ("failed", 10**6, False)],
    )
    def test_a_job_is_quiet_if_it_has_not_ended_and_gave_no_sign_for_long(
        self, clock: Clock, state: State, age: int, quiet: bool
    ) -> None:
        job = made(state=state, touched_at=int(clock.now))
        clock.now = job.touched_at + float(age)
        assert job.quiet is quiet


class TestBegin:
    """The execution of a job is started after its row is written."""

    def test_the_execution_drives_the_job(self, executions: Executions) -> None:
        job = made()
        transitions.begin(job, 5)
        execution = executions.all[job.id]
        assert (execution.started["team"], execution.started["video"]) == ("blue", job.id)
        assert execution.due == executions.clock.now + 5
        assert again(job) == job

    def test_without_an_execution_nothing_is_left_of_the_job(
        self, executions: Executions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_: Any) -> dict[str, str]:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "x"}}, "StartExecution")

        job = made()
        monkeypatch.setattr(executions, "start_execution", fail)
        with pytest.raises(ClientError):
            transitions.begin(job, 5)
        assert Job.find(job.team, job.id) is None
        assert list(table.unfinished(10**10)) == []


class TestDrive:
    """A job that no execution drives gets another one."""

    def test_the_execution_is_started_and_the_row_names_it(self, executions: Executions, clock: Clock) -> None:
        job = made()
        clock.advance(700)
        transitions.drive(job, 2)
        assert again(job) == replace(job, run=2, touched_at=int(clock.now))
        assert list(executions.all) == [f"{job.id}-2"]
        assert executions.of(job.id).due == clock.now + 1

    def test_a_process_that_dies_in_between_can_be_repeated(self, executions: Executions, clock: Clock) -> None:
        job = made()
        executions.edges.fatal = "UpdateItem"
        with pytest.raises(Killed):
            transitions.drive(job, 2)
        assert list(executions.all) == [f"{job.id}-2"]  # started before the row names it
        assert again(job).run == 1
        clock.advance(60)
        transitions.drive(again(job), 2)
        assert again(job).run == 2
        assert len(executions.all) == 1

    def test_two_at_once_start_one_execution(self, executions: Executions) -> None:
        job = made()
        transitions.drive(job, 2)
        transitions.drive(job, 2)
        assert len(executions.all) == 1
        assert again(job).run == 2

    def test_a_job_that_has_moved_is_left_alone(self, executions: Executions) -> None:
        """The execution that was started nevertheless drives the same job, which does no harm."""
        job = made()
        transitions.move(job, "archiving")
        with pytest.raises(RowChanged):
            transitions.drive(job, 2)
        assert again(job).run == 1


class TestWake:
    """Whoever asks for a job that was quiet for long starts its execution, if it was never started."""

    def test_a_job_whose_execution_was_never_started_is_driven(self, executions: Executions, clock: Clock) -> None:
        job = made(run=3)
        clock.advance(QUIET_SECONDS + 1)
        transitions.wake(job)
        assert list(executions.all) == [f"{job.id}-3"]
        assert again(job) == replace(job, touched_at=int(clock.now))

    @pytest.mark.parametrize("status", ["RUNNING", "ABORTED", "FAILED", "SUCCEEDED", "TIMED_OUT"])
    def test_if_there_was_one_nothing_changes(self, executions: Executions, clock: Clock, status: str) -> None:
        job = made()
        transitions.begin(job, 5)
        executions.all[job.id].status = status
        clock.advance(QUIET_SECONDS + 1)
        transitions.wake(job)
        assert len(executions.all) == 1
        assert again(job) == job

    def test_a_failure_is_only_logged(
        self, executions: Executions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(**_: Any) -> dict[str, str]:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "x"}}, "StartExecution")

        job = made()
        monkeypatch.setattr(executions, "start_execution", fail)
        transitions.wake(job)
        assert "execution not started" in caplog.text
        assert again(job) == job

    def test_a_job_that_moves_meanwhile_is_no_failure_for_the_caller(self, executions: Executions) -> None:
        job = made()
        moved = transitions.move(job, "archiving")
        transitions.wake(job)
        assert again(job) == moved


def test_deleting_at_the_provider(executions: Executions) -> None:
    transitions.delete_upstream(made(upstream_id="video_1"))
    transitions.delete_upstream(made(upstream_id=None))
    transitions.delete_upstream(made(upstream_id="video_2", unconfirmed=True))
    assert executions.deletions == [{"delete": "video", "deployment": "one", "model": "sora-2", "reference": "video_1"}]


def test_pages(clock: Clock) -> None:
    ids = [made().id for _ in range(5)]
    made(team="red")

    def page(**how: Any) -> list[str]:
        return [job.id for job in Job.page("blue", **{"limit": 10, "newest_first": True, "after": None, **how})]

    assert page() == ids[::-1]
    assert page(newest_first=False, limit=2) == ids[:2]
    assert page(after=ids[2]) == [ids[1], ids[0]]

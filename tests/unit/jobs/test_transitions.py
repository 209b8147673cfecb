from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.clock import Clock
from tests.fakes.queue import Queue
from understudy.ids import new_record
from understudy.jobs import transitions
from understudy.jobs.job import TERMINAL, Job, Named, State
from understudy.jobs.transitions import Busy
from understudy.store import table
from understudy.store.bucket import File
from understudy.store.table import RowChanged

pytestmark = pytest.mark.usefixtures("aws_stack", "clock", "queue")

FILE = File("media/videos/blue/1/video.mp4", "video/mp4", 5)


def made(**changes: Any) -> Job:
    """Write a job to the table and return it."""
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
        **changes,
    }
    job = Job(**facts)
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
        job.mark_seen()
        assert Job.find(job.team, job.id) is None

    def test_seen_is_written_once(self) -> None:
        job = made()
        job.mark_seen()
        seen = again(job)
        assert seen == replace(job, seen=True)
        table.delete(seen.key)
        seen.mark_seen()  # would fail on an absent row, if it wrote
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


class TestClaim:
    def test_the_first_copy_works(self, clock: Clock) -> None:
        job = made()
        claimed = transitions.claim(job, 0, 330)
        assert claimed is not None
        assert claimed.lease_until == int(clock.now) + 330

    def test_another_copy_waits_until_the_first_has_handed_on(self) -> None:
        job = made()
        claimed = transitions.claim(job, 0, 330)
        assert claimed is not None
        with pytest.raises(Busy):
            transitions.claim(again(job), 0, 330)
        with pytest.raises(Busy):
            transitions.claim(job, 0, 330)  # read before the other one wrote
        transitions.release(claimed, 5)
        assert transitions.claim(again(job), 0, 330) is None
        assert transitions.claim(again(job), 1, 330) is not None

    def test_it_takes_over_from_one_that_died(self, clock: Clock) -> None:
        job = made()
        assert transitions.claim(job, 0, 330)
        clock.advance(331)
        assert transitions.claim(again(job), 0, 330) is not None

    def test_a_message_that_overtakes_the_row_comes_back(self) -> None:
        with pytest.raises(Busy):
            transitions.claim(made(), 1, 330)


class TestMessages:
    @pytest.mark.parametrize(("delay", "seconds"), [(0, 0), (0.2, 1), (4.5, 5), (900, 900), (5000, 900), (-3, 0)])
    def test_the_delay_is_one_that_sqs_takes(self, queue: Queue, delay: float, seconds: int) -> None:
        job = made()
        transitions.send(job, 3, delay)
        assert queue.sent[-1].delay == seconds
        assert json.loads(queue.sent[-1].body) == {"team": "blue", "video": job.id, "tick": 3}

    def test_handing_on_takes_a_second_at_least(self, queue: Queue) -> None:
        """The next message has a delay, so that it does not arrive before the row expects it."""
        transitions.release(made(tick=4), 0)
        assert queue.sent[-1].delay == 1

    def test_handing_on_frees_the_job(self, queue: Queue) -> None:
        job = made(tick=4, lease_until=10**10)
        transitions.release(job, 5)
        assert (again(job).tick, again(job).lease_until) == (5, 0)
        with pytest.raises(RowChanged):
            transitions.release(job, 5)

    def test_deleting_at_the_provider(self, queue: Queue) -> None:
        transitions.delete_upstream(made(upstream_id="video_1"))
        transitions.delete_upstream(made(upstream_id=None))
        (message,) = queue.sent
        assert json.loads(message.body) == {
            "delete": "video",
            "deployment": "one",
            "model": "sora-2",
            "reference": "video_1",
        }


def test_pages(clock: Clock) -> None:
    ids = [made().id for _ in range(5)]
    made(team="red")

    def page(**how: Any) -> list[str]:
        return [job.id for job in Job.page("blue", **{"limit": 10, "newest_first": True, "after": None, **how})]

    assert page() == ids[::-1]
    assert page(newest_first=False, limit=2) == ids[:2]
    assert page(after=ids[2]) == [ids[1], ids[0]]

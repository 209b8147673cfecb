"""A job that is driven keeps its slot to its end, however long it waits."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream, refuse
from understudy.access.keys import Caller, Limits
from understudy.background import retries, run_job
from understudy.jobs import budget
from understudy.jobs.job import Job
from understudy.store import table

HOUR = 3600


@pytest.fixture
def caller(stage: Stage) -> Caller:
    return stage.sign_in("blue", limits=Limits(concurrent=3))


def jobs() -> list[Job]:
    return Job.page("blue", limit=9, newest_first=True, after=None)


def slots(caller: Caller) -> dict[str, int]:
    row = table.get(table.slots_key(caller.key_id))
    assert row
    return dict(row["open"])


def run(stage: Stage, caller: Caller, until: Callable[[], bool]) -> None:
    """Take step after step, and check after each that every job that has not ended has its slot."""
    while not until() and (execution := stage.executions.next()):
        assert stage.step(execution)
        held = slots(caller)
        for job in jobs():
            assert job.done or held[job.id] > stage.clock.now, job
            assert job.done or held[job.id] == job.slot_until


def edit(stage: Stage, video: str) -> str:
    reply = stage.call("edit_video", json_body={"video": {"id": video}, "prompt": "warmer"})
    assert reply.status == 200, reply
    return str(reply.body["id"])


def test_each_of_a_chain_that_waits_for_hours(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    """An edit of an edit of a video. The provider is busy with each for almost two hours."""
    first = stage.create(model="solo").body["id"]
    second = edit(stage, first)
    third = edit(stage, second)
    upstream.instant = True
    start, left = stage.clock.now, [retries.MOST - 1, retries.MOST - 1]

    def take(request: httpx.Request) -> httpx.Response:
        if left[0]:
            left[0] -= 1
            return refuse(429, **{"retry-after": "900"})(request)
        left.pop(0)
        return upstream.serve(request)

    upstream.rules["POST", "solo.example", "/edits"] = take
    run(stage, caller, lambda: left == [])
    upstream.rules.clear()
    upstream.instant = False
    assert stage.clock.now - start > 3 * HOUR
    expected = stage.clock.now + 850  # of the 900 s that the provider may take
    run(stage, caller, lambda: stage.clock.now > expected)
    upstream.finish()
    run(stage, caller, lambda: False)
    assert [stage.show(one)["status"] for one in (first, second, third)] == ["completed"] * 3
    assert slots(caller) == {}


def test_a_character_that_takes_half_an_hour_first(
    stage: Stage, upstream: Upstream, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of the order counts from the order."""
    monkeypatch.setattr(budget, "LEASE_GRACE", 900)
    luna = stage.character(model="wan")
    upstream.rules["POST", "solo.example", "/characters"] = refuse(503)
    stage.create(model="solo", characters=[{"id": luna}])
    monkeypatch.setattr(retries, "MOST", 100)
    end = stage.clock.now + run_job.PREPARE_SECONDS - 100
    run(stage, caller, lambda: stage.clock.now > end)
    upstream.rules.clear()
    run(stage, caller, lambda: stage.clock.now > end + 800)
    (job,) = jobs()
    assert job.state == "running"
    upstream.finish()
    run(stage, caller, lambda: False)
    assert jobs()[0].state == "completed"


def test_a_job_that_nobody_drives_loses_its_slot(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    stage.create(model="solo")
    stage.executions.stop(stage.executions.running[-1])
    (job,) = jobs()
    stage.clock.advance(job.slot_until - stage.clock.now)
    assert budget.drop_expired(caller.key_id)
    assert slots(caller) == {}

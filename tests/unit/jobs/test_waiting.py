"""Edits, extensions and remixes of a video that is not finished wait for it; nothing is ordered before."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import Upstream, lose
from tests.unit.conftest import cold_start
from understudy.access.keys import Limits
from understudy.jobs import budget, transitions
from understudy.jobs.job import Job
from understudy.store import table

PACE = 5


@pytest.fixture
def source(stage: Stage, upstream: Upstream) -> str:
    """A video that its provider is making."""
    reply = stage.create("A fox", model="solo", seconds="8", size="1280x720")
    assert reply.status == 200
    upstream.heard.clear()
    return str(reply.body["id"])


def make(stage: Stage, operation: str, video: str, **headers: str) -> Reply:
    if operation == "remix":
        return stage.call("remix_video", path={"video_id": video}, json_body={"prompt": "x"}, headers=headers)
    body: dict[str, Any] = {"prompt": "x", "video": {"id": video}}
    if operation == "extend":
        body["seconds"] = "4"
    return stage.call(f"{operation}_video", json_body=body, headers=headers)


EACH = pytest.mark.parametrize("operation", ["edit", "extend", "remix"])


@EACH
def test_it_goes_on_when_its_source_is_there(stage: Stage, upstream: Upstream, source: str, operation: str) -> None:
    reply = make(stage, operation, source)
    assert (reply.status, reply.body["status"]) == (200, "queued")
    assert reply.body["seconds"] == ("4" if operation == "extend" else "8")
    stage.run(60)
    assert upstream.submits() == []
    assert stage.show(reply.body["id"])["status"] == "queued"
    upstream.finish()
    stage.run(30)
    (order,) = upstream.submits()
    assert order.body.get("video") == (None if operation == "remix" else {"id": "video_0"})
    assert ("video_0/remix" in order.path) == (operation == "remix")
    upstream.finish()
    stage.run()
    assert stage.show(reply.body["id"])["status"] == "completed"
    assert stage.show(reply.body["id"])["id"] == reply.body["id"]
    assert stage.executions.running == stage.executions.failed == []


@EACH
def test_it_fails_when_its_source_does(stage: Stage, upstream: Upstream, source: str, operation: str) -> None:
    caller = stage.sign_in("blue", limits=Limits(concurrent=1, budget=10_000_000))
    video = make(stage, operation, source).body["id"]
    upstream.finish("failed", error={"code": "moderation_blocked", "message": "No foxes."})
    stage.run()
    error = stage.show(video)["error"]
    assert error["code"] == "source_failed"
    assert "No foxes." in error["message"]
    assert upstream.submits() == []
    assert (table.get(table.slots_key(caller.key_id)) or {})["open"] == {}
    (job,) = Job.page("blue", limit=1, newest_first=True, after=None)
    assert (table.get(table.entry_key("blue", job.id, "settlement")) or {})["micro_dollars"] == 0


def test_it_fails_when_its_source_is_deleted(stage: Stage, upstream: Upstream, source: str) -> None:
    video = make(stage, "edit", source).body["id"]
    upstream.finish("failed")
    waiting = stage.executions.of(jobs_of(stage)[0])
    waiting.due += 3600  # the step that would see that the source has failed comes late
    stage.run(1800)
    assert stage.call("delete_video", path={"video_id": source}).status == 200
    stage.run()
    assert stage.show(video)["error"]["code"] == "source_deleted"
    assert upstream.submits() == []


def jobs_of(stage: Stage) -> list[str]:
    return [job.id for job in Job.page(stage.caller.team, limit=9, newest_first=True, after=None)]


def test_one_after_the_other(stage: Stage, upstream: Upstream, source: str) -> None:
    """An edit can be edited before it is finished; an extension cannot, because its length is not known yet."""
    edit = make(stage, "edit", source).body["id"]
    second = make(stage, "edit", edit)
    extension = make(stage, "extend", edit).body["id"]
    assert second.status == 200
    refused = make(stage, "edit", extension)
    assert (refused.status, refused.error["code"]) == (400, "video_not_ready")
    upstream.instant = True
    stage.run()
    assert {video["status"] for video in stage.listed()} == {"completed"}
    sources = [order.body["video"]["id"] for order in upstream.submits()]
    assert sorted(sources) == ["video_0", "video_1", "video_1"]


def test_it_may_be_asked_for_only_once(stage: Stage, upstream: Upstream, source: str) -> None:
    key = {"Idempotency-Key": "k"}
    first, again = make(stage, "edit", source, **key), make(stage, "edit", source, **key)
    assert first.body == again.body
    upstream.instant = True
    stage.run()
    assert make(stage, "edit", source, **key).body["id"] == first.body["id"]
    assert len(upstream.submits()) == 1


def test_its_slot_is_its_own_until_it_can_have_ended(stage: Stage, upstream: Upstream) -> None:
    stage.sign_in("blue", limits=Limits(concurrent=2))
    source = stage.create("A fox", model="solo").body["id"]
    stage.clock.advance(600)
    edit = make(stage, "edit", source)
    assert edit.status == 200
    first, second = reversed(Job.page("blue", limit=2, newest_first=True, after=None))
    assert second.slot_until == first.late_at + 900 + budget.LEASE_GRACE
    refused = stage.create("A cat", model="solo")
    assert (refused.status, refused.error["code"]) == (429, "concurrency_limit")


def test_a_remix_of_what_was_made_elsewhere(stage: Stage, upstream: Upstream) -> None:
    """A remix fails if its source moved from the planned deployment to another one."""
    video = stage.create(model="sora-2", characters=[{"id": stage.character(model="solo")}]).body["id"]
    (job,) = Job.page("blue", limit=1, newest_first=True, after=None)
    assert job.state == "preparing"
    remix = make(stage, "remix", video).body["id"]
    other = job.others[0]
    transitions.move(job, "preparing", deployment=other, others=[])
    upstream.instant = True
    stage.run()
    assert stage.show(video)["status"] == "completed"
    assert stage.show(remix)["error"]["code"] == "unsupported_operation"
    assert len(upstream.submits()) == 1


def test_death_at_every_touch(stage: Stage, upstream: Upstream) -> None:
    """A step dies at each touch in turn, while a video and its edit are in progress."""
    upstream.instant = True
    unknown = 0
    for n in itertools.count():
        cold_start()
        upstream.heard.clear()
        source = stage.create(f"death {n}", model="solo").body["id"]
        edit = make(stage, "edit", source).body["id"]
        assert len(upstream.submits()) == 1
        stage.edges.fatal = n
        stage.run()
        lived, stage.edges.fatal = stage.edges.fatal is not None, None
        assert stage.executions.running == stage.executions.failed == []
        shown = stage.show(edit)
        assert stage.show(source)["status"] == "completed"
        assert len(upstream.submits()) <= 2
        if shown["status"] == "failed":
            assert shown["error"]["code"] == "outcome_unknown"  # it died between the submit and the note of it
            unknown += 1
        else:
            assert shown["status"] == "completed"
            assert len(upstream.submits()) == 2
        if lived:
            break
    assert n > 30
    assert 1 <= unknown <= 4


def test_a_lost_source_is_no_source(stage: Stage, upstream: Upstream, source: str) -> None:
    upstream.rules["GET", "solo.example", ""] = lose()
    edit = make(stage, "edit", source).body["id"]
    stage.run()
    assert stage.show(source)["error"]["code"] == "provider_timeout"
    assert stage.show(edit)["error"]["code"] == "source_failed"
    assert upstream.submits() == []

"""A revoked key orders nothing more: what waits fails, and costs nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream
from understudy.access import keys
from understudy.access.keys import Caller, Limits
from understudy.jobs.job import Job
from understudy.store import table

LIMITS = Limits(concurrent=4, budget=10_000_000)


@pytest.fixture
def caller(stage: Stage) -> Caller:
    return stage.sign_in("blue", limits=LIMITS)


def waiting_edit(stage: Stage, upstream: Upstream) -> str:
    """Make an edit that waits for its source, and return the edit's id."""
    source = stage.create("the source", model="solo").body["id"]
    body = {"video": {"id": source}, "prompt": "warmer"}
    reply = stage.call("edit_video", json_body=body)
    assert reply.status == 200, reply
    stage.run(30)
    upstream.heard.clear()
    return str(reply.body["id"])


def owed(payer: str) -> tuple[int, int]:
    """Return the slots that are taken, and the micro-dollars that are committed this month."""
    (job, *_) = Job.page("blue", limit=5, newest_first=True, after=None)
    budget = table.get(table.budget_key(payer, job.month or "")) or {}
    return len((table.get(table.slots_key(payer)) or {})["open"]), budget["committed"]


def test_an_order_that_waits_is_not_sent(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    video = waiting_edit(stage, upstream)
    keys.revoke(caller.key_id)
    upstream.finish()
    stage.run()
    shown = stage.show(video)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "key_revoked")
    assert "Nothing was ordered" in shown["error"]["message"]
    assert upstream.submits() == []
    assert owed(caller.key_id) == (0, 3 * 100_000)  # the source: a file of 3 s


def test_what_is_ordered_already_is_finished(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    video = stage.create(model="solo").body["id"]
    keys.revoke(caller.key_id)
    upstream.finish()
    stage.run()
    assert stage.show(video)["status"] == "completed"


def test_no_native_character_is_made_for_it(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    luna = stage.character(model="wan")
    stage.milliseconds = 5000
    stage.create(model="solo", characters=[{"id": luna}])
    upstream.heard.clear()
    keys.revoke(caller.key_id)
    stage.run()
    assert upstream.heard == []
    assert stage.listed()[0]["error"]["code"] == "key_revoked"


@pytest.mark.parametrize("rotations", [1, 3])
def test_a_rotated_key_keeps_what_waits(stage: Stage, upstream: Upstream, caller: Caller, rotations: int) -> None:
    video = waiting_edit(stage, upstream)
    newest = caller
    for _ in range(rotations):
        _, newest = keys.rotate(newest.key_id)
    stage.caller = newest
    upstream.instant = True
    stage.run()
    assert stage.show(video)["status"] == "completed"
    assert len(upstream.submits()) == 1


@pytest.mark.parametrize("revoked", ["the successor", "the rotated key itself"])
def test_a_rotated_key_that_is_revoked_orders_nothing(
    stage: Stage, upstream: Upstream, caller: Caller, revoked: str
) -> None:
    video = waiting_edit(stage, upstream)
    _, successor = keys.rotate(caller.key_id)
    keys.revoke(successor.key_id if revoked == "the successor" else caller.key_id)
    upstream.instant = True
    stage.run()
    assert stage.show(video)["error"]["code"] == "key_revoked"
    assert upstream.submits() == []


def test_another_key_of_the_payer_goes_on(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    """The successor's own orders wait, too; the payer is the first key, and it is revoked."""
    _, stage.caller = keys.rotate(caller.key_id)
    video = waiting_edit(stage, upstream)
    keys.revoke(caller.key_id)
    upstream.instant = True
    stage.run()
    assert stage.show(video)["status"] == "completed"


def test_a_row_of_an_earlier_version_names_no_maker(stage: Stage, upstream: Upstream, caller: Caller) -> None:
    video = waiting_edit(stage, upstream)
    (job, *_) = Job.page("blue", limit=5, newest_first=True, after=None)
    table.update(job.key, {"maker": ""}, expect={})
    assert replace(job, maker="") == Job.find("blue", job.id)
    keys.revoke(caller.key_id)
    upstream.instant = True
    stage.run()
    assert stage.show(video)["status"] == "completed"


def test_a_key_whose_row_is_gone_counts_as_revoked(stage: Stage) -> None:
    assert keys.is_revoked("nobody")

"""If a provider makes a longer video than was ordered, or charges more, the actual cost is booked.

The next order is then refused, because the budget is spent.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import Upstream
from understudy.access.keys import Caller, Limits, rotate
from understudy.providers.openai import provider
from understudy.store import table

A_SECOND = 100_000  # micro-dollars, of sora-2 at OpenAI (docs/providers.md)
HELD = 4 * A_SECOND
BUDGET = Limits(budget=10 * HELD)


@pytest.fixture(autouse=True)
def long(stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every file 60 s long, although 4 s are ordered and reserved."""
    facts = {"width": 720, "height": 1280, "duration": 60.0}
    monkeypatch.setattr("understudy.files.clips.previews", lambda key, prefix, deadline: facts)
    upstream.instant = True


def booked(caller: Caller) -> tuple[int, int]:
    row = table.get(table.budget_key(caller.key_id, "2027-01")) or {}
    return row.get("committed", 0), row.get("spent", 0)


def refused(reply: Reply) -> None:
    assert (reply.status, reply.error["code"]) == (429, "insufficient_quota")
    assert reply.headers["x-should-retry"] == "false"


def test_the_budget_is_passed_once_and_nothing_is_made_after(stage: Stage, upstream: Upstream) -> None:
    caller = stage.sign_in("blue", limits=BUDGET)
    made = stage.create(model="solo").body
    assert booked(caller) == (HELD, 0)
    stage.run()
    assert stage.show(made["id"])["seconds"] == "60"
    assert booked(caller) == (60 * A_SECOND, 60 * A_SECOND)
    assert (BUDGET.budget or 0) < 60 * A_SECOND
    refused(stage.create(model="solo"))
    assert len(upstream.submits()) == 1
    entries = list(table.each(table.Key("team#blue", ""), "entry#"))
    assert [row["micro_dollars"] for row in entries] == [HELD, 60 * A_SECOND]


def test_those_under_way_are_settled_as_they_are(stage: Stage, upstream: Upstream) -> None:
    """Jobs that were placed within the budget are each booked at their actual cost, even beyond the budget."""
    caller = stage.sign_in("blue", limits=BUDGET)
    for _ in range(3):
        assert stage.create(model="solo").status == 200
    stage.run()
    assert booked(caller) == (180 * A_SECOND, 180 * A_SECOND)
    refused(stage.create(model="solo"))


def test_a_rotation_does_not_forgive_it(stage: Stage, upstream: Upstream) -> None:
    caller = stage.sign_in("blue", limits=BUDGET)
    assert stage.create(model="solo").status == 200
    _, stage.caller = rotate(caller.key_id)
    assert stage.create(model="solo").status == 200  # 4 s of each are held
    stage.run()
    assert booked(caller) == (120 * A_SECOND, 120 * A_SECOND)
    assert booked(stage.caller) == (0, 0)
    refused(stage.create(model="solo"))


def test_the_next_month_is_another_one(stage: Stage, upstream: Upstream) -> None:
    stage.sign_in("blue", limits=BUDGET)
    assert stage.create(model="solo").status == 200
    stage.run()
    refused(stage.create(model="solo"))
    stage.clock.advance(31 * 24 * 3600)
    assert stage.create(model="solo").status == 200


def test_what_the_provider_says_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = stage.sign_in("blue", limits=BUDGET)
    poll = provider.poll
    dear = 123 * HELD
    monkeypatch.setattr(provider, "poll", lambda *given: replace(poll(*given), micro_dollars=dear))
    assert stage.create(model="solo").status == 200
    stage.run()
    assert booked(caller) == (dear, dear)
    refused(stage.create(model="solo"))

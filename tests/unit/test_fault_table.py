"""The fault table is complete, and the judge of its rows finds each possible difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.simulators.shared.faults import Fault
from scripts import faults
from tests.integration.fault_judge import Told, judge
from tests.integration.fault_servers import OPENAI, SERVERS
from tests.integration.fault_table import LOST, ROWS, Row
from tests.unit.background import test_every_job_ends
from understudy import providers

OTHER_SERVERS = {"azure", "hosted_vllm"}  # OpenAI's words in other places


def test_every_provider_is_in_the_table() -> None:
    assert {server.name for server in SERVERS} == set(providers.names()) - OTHER_SERVERS


def test_every_failure_of_ours_names_a_test() -> None:
    text = Path(test_every_job_ends.__file__).read_text("utf-8")
    for *_, test in faults.HERE_ROWS:
        assert f"def {test}(" in text, test


def test_no_two_rows_are_one() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_each_has_moderation_of_orders_and_of_videos(server: Any) -> None:
    mine = [row for row in ROWS if row.server is server and row.fault.startswith("moderation: ")]
    assert {row.when for row in mine} == {"ordering", "waiting"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_simulators_understand_it(row: Row) -> None:
    for hook in row.hooks:
        fault = Fault.model_validate(hook)
        assert fault.method
        assert fault.path
    assert row.hooks or row.prompt or not row.connects, "nothing goes wrong in this row"


def completed() -> tuple[Row, Told]:
    """Return a row that ends well, and its correct outcome."""
    row = next(row for row in ROWS if row.fault == "polls: 429 with Retry-After" and row.server is OPENAI)
    video = {"id": "video_1", "status": "completed", "progress": 100, "error": None, "completed_at": 5}
    told = Told(1, 200, {}, dict(video), {"queued", "completed"}, video, [video], film_seconds=4.0)
    told.submits, told.made, told.polls, told.fired = 1, 1, [10.0, 14.0, 15.0], [(1, 1)]
    told.committed = told.spent = row.micro_dollars
    return row, told


def refused() -> tuple[Row, Told]:
    """Return a row whose call is refused because the outcome is unknown, and its correct outcome."""
    row = next(row for row in ROWS if row.sees == LOST and row.ordered)
    error = {"message": "The answer was lost.", "type": "server_error", "param": None, "code": "outcome_unknown"}
    told = Told(1, 502, {"x-should-retry": "false"}, {"error": error})
    told.listed = [{"id": "video_1", "status": "failed", "error": error}]
    told.submits, told.made, told.fired = 1, 1, [(1, 1)]
    told.committed = told.spent = row.micro_dollars
    return row, told


def failed() -> tuple[Row, Told]:
    """Return a row that ends with a failed video, and its correct outcome."""
    row = next(row for row in ROWS if row.fault == "the job never ends")
    error = {"code": "provider_timeout", "message": "It was not finished in time."}
    video = {"id": "video_1", "status": "failed", "progress": 5, "error": error, "completed_at": 5}
    told = Told(1, 200, {}, {}, {"failed"}, video, [video])
    told.submits, told.made = 1, 1
    told.committed = told.spent = row.micro_dollars
    return row, told


@pytest.mark.parametrize("told", [completed, refused, failed])
def test_it_is_content_with_what_is_right(told: Callable[[], tuple[Row, Told]]) -> None:
    judge(*told())


EVERY: dict[str, dict[str, Any]] = {
    "sent twice": {"submits": 2},
    "made twice": {"made": 2},
    "never sent": {"submits": 0, "made": 0},
    "a slot is kept": {"open": 1},
    "a micro-dollar is kept": {"committed": 200_001},
    "a micro-dollar is lost": {"committed": 199_999, "spent": 199_999},
    "nothing is settled": {"committed": 0, "spent": 0},
    "a fifth status": {"seen": {"simmering"}},
    "a fault that did not strike": {"fired": [(0, 1)]},
    "a fault that never struck": {"fired": [(0, None)]},
    "our key": {"listed": [{"id": "video_1", "status": "failed", "error": {"code": "outcome_unknown", "m": "sim-a"}}]},
}
WRONG = [
    *((told, changes, name) for told in (completed, refused, failed) for name, changes in EVERY.items()),
    (completed, {"film_seconds": None}, "no film"),
    (completed, {"film_seconds": 2.0}, "half a film"),
    (completed, {"polls": [10.0, 12.0]}, "asked too soon"),
    (completed, {"listed": []}, "lost from the list"),
    (completed, {"status": 502}, "refused"),
    (refused, {"status": 504}, "another status"),
    (refused, {"listed": []}, "no job that says so"),
    (refused, {"headers": {"x-should-retry": "false", "retry-after": "7"}}, "a pause that nobody asked for"),
    (refused, {"body": {"error": {"code": "outcome_unknown", "message": "Oh."}}}, "a useless message"),
    (failed, {"video": {"id": "video_1", "status": "completed", "error": None}}, "completed"),
    (failed, {"video": {"id": "video_1", "status": "failed", "error": {"code": "x", "message": "No go."}}}, "a code"),
]


@pytest.mark.parametrize(
    ("told", "changes"), [one[:2] for one in WRONG], ids=[f"{o[0].__name__} {o[2]}" for o in WRONG]
)
def test_it_finds_what_is_wrong(told: Callable[[], tuple[Row, Told]], changes: dict[str, Any]) -> None:
    row, right = told()
    with pytest.raises(AssertionError):
        judge(row, replace(right, **changes))


def test_a_lost_answer_may_be_told_by_its_job_to_the_second_try_only() -> None:
    row, told = refused()
    video = told.listed[0]
    second = replace(told, tries=2, status=200, headers={}, body=video, video=video)
    judge(row, second)
    with pytest.raises(AssertionError):
        judge(row, replace(second, tries=1))
    with pytest.raises(AssertionError):
        judge(row, replace(second, video={**video, "status": "completed"}))
    with pytest.raises(AssertionError):
        judge(row, replace(second, submits=2))


def test_a_refusal_that_forbids_nothing_may_not_leave_a_job() -> None:
    row = next(row for row in ROWS if row.fault == "429 without" and row.server is OPENAI)
    error = {"message": "Try again later.", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    told = Told(1, 429, {}, {"error": error}, submits=1, fired=[(1, None)])
    judge(row, told)
    with pytest.raises(AssertionError):
        judge(row, replace(told, listed=[{"id": "video_1", "status": "failed", "error": error}]))
    with pytest.raises(AssertionError):
        judge(row, replace(told, submits=2))
    judge(row, replace(told, submits=2, tries=2))

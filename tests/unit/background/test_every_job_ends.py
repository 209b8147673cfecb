"""Whatever dies, throws, is stopped or gets lost: the job ends, its slot is free, and its cost is settled once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests import rings
from tests.fakes.edges import Killed
from tests.fakes.executions import Execution
from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Upstream, answer, lose, refuse
from understudy.access.keys import Limits
from understudy.background import run_job
from understudy.jobs import transitions
from understudy.jobs.job import Job
from understudy.providers.base import Progress
from understudy.providers.openai import OpenAI
from understudy.store import bucket, table

HOUR = 3600
LIMITS = Limits(concurrent=4, budget=100_000_000)
STEPS = ["_prepare", "_wait_for_submit", "_poll", "_archive"]


def plain(stage: Stage) -> None:
    """A video that the call orders."""
    stage.create(stage.caller.team, model="solo")


def later(stage: Stage) -> None:
    """A video that `run_job` orders, because the call has no time left."""
    stage.milliseconds = 5000
    try:
        stage.create(stage.caller.team, model="solo")
    finally:
        stage.milliseconds = 28_000


def with_character(stage: Stage) -> None:
    """A video for which a native character comes first."""
    luna = stage.character()
    stage.create(stage.caller.team, model="solo", characters=[{"id": luna}])


def of_another(stage: Stage) -> None:
    """A video that waits for its source."""
    source = stage.create("the source", model="solo")
    body = {"video": {"id": source.body["id"]}, "prompt": stage.caller.team}
    stage.call("edit_video", json_body=body)


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "plain": plain,
    "later": later,
    "with a character": with_character,
    "of another": of_another,
}


def sign_in(stage: Stage, team: str = "blue") -> None:
    stage.sign_in(team, limits=LIMITS)


def wait(stage: Stage) -> None:
    """Let some hours pass, with the hourly sweep."""
    for _ in range(6):
        stage.run(HOUR)
        stage.clock.advance(HOUR)
        stage.sweep()
    stage.run()


def step(stage: Stage, count: int) -> list[Execution]:
    """Take at most `count` steps, and return the executions that still run."""
    for _ in range(count):
        if execution := stage.executions.next():
            stage.step(execution)
    return stage.executions.running


def jobs(stage: Stage) -> list[Job]:
    return Job.page(stage.caller.team, limit=50, newest_first=True, after=None)


def paid(job: Job) -> int:
    """Return what the key was charged for the job, in micro-dollars."""
    settlement = table.get(table.entry_key(job.team, job.id, "settlement"))
    assert settlement is not None
    return int(settlement["micro_dollars"])


def check(stage: Stage, upstream: Upstream) -> list[Job]:
    """Check that every job of the caller has ended and is paid for once, and return them."""
    made = jobs(stage)
    assert stage.executions.running == []
    assert [job.state for job in made if not job.done] == []
    assert (table.get(table.slots_key(stage.caller.key_id)) or {"open": {}})["open"] == {}
    spent = sum(map(paid, made))
    for month in {job.month for job in made if job.month}:
        account = table.get(table.budget_key(stage.caller.key_id, month))
        assert account is not None
        assert (account["committed"], account["spent"]) == (spent, spent)
    orders = [one for one in upstream.submits() if one.body.get("prompt") == stage.caller.team]
    assert len(orders) <= 1
    return made


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_process_that_dies_at_any_call(stage: Stage, upstream: Upstream, scenario: str) -> None:
    upstream.instant = True
    for n in itertools.count():
        sign_in(stage, f"team{n}")
        stage.edges.fatal = n
        died = False
        try:
            SCENARIOS[scenario](stage)
        except Killed:
            died = True
        except (AssertionError, KeyError):  # a first call died, and the second has nothing to go on
            pass
        stage.run()
        survived = stage.edges.fatal is not None
        stage.edges.fatal = None
        wait(stage)
        made = check(stage, upstream)
        assert {(job.error or {}).get("code") for job in made} <= {None, "outcome_unknown", "source_failed"}
        if survived:
            assert [job.state for job in made] == ["completed"] * len(made)
            break
        assert died or made
    assert n > 15


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(
    "error", rings.inner([Killed, RuntimeError, KeyError, TypeError, MemoryError], [Killed, RuntimeError])
)
def test_a_step_that_always_dies(
    stage: Stage,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    step: str,
    error: type[BaseException],
) -> None:
    sign_in(stage)
    monkeypatch.setattr(run_job, step, _raising(error))
    SCENARIOS[scenario](stage)
    upstream.finish()
    upstream.instant = True
    wait(stage)
    made = check(stage, upstream)
    for job in made:
        if job.state == "failed":
            assert job.error is not None
            assert job.error["code"] in {"internal_error", "source_failed"}
    used = {"_prepare": {"later", "with a character", "of another"}, "_wait_for_submit": set[str]()}
    if scenario in used.get(step, set(SCENARIOS)):
        assert made[0].state == "failed"
        ordered = step != "_prepare" and scenario != "of another"
        assert paid(made[0]) == (made[0].hold if ordered else 0)


@pytest.mark.parametrize("step", ["_poll", "_archive"])
@pytest.mark.parametrize("error", [Killed, RuntimeError])
def test_a_deployment_that_mends_it_comes_in_time_for_jobs_in_flight(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    sign_in(stage)
    plain(stage)
    upstream.finish()
    with monkeypatch.context() as broken:
        broken.setattr(run_job, step, _raising(error))
        stage.run(600)
    stage.run()
    assert [job.state for job in check(stage, upstream)] == ["completed"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_execution_that_is_stopped_after_any_step(stage: Stage, upstream: Upstream, scenario: str) -> None:
    upstream.instant = True
    for n in itertools.count():
        sign_in(stage, f"team{n}")
        SCENARIOS[scenario](stage)
        running = step(stage, n)
        for execution in running:
            stage.executions.stop(execution)
        wait(stage)
        made = check(stage, upstream)
        if not running:
            break
        assert {(job.error or {}).get("code") for job in made if job.state == "failed"} == {"stopped"}
    assert n >= 1


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_execution_that_is_lost_after_any_step(stage: Stage, upstream: Upstream, scenario: str) -> None:
    """Nobody loses executions; this is what a start that never happened looks like, at any time."""
    upstream.instant = True
    for n in itertools.count():
        sign_in(stage, f"team{n}")
        SCENARIOS[scenario](stage)
        running = step(stage, n)
        stage.executions.all.clear()
        wait(stage)
        made = check(stage, upstream)
        assert [job.state for job in made] == ["completed"] * len(made)
        if not running:
            break
    assert n >= 1


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_step_that_is_always_taken_twice(stage: Stage, upstream: Upstream, scenario: str) -> None:
    """Lambda may run a call twice, also at the same time."""
    upstream.instant = True
    sign_in(stage)
    SCENARIOS[scenario](stage)
    while execution := stage.executions.next():
        stage.repeat(execution)
        stage.step(execution)
    assert {job.state for job in check(stage, upstream)} == {"completed"}


def test_an_answer_that_is_lost_and_a_process_that_dies(stage: Stage, upstream: Upstream) -> None:
    for n in range(40):
        sign_in(stage, f"team{n}")
        upstream.script.append(lose())
        stage.edges.fatal = n
        try:
            plain(stage)
        except Killed:
            upstream.script.clear()
        stage.run()
        stage.edges.fatal = None
        wait(stage)
        check(stage, upstream)


def _raising(error: type[BaseException]) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error("as in a bad deployment")

    return fail


WRONG: list[Any] = [
    [],
    "done",
    5,
    None,
    {"status": ["completed"]},
    {"status": {}, "progress": "x"},
    {"id": [], "status": 5, "error": {"code": []}},
    {"id": "video_0", "status": "failed", "error": {"code": [], "message": {}}},
    {"id": "video_0", "status": "failed", "error": [{"code": 5}]},
    {"id": "video_0", "status": "completed", "seconds": [], "size": {}, "progress": None},
]


@pytest.mark.parametrize("for_good", [False, True], ids=["for a while", "for good"])
@pytest.mark.parametrize("body", WRONG, ids=str)
def test_answers_of_wrong_types(stage: Stage, upstream: Upstream, body: Any, for_good: bool) -> None:
    sign_in(stage)
    plain(stage)
    upstream.rules["GET", "solo.example", "/video_0"] = answer(200, json.dumps(body), "application/json")
    stage.run(300)
    upstream.finish()
    if not for_good:
        upstream.rules.clear()
    wait(stage)
    (job,) = check(stage, upstream)
    says = body.get("status") if isinstance(body, dict) else None
    if says in ("completed", "failed"):
        assert job.state == says
    elif for_good:
        assert job.error is not None
        assert (job.state, job.error["code"]) == ("failed", "provider_timeout")
    else:
        assert job.state == "completed"


@pytest.mark.parametrize("model", ["solo", "wan"])
@pytest.mark.parametrize("operation", ["edit", "extend"])
def test_a_clip_whose_object_is_gone(stage: Stage, upstream: Upstream, model: str, operation: str) -> None:
    """Nothing of ours deletes it before the job has ended; an operator or a lifecycle rule may."""
    sign_in(stage)
    stage.milliseconds = 5000  # run_job sends the order
    form: list[tuple[str, Any]] = [
        ("prompt", "blue"),
        ("model", model),
        ("video", ("clip.mp4", MP4, "video/mp4")),
        *([("seconds", "4")] if operation == "extend" else []),
    ]
    reply = stage.call(f"{operation}_video", form=form)
    if reply.status == 400:
        assert reply.error["code"] == "unsupported_operation"
        return
    assert reply.status == 200, reply
    bucket.delete_all(bucket.input_key("blue", jobs(stage)[0].id, ""))
    wait(stage)
    (job,) = check(stage, upstream)
    assert job.error is not None
    assert job.error["code"] == "file_gone"
    assert upstream.submits() == []


def test_an_outage_of_hours_does_not_end_what_is_paid_for(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, configure: Any, toml: str
) -> None:
    """The table cannot be read, so no step can record its failure."""
    configure(toml.replace("deadline_seconds = 900", "deadline_seconds = 36000"))
    sign_in(stage)
    plain(stage)
    upstream.finish()
    with monkeypatch.context() as outage:
        outage.setattr(Job, "find", _raising(RuntimeError))
        stage.run(2 * HOUR)
    wait(stage)
    (job,) = check(stage, upstream)
    assert job.state == "completed"


def test_an_outage_before_the_order_ends_the_job(stage: Stage, upstream: Upstream) -> None:
    sign_in(stage)
    later(stage)
    job = jobs(stage)[0]
    run_job.close("blue", job.id)
    (ended,) = jobs(stage)
    assert ended.state == "failed"
    assert paid(ended) == 0


def test_a_first_poll_after_the_deadline_has_some_tries(stage: Stage, upstream: Upstream) -> None:
    """Lambda had no room for hours, and the provider has a bad moment."""
    sign_in(stage)
    plain(stage)
    upstream.finish()
    stage.clock.advance(2 * HOUR)
    upstream.script += [refuse(503), refuse(401), lose()]
    stage.run()
    assert [job.state for job in check(stage, upstream)] == ["completed"]


def test_a_process_that_dies_while_it_orders_is_followed_by_a_question(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that can be asked about an order is asked, whatever has lost the answer."""
    profile = OpenAI.profile
    monkeypatch.setattr(OpenAI, "profile", lambda *given: replace(profile(*given), findable=True))
    monkeypatch.setattr(OpenAI, "find", lambda *_: Progress("video_0", "in_progress"), raising=False)
    sign_in(stage)
    stage.edges.fatal = "answer"
    with pytest.raises(Killed):
        plain(stage)
    upstream.instant = True
    stage.run()
    assert [job.state for job in check(stage, upstream)] == ["completed"]


def test_a_write_that_can_never_succeed_does_not_spin(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(stage)
    plain(stage)
    upstream.finish()
    monkeypatch.setattr(transitions, "complete", _raising(table.RowChanged))
    assert stage.run(HOUR) < 100
    monkeypatch.undo()

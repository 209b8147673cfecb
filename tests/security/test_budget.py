"""Slots and money of keys stay right, whatever happens in whatever order.

The events are creates, steps of jobs, repeated steps, deletes, executions that an operator stops, sweeps, lost answers,
deaths at any touch of the outside world, and other calls in between. After every event the rows have to agree with each
other. The expected cost of a job follows from how the job ended, not from the code under test.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import rings
from tests.fakes.edges import Killed
from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream, lose, refuse
from tests.unit.conftest import cold_start
from understudy.access.keys import Caller, Limits, rotate
from understudy.deployments import routing
from understudy.deployments.config import deployments
from understudy.jobs import budget, transitions
from understudy.jobs.job import QUIET_SECONDS, Job
from understudy.store import table

CONCURRENT = 2
A_SECOND = 100_000  # micro-dollars, of sora-2 at OpenAI (docs/providers.md)
HELD = 4 * A_SECOND
DELIVERED = 3 * A_SECOND  # the stage's clips are 3 s long
BUDGET = 3 * HELD + 50_000  # three and a bit
LIMITS = Limits(concurrent=CONCURRENT, budget=BUDGET)
# Error codes after which the provider may bill: the outcome is unknown, or a video was made.
OWED = {
    "outcome_unknown",
    "provider_timeout",
    "provider_lost_video",
    "output_unavailable",
    "deployment_removed",
    "stopped",  # the jobs here have no slow preparation, so their orders were sent
}

numbers = itertools.count()


@dataclass(repr=False)
class World:
    """A team with two keys, which may be rotated, and what the test has seen of the team's jobs."""

    stage: Stage
    upstream: Upstream
    callers: list[Caller] = field(default_factory=list)
    payers: list[str] = field(default_factory=list)
    ended: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.team = f"team{next(numbers)}"
        self.callers = [self.stage.sign_in(self.team, limits=LIMITS) for _ in range(2)]
        self.payers = [caller.key_id for caller in self.callers]
        self.stage.executions.all.clear()
        self.upstream.videos.clear()
        self.upstream.script.clear()
        self.upstream.instant = False
        self.stage.edges.fatal = None
        self.stage.clock.advance(3600)  # circuits close

    # What may happen

    def create(self, key: int, model: str, once: int | None = None) -> None:
        self.stage.caller = self.callers[key]
        headers = {"Idempotency-Key": f"{self.team}-{once}"} if once is not None else {}
        reply = self.stage.create(model=model, headers=headers)
        if reply.status == 429 and reply.error["code"] in {"concurrency_limit", "insufficient_quota"}:
            assert reply.headers.get("retry-after" if reply.error["code"] == "concurrency_limit" else "x-should-retry")

    def work(self, seconds: float) -> None:
        self.stage.run(seconds)

    def again(self, count: int) -> None:
        """Take the last executions' steps once more, as Lambda may do: also while the same step runs."""
        for execution in list(self.stage.executions.all.values())[-count:]:
            self.stage.repeat(execution)

    def stop(self, place: int) -> None:
        """Stop an execution, as an operator can."""
        running = self.stage.executions.running
        if running:
            self.stage.executions.stop(running[place % len(running)])

    def sweep(self) -> None:
        self.stage.sweep()

    def delete(self, place: int) -> None:
        self.stage.caller = self.callers[0]
        videos = self.stage.listed()
        if videos:
            self.stage.call("delete_video", path={"video_id": videos[place % len(videos)]["id"]})

    def rotate(self, key: int) -> None:
        _, self.callers[key] = rotate(self.callers[key].key_id)

    def script(self, answer: Any) -> None:
        self.upstream.script.append(answer)

    def meanwhile(self, n: int, act: Callable[[], None]) -> None:
        """Let something else happen just before the n-th touch of the next step."""
        edges, touch, touches = self.stage.edges, type(self.stage.edges).touch, itertools.count()

        def touched(name: str) -> None:
            if next(touches) == n:
                del edges.touch  # type: ignore[method-assign]
                caller = self.stage.caller
                self.alive(act)
                self.stage.caller = caller
            touch(edges, name)

        edges.touch = touched  # type: ignore[method-assign]

    def alive(self, act: Callable[[], None]) -> None:
        with contextlib.suppress(Killed):
            act()

    # What has to hold

    def jobs(self) -> dict[str, Job]:
        found = Job.page(self.team, limit=100, newest_first=True, after=None)
        return {job.id: job for job in found}

    def entries(self) -> dict[str, dict[str, table.Row]]:
        """Return the ledger entries by job and kind."""
        found: dict[str, dict[str, table.Row]] = {}
        for row in table.each(table.Key(f"team#{self.team}", ""), "entry#"):
            _, job, kind = row[table.SORT].split("#")
            found.setdefault(job, {})[kind] = row
        return found

    def check(self) -> None:
        """Check the rows, with no death and no other event while the check reads them."""
        plans = vars(self.stage.edges)
        kept = {name: plans.pop(name) for name in ("fatal", "touch") if name in plans}
        self.stage.edges.fatal = None
        self._check()
        plans.update(kept)

    def _check(self) -> None:
        now, rows, entries = self.stage.clock.now, self.jobs(), self.entries()
        assert {job.payer for job in rows.values()} <= set(self.payers)  # nobody else's slots, and no budget of its own
        assert {kinds["hold"]["key"] for kinds in entries.values()} <= set(self.payers)
        for job in rows.values():
            if job.id in self.ended:
                assert job.state == self.ended[job.id].state  # ended is ended
            if job.done:
                self.ended[job.id] = job
            assert set(entries[job.id]) == ({"hold", "settlement"} if job.done else {"hold"})
            assert entries[job.id]["hold"]["micro_dollars"] == HELD
            if job.done:
                assert entries[job.id]["settlement"]["micro_dollars"] == owed(job)
        assert set(table.unfinished(int(now) + 1)) == {job.key for job in rows.values() if not job.done}
        for job_id, kinds in entries.items():
            assert "hold" in kinds
            assert "settlement" in kinds or job_id in rows  # no hold is left by a deleted job
        for payer in self.payers:
            mine = {name: kinds for name, kinds in entries.items() if kinds["hold"]["key"] == payer}
            spent = sum(kinds["settlement"]["micro_dollars"] for kinds in mine.values() if "settlement" in kinds)
            held = sum(kinds["hold"]["micro_dollars"] for kinds in mine.values() if "settlement" not in kinds)
            committed = self.budget(payer)
            assert committed.get("committed", 0) == spent + held
            assert committed.get("spent", 0) == spent
            assert spent + held <= BUDGET
            still = {job.id for job in rows.values() if job.payer == payer and not job.done}
            leased = {name for name in still if rows[name].slot_until > now}
            slots = self.slots(payer)
            assert len(slots) <= CONCURRENT
            assert leased <= set(slots) <= still

    def budget(self, payer: str) -> table.Row:
        """Return the key's only budget row: every example ends within a month."""
        rows = list(table.each(table.Key(f"key#{payer}", ""), "budget#"))
        assert len(rows) <= 1
        return rows[0] if rows else {}

    def slots(self, payer: str) -> dict[str, int]:
        row = table.get(table.slots_key(payer))
        assert row is not None
        slots: dict[str, int] = row["open"]
        return slots

    def finish(self) -> None:
        """Remove all faults, let everything come to its end, and check that every slot is free."""
        if "touch" in vars(self.stage.edges):
            del self.stage.edges.touch  # type: ignore[method-assign]
        self.stage.edges.fatal = None
        self.upstream.script.clear()
        self.upstream.instant = True
        self.stage.run()
        self.stage.clock.advance(QUIET_SECONDS + 1)
        self.stage.sweep()  # jobs whose execution was stopped
        self.stage.run()
        self.check()
        lost = {job.id for job in self.jobs().values() if not job.done}
        assert lost == set()
        assert self.stage.executions.running == []
        assert {execution.status for execution in self.stage.executions.failed} <= {"ABORTED"}
        self.stage.clock.advance(7 * 24 * 3600)
        for payer in self.payers:
            budget.drop_expired(payer)
            assert self.slots(payer) == {}


def owed(job: Job) -> int:
    """Return the cost of a job, from how it ended."""
    if job.state == "completed":
        return DELIVERED
    assert job.error is not None
    return HELD if job.error["code"] in OWED else 0


keys = st.sampled_from([0, 1])
models = st.sampled_from(["solo", "sora-2"])
creates = st.tuples(st.just("create"), keys, models, st.none() | st.integers(0, 2))
works = st.tuples(st.just("work"), st.sampled_from([1, 30, 400, 4000]))
deletes = st.tuples(st.just("delete"), st.integers(0, 5))
again = st.tuples(st.just("again"), st.integers(1, 4))
rotations = st.tuples(st.just("rotate"), keys)
stops = st.tuples(st.just("stop"), st.integers(0, 2))
sweeps = st.tuples(st.just("sweep"))
acts = st.one_of(creates, works, deletes, again, rotations, stops, sweeps)
weather = st.sampled_from([("finish",), ("fail",), ("lose",), ("refuse",), ("break",), ("late",), ("moderate",)])
deaths = st.tuples(st.just("die"), st.integers(0, 14))
meanwhile = st.tuples(st.just("meanwhile"), st.integers(0, 9), acts)
steps = st.lists(st.one_of(creates, acts, weather, deaths, meanwhile), min_size=4, max_size=14)

WEATHER: dict[str, Callable[[World], object]] = {
    "finish": lambda world: world.upstream.finish(),
    "fail": lambda world: world.upstream.finish("failed", error={"code": "x", "message": "no"}),
    "lose": lambda world: world.script(lose()),
    "refuse": lambda world: world.script(refuse(429)),
    "break": lambda world: world.script(refuse(500)),
    "moderate": lambda world: world.script(refuse(400, "moderation_blocked")),
    "late": lambda world: world.stage.clock.advance(2000),
}


def step(world: World, what: tuple[Any, ...]) -> Callable[[], None]:
    name, *arguments = what
    if name == "die":
        return lambda: setattr(world.stage.edges, "fatal", arguments[0])
    if name == "meanwhile":
        return lambda: world.meanwhile(arguments[0], step(world, arguments[1]))
    if name in WEATHER:
        return lambda: (WEATHER[name](world), None)[1]
    return lambda: getattr(world, name)(*arguments)


CREATE, WORK, ROTATE = ("create", 0, "solo", None), ("work", 4000), ("rotate", 0)
STOP, LATE, SWEEP = ("stop", 0), ("late",), ("sweep",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=rings.size(10, 30))
@given(what=steps)
@example(what=[CREATE] * 5)
@example(what=[CREATE, ("finish",), WORK] * 5)
@example(what=[CREATE, ROTATE] * 5)
@example(what=[CREATE, CREATE, ROTATE, CREATE, ("finish",), WORK, CREATE, ROTATE, CREATE])
@example(what=[("meanwhile", n, ROTATE) if n % 2 == 0 else CREATE for n in range(14)])
@example(what=[("meanwhile", n, CREATE) if n % 2 == 0 else CREATE for n in range(10)])
@example(what=[("lose",), CREATE, WORK, ("lose",), CREATE, WORK, CREATE, WORK, CREATE, CREATE])
@example(what=[CREATE, STOP, CREATE, LATE, SWEEP, CREATE, ("finish",), WORK])
@example(what=[CREATE, ("work", 1), STOP, LATE, ("meanwhile", 4, SWEEP), SWEEP, ("die", 5), SWEEP, SWEEP])
@example(what=[CREATE, ("finish",), *(("meanwhile", n, ("again", 1)) if n % 2 else ("work", 30) for n in range(12))])
def test_the_books_are_right_whatever_happens(stage: Stage, upstream: Upstream, what: list[tuple[Any, ...]]) -> None:
    world = World(stage, upstream)
    for one in what:
        world.alive(step(world, one))
        world.check()
    world.finish()


@pytest.mark.parametrize("act", ["create", "work"])
def test_death_at_every_touch(stage: Stage, upstream: Upstream, act: str) -> None:
    """If a create or the work on a job dies at any touch, slot and money are still returned."""
    for n in itertools.count():
        cold_start()  # what an environment has kept is a touch less: the n-th would be another one each time
        world = World(stage, upstream)
        if act == "work":
            world.create(0, "solo")
            upstream.instant = True
        stage.edges.fatal = n
        world.alive(step(world, ("create", 0, "solo") if act == "create" else ("work", 30)))
        survived = stage.edges.fatal is not None
        world.check()
        world.finish()
        for job in world.ended.values():
            assert owed(job) in {HELD, DELIVERED}
        if survived:
            break
    assert n > 7


def test_another_create_at_every_touch(stage: Stage, upstream: Upstream) -> None:
    """Two creates compete for the last slot, and one of them gets it."""
    for n in range(12):
        world = World(stage, upstream)
        world.create(0, "solo")
        world.meanwhile(n, step(world, ("create", 0, "solo")))
        world.create(0, "solo")
        world.check()
        assert len(world.slots(world.payers[0])) == CONCURRENT
        world.finish()


def test_another_create_when_money_for_one_is_left(stage: Stage, upstream: Upstream) -> None:
    upstream.instant = True
    for n in range(12):
        world = World(stage, upstream)
        upstream.instant = True
        while world.budget(world.payers[0]).get("committed", 0) + 2 * HELD <= BUDGET:
            world.create(0, "solo")
            world.work(4000)
        submits = len(upstream.submits())
        world.meanwhile(n, step(world, ("create", 0, "solo")))
        world.create(0, "solo")
        world.check()
        assert len(upstream.submits()) - submits == 1
        world.finish()


class TestLeases:
    """A job that never ends loses its slot when its lease has expired, and not before."""

    def open(self, stage: Stage) -> tuple[Caller, str]:
        caller = stage.sign_in("blue", limits=Limits(concurrent=1))
        video = stage.create(model="solo")
        assert video.status == 200, video
        stage.executions.stop(stage.executions.running[-1])  # and the sweep never comes
        return caller, video.body["id"]

    def test_after_its_deadline_the_next_create_takes_the_slot(self, stage: Stage, upstream: Upstream) -> None:
        caller, _ = self.open(stage)
        (job,) = Job.page("blue", limit=9, newest_first=True, after=None)
        deadline = routing.profile_of(deployments().get("solo"), "solo").deadline_seconds
        assert job.slot_until == job.created_at + deadline + budget.LEASE_GRACE
        stage.clock.now = job.slot_until - 1.0
        refused = stage.create(model="solo")
        assert (refused.status, refused.error["code"]) == (429, "concurrency_limit")
        stage.clock.now = job.slot_until + 0.0
        taken = stage.create(model="solo")
        assert taken.status == 200
        assert len((table.get(table.slots_key(caller.key_id)) or {})["open"]) == 1

    @pytest.mark.parametrize("with_character", [False, True])
    def test_a_job_whose_every_step_is_killed_gives_back_its_slot(
        self, stage: Stage, upstream: Upstream, with_character: bool
    ) -> None:
        """The execution tries a step again 14 times. Then it calls `run_job` once more, which ends the job."""
        caller = stage.sign_in("blue", limits=Limits(concurrent=1, budget=BUDGET))
        cast = [{"id": stage.character()}] if with_character else []  # solo makes it anew: the order is sent later
        video = stage.create(model="solo", characters=cast)
        assert video.status == 200, video
        execution = stage.executions.running[-1]
        began, deaths = stage.clock.now, 0
        while execution.state != "Close":
            assert stage.executions.next() is execution
            stage.edges.fatal = 0
            assert not stage.step(execution)
            deaths += 1
        assert deaths == 1 + 14
        assert stage.clock.now - began < 3600
        stage.run()
        assert execution.status == "FAILED"
        assert stage.show(video.body["id"])["error"]["code"] == "internal_error"
        assert (table.get(table.slots_key(caller.key_id)) or {})["open"] == {}
        (job,) = Job.page("blue", limit=9, newest_first=True, after=None)
        settled = table.get(table.entry_key("blue", job.id, "settlement"))
        assert settled is not None
        assert settled["micro_dollars"] == (0 if with_character else HELD)  # the order of a running job may be billed
        assert list(table.unfinished(int(stage.clock.now) + 1)) == []
        assert stage.create(model="solo").status == 200

    def test_the_late_end_of_such_a_job_takes_nobody_elses(self, stage: Stage, upstream: Upstream) -> None:
        caller, video = self.open(stage)
        (job,) = Job.page("blue", limit=9, newest_first=True, after=None)
        stage.clock.now = job.slot_until + 1.0
        assert stage.create(model="solo").status == 200
        slots = (table.get(table.slots_key(caller.key_id)) or {})["open"]
        assert job.id not in slots
        transitions.fail(job, "x", "x")
        assert (table.get(table.slots_key(caller.key_id)) or {})["open"] == slots
        assert stage.show(video)["status"] == "failed"

    @pytest.mark.parametrize("state", ["preparing", "submitting", "running", "archiving"])
    def test_whatever_state_it_was_killed_in(self, stage: Stage, upstream: Upstream, state: str) -> None:
        """The execution takes the step again, and `run_job` ends the job and frees its slot."""
        upstream.instant = True
        stage.sign_in("blue", limits=Limits(concurrent=1))
        body: dict[str, Any] = {"model": "solo"}
        if state == "preparing":
            upstream.rules["POST", "*", "/videos/characters"] = refuse(503)
            body["characters"] = [{"id": stage.character(model="solo")}]
            upstream.rules.clear()
        dies = {
            "preparing": "POST /v1/videos/characters",
            "submitting": "POST /v1/videos",
            "running": "GET /v1/videos/video_0",
            "archiving": "GET /v1/videos/video_0/content",
        }
        stage.edges.fatal = dies[state] if state == "submitting" else None
        with contextlib.suppress(Killed):
            assert stage.create(**body).status == 200
        if state != "submitting":
            stage.edges.fatal = dies[state]
            execution = stage.executions.next()
            assert execution is not None
            assert not stage.step(execution)
            assert execution.running
            assert stage.edges.fatal is None
        (job,) = Job.page("blue", limit=9, newest_first=True, after=None)
        assert job.state == state
        assert stage.create(model="solo").status == 429
        stage.run()
        (job, *_) = Job.page("blue", limit=9, newest_first=True, after=None)
        assert job.done
        assert stage.create(model="solo").status == 200

"""Failures: what counts against a job, how long its provider is not asked, our errors, and what the job has cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Answering, Upstream, answer, lose, refuse
from tests.unit.background.test_run_job import (
    DEADLINE,
    HOST,
    PACE,
    PRICE,
    attention,
    ended,
    execution_of,
    gaps,
    job_of,
    settled,
    submitted,
)
from understudy.access import keys
from understudy.background import retries, run_job
from understudy.characters import handles
from understudy.errors import InvalidRequest, OutcomeUnknown, Reason, Refused
from understudy.files import clips
from understudy.jobs.job import Job
from understudy.providers.base import Account, Progress
from understudy.providers.openai import OpenAI
from understudy.store import clients, table


@pytest.fixture
def video(stage: Stage) -> str:
    """A video that the provider has just accepted."""
    return submitted(stage)


def spent(job: Job) -> int:
    """Return the job's settlement in micro-dollars, after a check that the key has committed and spent the same."""
    row = table.get(table.entry_key(job.team, job.id, "settlement"))
    assert row
    assert job.month
    budget = table.get(table.budget_key(job.payer, job.month))
    assert budget
    assert budget["committed"] == budget["spent"] == row["micro_dollars"]
    return int(row["micro_dollars"])


class TestLost:
    """Of all errors, only 404s end a job before its deadline: several in a row, for ten minutes."""

    @pytest.mark.parametrize("ending", ["/video_0", "/content"])
    @pytest.mark.parametrize(
        ("minutes", "state"), [(1, "completed"), (5, "completed"), (9, "completed"), (16, "failed")]
    )
    def test_a_balancer_may_answer_404_for_some_minutes(
        self, stage: Stage, upstream: Upstream, configure: Any, toml: str, minutes: int, state: str, ending: str
    ) -> None:
        configure(toml.replace("deadline_seconds = 900", "deadline_seconds = 3600"))
        stage.sign_in("blue", limits=keys.Limits(budget=10_000_000))
        video = submitted(stage)
        upstream.finish()
        upstream.rules["GET", HOST, ending] = refuse(404)
        stage.run(minutes * 60)
        upstream.rules.clear()
        stage.run()
        code = {"/video_0": "provider_lost_video", "/content": "output_unavailable"}[ending]
        assert ended(stage, video) == (state, code if state == "failed" else None)
        assert spent(job_of(stage)) == (400_000 if state == "failed" else 300_000)

    def test_its_deadline_ends_it_earlier(self, stage: Stage, upstream: Upstream, video: str) -> None:
        begun = stage.clock.now
        stage.run(600)  # of 900
        upstream.videos.clear()
        stage.run()
        assert ended(stage, video) == ("failed", "provider_lost_video")
        (job,) = Job.page("blue", limit=2, newest_first=True, after=None)
        assert job.completed_at
        assert job.completed_at < begun + 900 + 120

    def test_two_404s_with_hours_between_are_no_loss(
        self, stage: Stage, upstream: Upstream, configure: Any, toml: str
    ) -> None:
        """Nothing asked the provider meanwhile."""
        configure(toml.replace("deadline_seconds = 900", "deadline_seconds = 36000"))
        video = submitted(stage)
        upstream.finish()
        upstream.script += [refuse(404)]
        stage.work()
        stage.clock.advance(2 * 3600)
        upstream.script += [refuse(404)]
        stage.run()
        assert upstream.script == []
        assert ended(stage, video) == ("completed", None)

    def test_404s_among_other_troubles_are_no_loss(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        configure(toml.replace("deadline_seconds = 900", "deadline_seconds = 3600"))
        video = submitted(stage)
        others = [refuse(500), lose(), refuse(503), refuse(502)]
        upstream.script += [each for other in others * 3 for each in (refuse(404), other)]
        upstream.instant = True
        stage.run()
        assert upstream.script == []
        assert ended(stage, video) == ("completed", None)

    def test_a_good_answer_begins_the_row_again(self, stage: Stage, upstream: Upstream, video: str) -> None:
        row = [refuse(404)] * (retries.MOST - 1)
        upstream.script += [*row, upstream.serve, *row]
        stage.run(400)
        assert upstream.script == []
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_a_row_after_other_troubles_is_one(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.script += [refuse(500), refuse(500), *[refuse(404)] * retries.MOST]
        upstream.videos.clear()
        stage.run()
        assert ended(stage, video) == ("failed", "provider_lost_video")
        assert upstream.script == []

    def test_a_file_that_is_missing_once_after_other_troubles_is_fetched(
        self, stage: Stage, upstream: Upstream, video: str
    ) -> None:
        answers: list[Answering] = [refuse(500)] * 9 + [refuse(404)]
        upstream.rules["GET", HOST, "/content"] = lambda request: (
            answers.pop(0)(request) if answers else upstream.serve(request)
        )
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_a_character_lost_after_other_troubles_is_made_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create("Luna", model="solo", characters=[{"id": stage.character()}]).body["id"]
        lost = refuse(404, "not_found", "Character with id 'x' not found.")
        answers: list[Answering] = [refuse(429), refuse(429), refuse(429), lost]
        upstream.rules["POST", HOST, "/videos"] = lambda request: (
            answers.pop(0)(request) if answers else upstream.serve(request)
        )
        stage.run()
        assert ended(stage, video) == ("completed", None)


class TestOurErrors:
    """An error of ours ends a step. The step is retried, because a new version of the code may mend it."""

    @pytest.fixture(autouse=True)
    def told(self, monkeypatch: pytest.MonkeyPatch, stage: Stage) -> list[str]:
        """What the operator was told."""
        stage.sign_in("blue", limits=keys.Limits(concurrent=1, budget=10_000_000))
        return attention(monkeypatch, retries)

    def broken(self, *_given: Any) -> Any:
        raise TypeError("unhashable type: 'list'")

    def test_a_deploy_that_mends_polls_before_the_deadline_saves_the_video(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, told: list[str]
    ) -> None:
        video = submitted(stage)
        with monkeypatch.context() as version:
            version.setattr(OpenAI, "poll", self.broken)
            stage.run(DEADLINE - 150)
        assert stage.show(video)["status"] == "queued"
        assert set(told) == {"step_died"}
        assert len(told) > retries.MOST
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert settled(stage) == 3 * PRICE

    def test_a_deploy_that_mends_previews_saves_the_video(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        video = submitted(stage)
        upstream.finish()
        with monkeypatch.context() as version:
            version.setattr(clips, "previews", self.broken)
            stage.run(600)
        assert stage.show(video)["status"] == "in_progress"
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_after_the_order_the_deadline_ends_it(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(OpenAI, "poll", self.broken)
        video = submitted(stage)
        start = stage.clock.now
        stage.run()
        assert ended(stage, video) == ("failed", "internal_error")
        assert "may be billed" in stage.show(video)["error"]["message"]
        assert DEADLINE < stage.clock.now - start < DEADLINE + 121
        assert settled(stage) == 4 * PRICE

    def test_before_the_order_it_ends_after_eight_retries(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, told: list[str]
    ) -> None:
        died: list[float] = []

        def broken(*_given: Any) -> Any:
            died.append(stage.clock.now)
            raise TypeError

        monkeypatch.setattr(handles, "ensure", broken)
        video = submitted(stage, characters=[{"id": stage.character()}])
        stage.run()
        assert ended(stage, video) == ("failed", "internal_error")
        assert "billed" not in stage.show(video)["error"]["message"]
        assert gaps(died) == [5, 5, 5, 8, 16, 32, 64, 120]
        assert told == ["step_died"] * 9
        assert settled(stage) == 0
        assert upstream.submits() == []

    def test_a_character_that_our_error_keeps_from_being_made(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        character = stage.character()
        monkeypatch.setattr(OpenAI, "make_character", self.broken)
        video = submitted(stage, characters=[{"id": character}])
        start = stage.clock.now
        stage.run()
        assert ended(stage, video)[0] == "failed"
        assert stage.clock.now - start < 2 * run_job.PREPARE_SECONDS
        assert settled(stage) == 0
        assert upstream.submits() == []

    def test_an_error_after_the_order_was_sent_does_not_send_it_again(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        submit = OpenAI.submit

        def broken(*given: Any) -> Any:
            submit(*given)
            raise TypeError

        monkeypatch.setattr(OpenAI, "submit", broken)
        video = submitted(stage, characters=[{"id": stage.character()}])
        stage.run()
        assert ended(stage, video) == ("failed", "outcome_unknown")
        assert len(upstream.submits()) == 1
        assert settled(stage) == job_of(stage).hold

    def test_a_failure_to_record_the_error_is_retried_by_the_machine(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If DynamoDB is away as well, only the state machine can retry."""
        video = submitted(stage)
        with monkeypatch.context() as away:
            away.setattr(table, "get", self.broken)
            stage.run(600)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)


MODELS = {
    "openai": "sora-2",
    "azure": "sora-2",
    "gemini": "veo-3.1-generate-preview",
    "hosted_vllm": "wan-2.2",
    "kling": "kling-3.0-omni",
    "minimax": "MiniMax-H3",
    "runwayml": "gen4_turbo",
    "xai": "grok-imagine-video",
}
SAID: dict[str, Any] = {"status_code": [], "status_msg": {}}
ID = {"id": "video_0"}
SHAPES: list[tuple[int, Any]] = [  # a status, and a body with wrong types for each provider
    (200, []),
    (200, "words"),
    (200, None),
    (200, {}),
    (200, {"code": []}),
    (200, {"code": 0, "data": [[]]}),
    (200, {"code": 0, "data": {"id": []}, "task": [], "base_resp": []}),
    (200, {**ID, "status": [], "error": [], "progress": [], "seconds": {}, "size": [], "done": [], "video": []}),
    (200, {**ID, "status": "failed", "error": [[]], "done": True, "response": []}),
    (200, {**ID, "status": "failed", "error": {"code": [], "message": {}}, "done": True, "base_resp": SAID}),
    (200, {**ID, "status": "FAILED", "failure": [], "failureCode": {}, "task": {"status": "failed", "error": []}}),
    (200, {**ID, "status": "SUCCEEDED", "output": {}, "done": True, "response": {"generateVideoResponse": []}}),
    (200, {**ID, "status": "done", "video": {"url": [], "duration": {}}, "usage": []}),
    (400, []),
    (400, {"code": {}, "message": []}),
    (400, {"error": []}),
    (400, {"error": {"code": [], "message": {}, "type": [], "param": [], "status": [], "details": {}}}),
]


@pytest.mark.parametrize("provider", sorted(MODELS))
class TestWrongTypes:
    """A provider answers with JSON of a shape that is not in its documentation. The job ends all the same."""

    @pytest.fixture(autouse=True)
    def patience(self, stage: Stage, toml: str, provider: str) -> None:
        """Two deployments files with little patience, for `solo` as it is and for `solo` as the provider's."""
        stage.sign_in("blue", limits=keys.Limits(concurrent=1, budget=1_000_000_000))
        self.toml = toml.replace("deadline_seconds = 900", "deadline_seconds = 60")
        before, solo = self.toml.split("[deployments.solo]")
        solo = solo.replace('"openai"', f'"{provider}"', 1).replace('"sora-2"', f'"{MODELS[provider]}"', 1)
        self.changed = f"{before}[deployments.solo]{solo}"

    def test_to_a_poll(self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], provider: str) -> None:
        for status, shape in SHAPES:
            configure(self.toml)
            video = submitted(stage, json.dumps(shape))
            configure(self.changed)
            start = stage.clock.now
            upstream.rules["GET", HOST, ""] = answer(status, json.dumps(shape), "application/json")
            stage.run()
            assert ended(stage, video)[0] == "failed", shape
            assert stage.clock.now - start < 60 + 300, shape
        settled(stage)

    def test_to_an_order(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], provider: str
    ) -> None:
        configure(self.changed)
        upstream.rules["GET", HOST, ""] = answer(404, "{}", "application/json")
        for number, (status, shape) in enumerate(SHAPES, start=1):
            upstream.rules["POST", HOST, ""] = answer(status, json.dumps(shape), "application/json")
            stage.create(json.dumps(shape), model="solo")
            stage.run()
            assert len(upstream.submits()) == number, shape
            assert stage.executions.running == stage.executions.failed == [], shape
            assert all(video["status"] == "failed" for video in stage.listed()), shape
        settled(stage)


BUSY: list[int] = [429, 503]


class TestRetryAfter:
    """A provider is not asked again before its Retry-After has passed."""

    @pytest.mark.parametrize("status", BUSY)
    def test_polls_keep_to_it(self, stage: Stage, upstream: Upstream, video: str, status: int) -> None:
        upstream.rules["GET", HOST, "/video_0"] = _busy(status, "77")
        stage.run(77 + PACE)
        first, second = (poll.at for poll in upstream.polls())
        assert second - first >= 77

    def test_so_do_they_when_a_balancer_says_it(self, stage: Stage, upstream: Upstream, video: str) -> None:
        page = httpx.Response(503, content="<html>", headers={"retry-after": "77"})
        upstream.rules["GET", HOST, "/video_0"] = lambda request: page
        stage.run(77 + PACE)
        first, second = (poll.at for poll in upstream.polls())
        assert second - first >= 77

    def test_orders_that_wait_keep_to_it(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create("Luna", model="solo", characters=[{"id": stage.character()}]).body["id"]
        upstream.rules["POST", HOST, "/videos"] = _busy(429, "77")
        start = stage.clock.now
        stage.run(60)
        upstream.rules.clear()
        stage.run(start + 76 - stage.clock.now)
        assert len(upstream.submits(HOST)) == 1
        stage.run()
        assert ended(stage, video) == ("completed", None)
        refused, taken = upstream.submits(HOST)
        assert taken.at - refused.at >= 77

    def test_fetching_keeps_to_it(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.rules["GET", HOST, "/content"] = _busy(503, "77")
        upstream.finish()
        stage.run(PACE + 77 + PACE)
        fetches = [one.at for one in upstream.heard if one.path.endswith("/content")]
        assert len(fetches) == 2
        assert fetches[1] - fetches[0] >= 77

    def test_looking_for_a_lost_order_keeps_to_it(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[float] = []

        def find(provider: OpenAI, account: Account, reference: str) -> Progress | None:
            asked.append(stage.clock.now)
            raise Refused(Reason.BUSY, "later", retry_after="77")

        profile = OpenAI.profile
        monkeypatch.setattr(OpenAI, "profile", lambda *given: replace(profile(*given), findable=True))
        monkeypatch.setattr(OpenAI, "find", find)
        upstream.script.append(lose())
        submitted(stage)
        stage.run(PACE + 77 + PACE)
        assert len(asked) == 2
        assert asked[1] - asked[0] >= 77

    def test_a_wait_has_at_most_a_quarter_of_an_hour(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.rules["GET", HOST, "/video_0"] = _busy(429, "86400")
        stage.work()
        assert execution_of(stage).seconds == 900

    @pytest.mark.parametrize(
        ("said", "seconds"),
        [
            ("7", 7),
            (" 7 ", 7),
            ("1.5", 1.5),
            ("0", 0),
            (None, 0),
            ("", 0),
            ("-3", 0),
            ("soon", 0),
            ("nan", 0),
            ("9" * 400, 0),
            ("\N{ARABIC-INDIC DIGIT SEVEN}", 0),
            ("Fri, 31 Dec 9999999 23:59:59 GMT", 0),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ],
    )
    def test_what_it_may_say(self, said: str | None, seconds: float) -> None:
        assert Refused(Reason.BUSY, "", retry_after=said).pause == seconds
        assert OutcomeUnknown("", retry_after=said).pause == seconds

    def test_a_date(self) -> None:
        said = formatdate(time.time() + 90, usegmt=True)
        assert 85 < Refused(Reason.BUSY, "", retry_after=said).pause <= 90


class TestCircuit:
    """A refusal in the worker opens the circuit for later requests, as a refusal in a request does."""

    def waiting(self, stage: Stage) -> str:
        """Order a video whose character has to be made elsewhere first; return the host that the worker will ask."""
        character = stage.character(model="solo")
        assert stage.create("Luna", model="sora-2", characters=[{"id": character}]).status == 200
        job = job_of(stage)
        assert job.state == "preparing"
        return f"{job.deployment}.example"

    def test_requests_do_not_ask_who_has_just_refused_the_worker(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        home = self.waiting(stage)
        upstream.rules["POST", home, "/videos"] = refuse(401)
        stage.run()
        assert len(upstream.submits(home)) == 1
        for _ in range(5):
            assert stage.create(model="sora-2").status == 200
        assert len(upstream.submits(home)) == 1

    def test_a_refusal_for_what_was_ordered_says_nothing_against_it(self, stage: Stage, upstream: Upstream) -> None:
        upstream.rules["POST", self.waiting(stage), "/videos"] = refuse(400, "moderation_blocked")
        stage.run()
        assert _circuits() == []

    def test_alone_there_is_no_circuit(self, stage: Stage, upstream: Upstream) -> None:
        stage.create("Luna", model="solo", characters=[{"id": stage.character()}])
        upstream.rules["POST", HOST, ""] = refuse(401)
        stage.run()
        assert _circuits() == []


class TestOwed:
    """Every end of a job books its cost; the whole reservation is booked only if the cost is not known."""

    @pytest.fixture(autouse=True)
    def budget(self, stage: Stage) -> None:
        stage.sign_in("blue", limits=keys.Limits(concurrent=1, budget=10_000_000))

    def test_a_file_that_cannot_be_fetched_costs_what_its_provider_says(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poll = OpenAI.poll
        monkeypatch.setattr(OpenAI, "poll", lambda *given: replace(poll(*given), micro_dollars=123_456))
        video = submitted(stage)
        upstream.rules["GET", HOST, "/content"] = refuse(404)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("failed", "output_unavailable")
        assert spent(job_of(stage)) == 123_456

    def test_or_the_hold_if_it_says_nothing(self, stage: Stage, upstream: Upstream) -> None:
        video = submitted(stage)
        upstream.rules["GET", HOST, "/content"] = refuse(404)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("failed", "output_unavailable")
        assert spent(job_of(stage)) == job_of(stage).hold == 4 * PRICE

    def test_a_continuation_that_is_fetched_again_in_vain(
        self, stage: Stage, upstream: Upstream, configure: Any, toml: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The price that the first fetch reported is booked, not the reservation."""
        configure(toml.replace("deadline_seconds = 900", "deadline_seconds = 900, extend_seconds = []"))
        poll = OpenAI.poll
        monkeypatch.setattr(OpenAI, "poll", lambda *given: replace(poll(*given), micro_dollars=123_456))
        upstream.instant = True
        source = submitted(stage)
        stage.run()
        body = {"prompt": "It goes on", "seconds": "4", "video": {"id": source}, "model": "solo"}
        video = stage.call("extend_video", json_body=body).body["id"]
        answers = clips._call

        def call(function: str, event: dict[str, Any], deadline: float, param: str = "video") -> dict[str, Any]:
            if event.get("task") == "concatenate":
                raise InvalidRequest("cannot be opened", code="unreadable")
            return answers(function, event, deadline, param)

        monkeypatch.setattr(clips, "_call", call)
        while not (job_of(stage).state == "archiving" and job_of(stage).spent is not None):
            stage.work()
        stage.work()
        assert job_of(stage).continuation is None
        upstream.rules["GET", HOST, ""] = answer(404, "<html>")
        stage.run()
        assert ended(stage, video)[0] == "failed"
        row = table.get(table.entry_key("blue", job_of(stage).id, "settlement"))
        assert row
        assert row["micro_dollars"] == 123_456 != job_of(stage).hold


def _busy(status: int, seconds: str) -> Answering:
    return refuse(status, "busy", "later", **{"retry-after": seconds})


def _circuits() -> list[dict[str, Any]]:
    found = clients.dynamodb().query(
        TableName="t", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": table.CIRCUIT}}
    )
    return list(found["Items"])

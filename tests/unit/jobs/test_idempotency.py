"""A caller pays once, whatever fails in between and however often a call arrives."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes.edges import Killed
from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import MP4, Answering, Upstream, answer, lose, refuse
from understudy.access import keys
from understudy.api import inputs
from understudy.errors import ApiError
from understudy.files import clips
from understudy.jobs import idempotency, retry_count, submission
from understudy.store import table

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\xd0\0\0\x05\0\x08\x02\0\0\0" + b"\0" * 50  # 720x1280
KEY = {"Idempotency-Key": "order-1"}
FIRST, REPEAT, TWICE = ({"x-stainless-retry-count": str(count)} for count in range(3))


def create(stage: Stage, prompt: str = "A fox", headers: dict[str, str] | None = None, **body: Any) -> Reply:
    """Order a video at the deployment that has no failover."""
    return stage.create(prompt, headers=headers, model="solo", **body)


def same(first: Reply, second: Reply) -> None:
    """Check that the second reply is the first reply again and says so."""
    assert second.status == first.status == 200
    assert second.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


def side_by_side(
    stage: Stage,
    upstream: Upstream,
    call: Callable[..., Reply],
    headers: dict[str, str],
    then: Answering | None = None,
) -> tuple[Reply, Reply]:
    """Make a call, and a retry of it while the order of the first call is at the provider. Return both replies.

    The retry waits: at its first pause, the provider answers the first call (with `then`), and the call ends.
    """
    replies: list[Reply] = []
    sent, answered = threading.Event(), threading.Event()

    def provider(request: httpx.Request) -> httpx.Response:
        sent.set()
        assert answered.wait(30)
        return (then or upstream.serve)(request)

    def pause(seconds: float) -> None:
        stage.clock.advance(seconds)
        answered.set()
        first.join(30)

    upstream.script.append(provider)
    first = threading.Thread(target=lambda: replies.append(call(stage, headers=FIRST)))
    first.start()
    assert sent.wait(30)
    stage.clock.sleep = pause  # type: ignore[method-assign]
    again = call(stage, headers=headers)
    return replies[0], again


class TestWithAKey:
    def test_the_first_answer_again(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage, headers=KEY)
        same(first, create(stage, headers=KEY))
        assert len(upstream.submits()) == 1

    def test_even_when_the_video_is_finished_and_seen(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage, headers=KEY)
        upstream.finish()
        stage.run()
        assert stage.show(first.body["id"])["status"] == "completed"
        again = create(stage, headers=KEY)
        assert again.headers["idempotent-replayed"] == "true"
        for name in ("id", "status", "progress", "created_at", "completed_at", "model", "prompt", "error"):
            assert again.body[name] == first.body[name]
        assert len(upstream.submits()) == 1

    def test_a_body_in_another_wire_form_is_the_same(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage, headers=KEY, seconds="8")
        for _ in range(2):  # each with a boundary of its own
            form = [("seconds", "8"), ("prompt", "A fox"), ("model", "solo")]
            same(first, stage.call("create_video", form=form, headers=KEY))
        assert len(upstream.submits()) == 1

    @pytest.mark.parametrize("changes", [{"prompt": "A cat"}, {"seconds": "8"}, {"size": "1280x720"}])
    def test_another_body_is_refused(self, stage: Stage, upstream: Upstream, changes: dict[str, str]) -> None:
        create(stage, headers=KEY)
        reply = create(stage, headers=KEY, **changes)
        assert (reply.status, reply.error["code"]) == (422, "idempotency_key_reused")
        assert reply.error["param"] == "Idempotency-Key"
        assert len(upstream.submits()) == 1

    def test_another_file_is_another_body(self, stage: Stage, upstream: Upstream) -> None:
        def edit(data: bytes) -> Reply:
            form = [("prompt", "x"), ("model", "solo"), ("video", ("v.mp4", data, "video/mp4"))]
            return stage.call("edit_video", form=form, headers=KEY)

        first = edit(MP4)
        same(first, edit(MP4))
        assert edit(MP4 + b"x").status == 422
        assert len(upstream.submits()) == 1

    def test_keys_are_a_teams_own(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage, headers=KEY)
        stage.sign_in("red")
        second = create(stage, headers=KEY)
        assert (second.status, len(upstream.submits())) == (200, 2)
        assert second.body["id"] != first.body["id"]
        assert "idempotent-replayed" not in second.headers
        assert create(stage, "A cat", headers=KEY).status == 422

    def test_two_api_keys_of_a_team_share_them(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage, headers=KEY)
        stage.sign_in("blue")
        same(first, create(stage, headers=KEY))

    def test_other_operations_have_their_own(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = create(stage, headers=KEY).body["id"]
        stage.run()
        edited = stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}}, headers=KEY)
        extended = stage.call(
            "extend_video", json_body={"prompt": "x", "video": {"id": video}, "seconds": "4"}, headers=KEY
        )
        remixed = stage.call("remix_video", json_body={"prompt": "x"}, path={"video_id": video}, headers=KEY)
        assert [edited.status, extended.status, remixed.status] == [200, 200, 200]
        assert len(upstream.submits()) == 4
        same(remixed, stage.call("remix_video", json_body={"prompt": "x"}, path={"video_id": video}, headers=KEY))
        same(edited, stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}}, headers=KEY))
        assert len(upstream.submits()) == 4

    def test_a_remix_of_another_video_is_another_call(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        ids = [create(stage, prompt).body["id"] for prompt in ("A fox", "A cat")]
        stage.run()
        replies = [
            stage.call("remix_video", json_body={"prompt": "x"}, path={"video_id": one}, headers=KEY) for one in ids
        ]
        assert [reply.status for reply in replies] == [200, 422]

    @pytest.mark.parametrize("key", ["", "k" * 256])
    def test_an_unusable_key(self, stage: Stage, upstream: Upstream, key: str) -> None:
        reply = create(stage, headers={"Idempotency-Key": key})
        assert (reply.status, reply.error["param"]) == (400, "Idempotency-Key")
        assert upstream.submits() == []

    def test_the_longest_key_and_odd_characters(self, stage: Stage, upstream: Upstream) -> None:
        for key in ("k" * 255, "a/b#c;d é", "  "):
            first = create(stage, headers={"Idempotency-Key": key})
            same(first, create(stage, headers={"Idempotency-Key": key}))

    def test_while_the_first_is_running(self, stage: Stage, upstream: Upstream) -> None:
        replies: list[Reply] = []

        def meanwhile(request: httpx.Request) -> httpx.Response:
            replies.append(create(stage, headers=KEY))
            replies.append(create(stage, "A cat", headers=KEY))
            return upstream.serve(request)

        upstream.script.append(meanwhile)
        first = create(stage, headers=KEY)
        running, other = replies
        assert (running.status, running.error["code"]) == (409, "request_in_progress")
        assert (running.headers["x-should-retry"], running.headers["retry-after"]) == ("true", "5")
        assert other.status == 422
        same(first, create(stage, headers=KEY))
        assert len(upstream.submits()) == 1

    def test_two_at_the_same_moment(self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second call arrives after the first has looked and before it has written."""
        inner: list[Reply] = []
        write = submission._write

        def late(*given: Any) -> Any:
            monkeypatch.setattr(submission, "_write", write)
            inner.append(create(stage, headers=KEY))
            return write(*given)

        monkeypatch.setattr(submission, "_write", late)
        outer = create(stage, headers=KEY)
        same(inner[0], outer)
        assert len(upstream.submits()) == 1
        assert len(stage.listed()) == 1

    def test_a_deleted_video_is_not_made_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        first = create(stage, headers=KEY)
        stage.run()
        assert stage.call("delete_video", path={"video_id": first.body["id"]}).status == 200
        again = create(stage, headers=KEY)
        assert (again.status, again.error["code"]) == (409, "idempotency_key_used")
        assert again.headers["x-should-retry"] == "false"
        assert len(upstream.submits()) == 1

    def test_a_key_holds_for_a_day(self, stage: Stage, upstream: Upstream) -> None:
        create(stage, headers=KEY)
        (row,) = table.each(table.Key("team#blue", "once#"), "once#")
        assert row["ttl"] - row["at"] == idempotency.KEY_SECONDS == 24 * 3600

    @pytest.mark.parametrize("prompt", ["A fox", "A cat"])
    def test_after_a_day_it_is_a_new_key(self, stage: Stage, upstream: Upstream, prompt: str) -> None:
        """DynamoDB may keep the old row for days."""
        begun = stage.clock.now
        first = create(stage, headers=KEY)
        stage.clock.now = begun + idempotency.KEY_SECONDS - 2
        same(first, create(stage, headers=KEY))
        stage.clock.now = begun + idempotency.KEY_SECONDS + 2
        second = create(stage, prompt, headers=KEY)
        assert (second.status, len(upstream.submits())) == (200, 2)
        assert second.body["id"] != first.body["id"]
        same(second, create(stage, prompt, headers=KEY))
        assert create(stage, "A dog", headers=KEY).status == 422


LOST: list[tuple[Answering, int]] = [
    (lose(httpx.ReadTimeout), 504),
    (lose(httpx.WriteTimeout), 504),
    (lose(httpx.RemoteProtocolError), 502),
    (lose(httpx.ReadError), 502),
    (refuse(500), 502),
    (refuse(504), 502),
    (answer(503, "<html>overloaded</html>"), 502),
    (answer(200, "<html>hello</html>"), 502),
    (answer(200, b'{"id": "video_1", "status": "que', "application/json"), 502),
    (answer(200, b"", "application/json"), 502),
    (refuse(408), 504),
]


class TestLostAnswers:
    """If nobody knows whether the video exists, it is not ordered again."""

    @pytest.mark.parametrize("headers", [None, KEY])
    @pytest.mark.parametrize(("lost", "status"), LOST)
    def test_the_caller_is_told_and_must_not_retry(
        self, stage: Stage, upstream: Upstream, lost: Answering, status: int, headers: dict[str, str] | None
    ) -> None:
        upstream.script.append(lost)
        reply = create(stage, headers=headers)
        assert (reply.status, reply.error["code"]) == (status, "outcome_unknown")
        assert reply.headers["x-should-retry"] == "false"
        (video,) = stage.listed()
        assert (video["status"], video["error"]["code"]) == ("failed", "outcome_unknown")
        stage.run()
        assert stage.show(video["id"])["error"]["code"] == "outcome_unknown"
        assert len(upstream.submits()) == 1

    @pytest.mark.parametrize(("lost", "status"), LOST[:4])
    def test_the_same_key_gets_the_same_error(
        self, stage: Stage, upstream: Upstream, lost: Answering, status: int
    ) -> None:
        upstream.script.append(lost)
        first = create(stage, headers=KEY)
        again = create(stage, headers=KEY)
        assert (again.status, again.body) == (first.status, first.body)
        assert again.headers["x-should-retry"] == "false"
        assert again.headers["idempotent-replayed"] == "true"
        assert len(upstream.submits()) == 1

    def test_a_client_that_repeats_without_a_key_gets_the_job(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(lose())
        create(stage)
        again = create(stage, headers=REPEAT)
        assert again.status == 200
        assert stage.show(again.body["id"])["error"]["code"] == "outcome_unknown"
        assert len(upstream.submits()) == 1

    def test_no_other_deployment_is_asked(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(lose())
        assert stage.create(model="sora-2").status == 504
        assert len(upstream.submits()) == 1


class TestRefusals:
    """A definite refusal: nothing was made."""

    @pytest.mark.parametrize(
        ("refusal", "status", "code"),
        [
            (refuse(400, "invalid_value", "seconds is odd"), 400, "invalid_value"),
            (refuse(400, "moderation_blocked", "Not this."), 400, "moderation_blocked"),
            (refuse(422, "unprocessable", "no"), 400, "unprocessable"),
        ],
    )
    def test_one_that_stays_is_kept(
        self, stage: Stage, upstream: Upstream, refusal: Answering, status: int, code: str
    ) -> None:
        upstream.script.append(refusal)
        first = create(stage, headers=KEY)
        assert (first.status, first.error["code"]) == (status, code)
        again = create(stage, headers=KEY)
        assert (again.status, again.body) == (first.status, first.body)
        assert again.headers["idempotent-replayed"] == "true"
        assert len(upstream.submits()) == 1
        assert stage.listed() == []
        assert create(stage, "A cat", headers=KEY).status == 422

    @pytest.mark.parametrize(
        ("refusal", "status", "code"),
        [
            (refuse(429, "rate_limit_exceeded"), 429, "rate_limit_exceeded"),
            (refuse(503, "overloaded"), 503, "provider_unavailable"),
            (lose(httpx.ConnectError), 503, "provider_unavailable"),
            (refuse(402), 502, "provider_arrears"),
            (refuse(410), 502, "provider_model_gone"),
        ],
    )
    def test_one_that_passes_is_forgotten(
        self, stage: Stage, upstream: Upstream, refusal: Answering, status: int, code: str
    ) -> None:
        upstream.script.append(refusal)
        first = create(stage, headers=KEY)
        assert (first.status, first.error["code"]) == (status, code)
        assert stage.listed() == []
        again = create(stage, headers=KEY)
        assert again.status == 200
        assert "idempotent-replayed" not in again.headers
        assert len(upstream.submits()) == 2
        assert len(stage.listed()) == 1

    def test_so_is_a_key_that_the_provider_does_not_take(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(refuse(401))
        first = create(stage, headers=KEY)
        assert (first.status, first.error["code"]) == (502, "provider_credentials")
        assert first.headers["x-should-retry"] == "false"
        assert create(stage, headers=KEY).status == 200

    def test_a_rate_limit_keeps_its_retry_after(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(refuse(429))
        reply = create(stage)
        assert reply.headers["retry-after"] == "7"
        assert "x-should-retry" not in reply.headers  # nothing was made: repeating is right
        assert create(stage, headers=REPEAT).status == 200
        assert len(upstream.submits()) == 2

    def test_the_execution_of_a_refused_job_ends_soon(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(refuse(400))
        create(stage)
        assert stage.run() == 1
        assert stage.executions.running == stage.executions.failed == []
        assert upstream.polls() == []


class TestWithoutAKey:
    """The official clients retry a POST and say so in a header."""

    def test_a_repeat_gets_the_job(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage)
        for count in ("1", "2"):
            same(first, create(stage, headers={"x-stainless-retry-count": count}))
        assert len(upstream.submits()) == 1

    @pytest.mark.parametrize("count", ["0", "", "abc", "-1", "1.5", "99999", "²"])
    def test_what_is_no_repeat_is_a_new_video(self, stage: Stage, upstream: Upstream, count: str) -> None:
        create(stage)
        assert create(stage, headers={"x-stainless-retry-count": count}).status == 200
        assert len(upstream.submits()) == 2

    def test_a_repeat_that_never_arrived_before_is_new(self, stage: Stage, upstream: Upstream) -> None:
        assert create(stage, headers=REPEAT).status == 200
        assert len(upstream.submits()) == 1

    def test_another_body_is_another_video(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        create(stage, "A cat", headers=REPEAT)
        assert len(upstream.submits()) == 2

    def test_another_caller_is_another_video(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        stage.sign_in("blue")
        create(stage, headers=REPEAT)
        stage.sign_in("red")
        create(stage, headers=REPEAT)
        assert len(upstream.submits()) == 3

    def test_after_a_quarter_of_an_hour_it_is_another_video(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage)
        stage.clock.advance(retry_count.MADE_SECONDS - 1)
        same(first, create(stage, headers=REPEAT))
        stage.clock.advance(1)
        assert create(stage, headers=TWICE).body["id"] != first.body["id"]
        assert len(upstream.submits()) == 2

    def test_the_last_one_counts(self, stage: Stage, upstream: Upstream) -> None:
        create(stage)
        second = create(stage)
        same(second, create(stage, headers=REPEAT))
        assert len(upstream.submits()) == 2

    @pytest.mark.parametrize(
        "use",
        [
            pytest.param(lambda stage, video: stage.call("get_video", path={"video_id": video}), id="get"),
            pytest.param(lambda stage, video: stage.call("get_content", path={"video_id": video}), id="content"),
            pytest.param(lambda stage, video: stage.call("delete_video", path={"video_id": video}), id="delete"),
            pytest.param(
                lambda stage, video: stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}}),
                id="edit",
            ),
            pytest.param(
                lambda stage, video: stage.call("remix_video", json_body={"prompt": "x"}, path={"video_id": video}),
                id="remix",
            ),
            pytest.param(
                lambda stage, video: stage.call("create_character", json_body={"name": "L", "video": {"id": video}}),
                id="character",
            ),
        ],
    )
    def test_whoever_used_the_id_had_the_answer(
        self, stage: Stage, upstream: Upstream, use: Callable[[Stage, str], Reply]
    ) -> None:
        upstream.instant = True
        first = create(stage)
        stage.run()
        assert use(stage, first.body["id"]).status in {200, 302}
        before = len(upstream.submits())
        again = create(stage, headers=REPEAT)
        assert again.body["id"] != first.body["id"]
        assert len(upstream.submits()) == before + 1

    def test_asking_for_a_video_that_is_not_finished_is_use_too(self, stage: Stage, upstream: Upstream) -> None:
        first = create(stage)
        assert stage.call("get_content", path={"video_id": first.body["id"]}).status == 400
        assert create(stage, headers=REPEAT).body["id"] != first.body["id"]

    def test_while_the_first_is_running_the_repeat_waits_for_its_job(self, stage: Stage, upstream: Upstream) -> None:
        """The client gave up its connection, while its first call continues."""
        first, again = side_by_side(stage, upstream, create, REPEAT)
        assert first.body["id"] == again.body["id"]
        assert len(upstream.submits()) == 1

    def test_the_repeat_of_a_call_that_takes_too_long_is_told_to_come_again(
        self, stage: Stage, upstream: Upstream
    ) -> None:
        replies: list[Reply] = []

        def meanwhile(request: httpx.Request) -> httpx.Response:
            replies.append(create(stage, headers=REPEAT))
            return upstream.serve(request)

        upstream.script.append(meanwhile)
        first = create(stage, headers=FIRST)
        assert (replies[0].status, replies[0].error["code"]) == (409, "request_in_progress")
        assert (replies[0].headers["x-should-retry"], replies[0].headers["retry-after"]) == ("true", "5")
        same(first, create(stage, headers=TWICE))
        assert len(upstream.submits()) == 1

    def test_a_repeat_of_a_call_that_is_refused_at_last_is_a_new_try(self, stage: Stage, upstream: Upstream) -> None:
        first, again = side_by_side(stage, upstream, create, REPEAT, then=refuse(429))
        assert (first.status, again.status) == (429, 200)
        assert stage.show(again.body["id"])["status"] == "queued"
        assert len(stage.listed()) == 1


class TestSlowCalls:
    """A retry that arrives while a file of the first attempt is still looked at (security.md 2)."""

    @pytest.fixture(params=["clip", "image_url", "clip with a key"])
    def slow(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[Callable[[Stage, dict[str, str]], Reply], Callable[[Callable[[], None]], None], bool]:
        """A call with a file, a function that has something done while it is looked at, and whether it has a key."""
        module, name = (clips, "inspect") if request.param != "image_url" else (inputs, "_fetched")
        examine = getattr(module, name)

        def edit(stage: Stage, headers: dict[str, str]) -> Reply:
            form = [("prompt", "x"), ("model", "solo"), ("video", ("v.mp4", MP4, "video/mp4"))]
            return stage.call("edit_video", form=form, headers=headers)

        def picture(stage: Stage, headers: dict[str, str]) -> Reply:
            return create(stage, headers=headers, input_reference={"image_url": "https://pictures.example/fox.png"})

        def during(act: Callable[[], None]) -> None:
            def looked_at(*given: Any, **named: Any) -> Any:
                monkeypatch.setattr(module, name, found)
                act()
                return found(*given, **named)

            monkeypatch.setattr(module, name, looked_at)

        def found(*given: Any, **named: Any) -> Any:
            return PNG if name == "_fetched" else examine(*given, **named)

        return (picture if name == "_fetched" else edit), during, request.param == "clip with a key"

    def test_is_not_a_second_order(self, stage: Stage, upstream: Upstream, slow: Any) -> None:
        call, during, keyed = slow
        key, inner = (KEY if keyed else {}), []
        during(lambda: inner.append(call(stage, {**REPEAT, **key})))
        outer = call(stage, {**FIRST, **key})
        assert (outer.status, inner[0].status) == (200, 200)
        assert outer.body["id"] == inner[0].body["id"]
        assert len(upstream.submits()) == len(stage.listed()) == 1
        assert call(stage, {**TWICE, **key}).body["id"] == outer.body["id"]

    def test_the_first_may_be_refused_meanwhile(self, stage: Stage, upstream: Upstream, slow: Any) -> None:
        """The first attempt ends in an error that nobody reads, while its retry goes on."""
        call, during, keyed = slow
        key, inner = (KEY if keyed else {}), []

        def retry() -> None:
            inner.append(call(stage, {**REPEAT, **key}))
            raise ApiError("The video could not be opened.", code="media_failed")

        during(retry)
        assert call(stage, {**FIRST, **key}).status == 500
        assert inner[0].status == 200
        assert call(stage, {**TWICE, **key}).body["id"] == inner[0].body["id"]
        assert len(upstream.submits()) == 1


class TestIdenticalCalls:
    """Each of several identical calls is one video (security.md 3 and 4)."""

    def test_a_retry_of_a_refused_call_is_not_another_calls_video(self, stage: Stage, upstream: Upstream) -> None:
        stage.sign_in("blue", limits=keys.Limits(concurrent=1))
        first = create(stage, headers=FIRST)
        assert create(stage, headers=FIRST).error["code"] == "concurrency_limit"
        upstream.finish()
        stage.run()
        second = create(stage, headers=REPEAT)
        assert second.status == 200
        assert second.body["id"] != first.body["id"]
        assert len(upstream.submits()) == 2

    def test_so_it_is_if_the_rate_limit_has_refused_it(self, stage: Stage, upstream: Upstream) -> None:
        stage.sign_in("blue", limits=keys.Limits(requests_per_minute=1))
        first = create(stage, headers=FIRST)
        assert create(stage, headers=FIRST).error["code"] == "rate_limit_exceeded"
        stage.clock.advance(60)
        assert create(stage, headers=REPEAT).body["id"] != first.body["id"]

    def test_a_refused_retry_still_belongs_to_the_video_whose_response_was_lost(
        self, stage: Stage, upstream: Upstream
    ) -> None:
        stage.sign_in("blue", limits=keys.Limits(requests_per_minute=1))
        lost = create(stage, headers=FIRST)
        assert create(stage, headers=REPEAT).status == 429
        stage.clock.advance(60)
        assert create(stage, headers=TWICE).body["id"] == lost.body["id"]
        assert len(upstream.submits()) == 1

    def test_if_a_refusal_cannot_be_recorded_the_client_must_not_retry(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise ConnectionError

        stage.sign_in("blue", limits=keys.Limits(requests_per_minute=1))
        create(stage, headers=FIRST)
        monkeypatch.setattr(retry_count.CountedAttempt, "_owe", broken)
        assert create(stage, headers=FIRST).headers["x-should-retry"] == "false"

    def test_the_response_of_one_is_lost_and_the_other_is_polled(self, stage: Stage, upstream: Upstream) -> None:
        lost = create(stage, headers=FIRST)
        other = create(stage, headers=FIRST)
        stage.show(other.body["id"])
        same(lost, create(stage, headers=REPEAT))
        assert len(upstream.submits()) == 2

    def test_the_response_of_one_is_lost_and_the_other_is_refused(self, stage: Stage, upstream: Upstream) -> None:
        lost = create(stage, headers=FIRST)
        upstream.script.append(refuse(400, "moderation_blocked", "Not this."))
        assert create(stage, headers=FIRST).status == 400
        same(lost, create(stage, headers=REPEAT))
        assert len(upstream.submits()) == 2  # one of them was refused

    def test_the_responses_of_both_are_lost(self, stage: Stage, upstream: Upstream) -> None:
        made = {create(stage, headers=FIRST).body["id"] for _ in range(2)}
        assert {create(stage, headers=REPEAT).body["id"] for _ in range(2)} == made
        assert {create(stage, headers=TWICE).body["id"] for _ in range(2)} == made
        assert len(upstream.submits()) == 2

    def test_another_key_of_the_team_looks_at_the_video_first(self, stage: Stage, upstream: Upstream) -> None:
        lost, maker = create(stage, headers=FIRST), stage.caller
        stage.sign_in("blue")
        stage.show(lost.body["id"])
        stage.caller = maker
        same(lost, create(stage, headers=REPEAT))
        assert len(upstream.submits()) == 1

    def test_a_first_attempt_that_arrives_after_its_retry(self, stage: Stage, upstream: Upstream) -> None:
        retried = create(stage, headers=REPEAT)
        late = create(stage, headers=FIRST)
        assert late.body["id"] == retried.body["id"]
        assert create(stage, headers=FIRST).body["id"] != retried.body["id"]
        assert len(upstream.submits()) == 2

    def test_a_second_attempt_that_arrives_after_the_third(self, stage: Stage, upstream: Upstream) -> None:
        retried = create(stage, headers=TWICE)
        assert create(stage, headers=REPEAT).body["id"] == retried.body["id"]
        assert create(stage, headers=FIRST).body["id"] == retried.body["id"]
        assert len(upstream.submits()) == 1

    def test_a_first_attempt_that_arrives_after_a_refused_and_a_successful_retry(
        self, stage: Stage, upstream: Upstream
    ) -> None:
        upstream.script.append(refuse(429))
        assert create(stage, headers=REPEAT).status == 429
        made = create(stage, headers=TWICE)
        assert create(stage, headers=FIRST).body["id"] == made.body["id"]
        assert len(upstream.videos) == 1

    def test_an_attempt_that_is_too_late_for_what_was_deleted(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        retried = create(stage, headers=REPEAT)
        stage.run()
        stage.call("delete_video", path={"video_id": retried.body["id"]})
        assert create(stage, headers=FIRST).error["code"] == "request_in_progress"
        assert len(upstream.submits()) == 1

    def test_a_client_that_does_not_count_owes_no_retry(self, stage: Stage, upstream: Upstream) -> None:
        """Curl does not retry: its refusal must not make another call's retry a new order."""
        lost = create(stage, headers=FIRST)
        upstream.script.append(refuse(429))
        assert create(stage).status == 429
        same(lost, create(stage, headers=REPEAT))


class TestCharacters:
    """Making a character costs nothing, and still a repeated call makes only one."""

    def create(self, stage: Stage, name: str = "Luna", headers: dict[str, str] | None = None) -> Reply:
        form = [("name", name), ("video", ("clip.mp4", MP4, "video/mp4"))]
        return stage.call("create_character", form=form, headers=headers)

    def made(self, upstream: Upstream) -> int:
        return len([one for one in upstream.heard if one.path.endswith("/characters")])

    @pytest.mark.parametrize(("headers", "repeated"), [(KEY, KEY), (FIRST, REPEAT), (REPEAT, TWICE)])
    def test_again(self, stage: Stage, upstream: Upstream, headers: dict[str, str], repeated: dict[str, str]) -> None:
        first = self.create(stage, headers=headers)
        same(first, self.create(stage, headers=repeated))
        assert self.made(upstream) == 1
        assert len(stage.call("list_characters").body["data"]) == 1

    def test_another_body(self, stage: Stage, upstream: Upstream) -> None:
        self.create(stage, headers=KEY)
        assert self.create(stage, "Max", headers=KEY).status == 422

    def test_one_that_was_deleted(self, stage: Stage, upstream: Upstream) -> None:
        first = self.create(stage, headers=KEY)
        assert stage.call("delete_character", path={"character_id": first.body["id"]}).status == 200
        again = self.create(stage, headers=KEY)
        assert (again.status, again.error["code"]) == (409, "idempotency_key_used")


class TestDeath:
    """The function dies at each touch of the outside world in turn; the client retries; time passes."""

    @pytest.mark.parametrize("headers", [KEY, None])
    @pytest.mark.parametrize("with_character", [False, True])
    def test_a_create_is_submitted_once_at_most_and_ends(
        self, stage: Stage, upstream: Upstream, headers: dict[str, str] | None, with_character: bool
    ) -> None:
        upstream.instant = True
        body: dict[str, Any] = {"characters": [{"id": stage.character(model="solo")}]} if with_character else {}
        for n in itertools.count():
            upstream.heard.clear()
            stage.clock.advance(3600)
            prompt, sent = f"death {n}", {name: f"{value}-{n}" for name, value in (headers or {}).items()}
            stage.edges.fatal = n
            try:
                create(stage, prompt, headers=sent, **body)
            except Killed:
                pass
            else:
                break  # it lived to its end
            again = create(stage, prompt, headers={**sent, **REPEAT}, **body)
            assert again.status in {200, 409}
            stage.run()
            stage.clock.advance(60)  # the first attempt is certainly over
            after = create(stage, prompt, headers={**sent, **TWICE}, **body)
            assert after.status == 200, after
            stage.later()
            assert len(upstream.submits()) <= 1
            assert stage.executions.failed == []
            videos = [video for video in stage.listed() if video["prompt"] == prompt]
            assert all(video["status"] in {"completed", "failed"} for video in videos)
            assert len(videos) == 1
            for video in videos:
                if video["status"] == "failed":
                    assert video["error"]["code"] == "outcome_unknown"
        assert n > 5

    def test_between_submit_and_record(self, stage: Stage, upstream: Upstream) -> None:
        """The provider has made the video, but the function died before it stored the video's id."""
        stage.edges.fatal = "answer"
        with pytest.raises(Killed):
            create(stage, headers=KEY)
        assert len(upstream.submits()) == 1
        running = create(stage, headers=KEY)
        assert (running.status, running.error["code"]) == (409, "request_in_progress")
        stage.run()
        replayed = create(stage, headers=KEY)
        assert replayed.status == 200
        video = stage.show(replayed.body["id"])
        assert (video["status"], video["error"]["code"]) == ("failed", "outcome_unknown")
        assert len(upstream.submits()) == 1


class TestDigest:
    def test_files_count_by_their_bytes(self, stage: Stage) -> None:
        from understudy.api.forms import FilePart

        def file(data: bytes, name: str) -> FilePart:
            return FilePart("video", name, None, memoryview(data))

        assert idempotency.digest({"video": file(b"a", "x")}) == idempotency.digest({"video": file(b"a", "y")})
        assert idempotency.digest({"video": file(b"a", "x")}) != idempotency.digest({"video": file(b"b", "x")})

    def test_the_order_of_fields_does_not_count(self) -> None:
        assert idempotency.digest({"a": 1, "b": {"c": 2, "d": 3}}) == idempotency.digest(
            {"b": {"d": 3, "c": 2}, "a": 1}
        )
        assert idempotency.digest({"a": [1, 2]}) != idempotency.digest({"a": [2, 1]})

    def test_it_does_not_depend_on_the_interpreter(self) -> None:
        assert idempotency.digest({"prompt": "é"}) == idempotency.digest(json.loads('{"prompt": "\\u00e9"}'))

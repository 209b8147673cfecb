"""Extensions by models that have none: a new video from the source's last frame is joined to the source here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import MP4, Upstream, lose, refuse
from tests.unit.conftest import LAST_FRAME, cold_start, stored
from understudy.access.keys import Limits
from understudy.background import archive, retries
from understudy.errors import ApiError, InvalidRequest
from understudy.files import clips
from understudy.jobs.job import Job
from understudy.store import clients, table

A_SECOND = 50_000
TOML = f"""
[deployments.plain]
provider = "hosted_vllm"
base_url = "https://plain.example/v1"
models = {{ "wan" = "wan-2.2" }}
default = true
options = {{ micro_dollars = {{ "" = {A_SECOND} }} }}

[deployments.text]
provider = "hosted_vllm"
base_url = "https://text.example/v1"
models = {{ "text" = "wan-t2v" }}
options = {{ first_frame = false }}

[deployments.flat]
provider = "openai"
base_url = "https://flat.example/v1"
secret = "secretsmanager:understudy/a"
models = {{ "flat" = "sora-2" }}
options = {{ extend_seconds = [] }}

[deployments.whole]
provider = "openai"
base_url = "https://whole.example/v1"
secret = "secretsmanager:understudy/b"
models = {{ "group" = "sora-2", "sora-2" = "sora-2" }}

[deployments.parts]
provider = "hosted_vllm"
base_url = "https://parts.example/v1"
models = {{ "group" = "wan-2.2" }}
weight = 1000000

[deployments.small]
provider = "hosted_vllm"
base_url = "https://small.example/v1"
models = {{ "small" = "wan-1.3b" }}
options = {{ sizes = ["832x480"] }}
"""


@pytest.fixture
def toml() -> str:
    return TOML


@pytest.fixture
def source(stage: Stage, upstream: Upstream) -> str:
    """A finished video of the model wan, 3 seconds long, 1280x720."""
    return made(stage, upstream, "wan")


def made(stage: Stage, upstream: Upstream, model: str) -> str:
    upstream.instant = True
    video = stage.create(model=model)
    stage.run()
    assert stage.show(video.body["id"])["status"] == "completed"
    upstream.heard.clear()
    return str(video.body["id"])


def extend(stage: Stage, video: str, seconds: str = "4", **body: Any) -> Reply:
    return stage.call("extend_video", json_body={"prompt": "on", "seconds": seconds, "video": {"id": video}, **body})


def extended(stage: Stage, video: str) -> dict[str, Any]:
    """Extend a video, wait for the end, and return the extension."""
    made = extend(stage, video).body["id"]
    stage.run()
    return stage.show(made)


def newest() -> Job:
    return Job.page("blue", limit=1, newest_first=True, after=None)[0]


def entries(job: Job) -> dict[str, int]:
    rows = {kind: table.get(table.entry_key("blue", job.id, kind)) for kind in ("hold", "settlement")}
    return {kind: row["micro_dollars"] for kind, row in rows.items() if row}


class TestTheWhole:
    def test_a_new_video_from_the_last_picture_is_joined_to_the_source(
        self, stage: Stage, upstream: Upstream, source: str
    ) -> None:
        reply = extend(stage, source)
        assert (reply.status, reply.body["status"]) == (200, "queued")
        assert (reply.body["seconds"], reply.body["size"]) == ("4", "1280x720")
        assert upstream.submits() == []
        stage.run()
        (order,) = upstream.submits()
        assert (order.host, order.path) == ("plain.example", "/v1/videos")
        assert {name: order.body[name] for name in ("prompt", "seconds", "size", "model")} == {
            "prompt": "on",
            "seconds": "4",
            "size": "1280x720",
            "model": "wan-2.2",
        }
        assert bytes(order.body["input_reference"].data) == LAST_FRAME
        shown = stage.show(reply.body["id"])
        assert (shown["status"], shown["seconds"], shown["size"]) == ("completed", "6", "1280x720")
        job = newest()
        assert stored(archive.key(job)) == MP4 * 2
        assert stored(archive.key(job).replace("video.mp4", "thumbnail.webp"))
        assert stage.executions.running == stage.executions.failed == []

    def test_each_answer_says_so(self, stage: Stage, upstream: Upstream, source: str) -> None:
        headers = {"Idempotency-Key": "k"}
        body = {"prompt": "on", "seconds": "4", "video": {"id": source}}
        replies = [stage.call("extend_video", json_body=body, headers=headers) for _ in range(2)]
        path = {"video_id": replies[0].body["id"]}
        replies.append(stage.call("get_video", path=path))
        stage.run()
        replies += [stage.call("get_video", path=path), stage.call("get_content", path=path)]
        assert {reply.headers.get("x-understudy-emulated") for reply in replies} == {"extend"}
        plain = stage.call("get_video", path={"video_id": source})
        assert "x-understudy-emulated" not in plain.headers

    def test_while_the_provider_works_it_is_a_video_like_others(
        self, stage: Stage, upstream: Upstream, source: str
    ) -> None:
        upstream.instant = False
        video = extend(stage, source).body["id"]
        stage.run(60)
        upstream.finish("in_progress", progress=40, seconds="4", size="832x480")
        stage.run(60)
        shown = stage.show(video)
        assert (shown["status"], shown["seconds"], shown["size"]) == ("in_progress", "4", "1280x720")
        upstream.finish("failed", error={"code": "moderation_blocked", "message": "No."})
        stage.run()
        assert stage.show(video)["error"]["code"] == "moderation_blocked"

    def test_a_clip_of_the_callers(self, stage: Stage, upstream: Upstream) -> None:
        form: list[tuple[str, Any]] = [("prompt", "on"), ("seconds", "4"), ("video", ("v.mp4", MP4, "video/mp4"))]
        upstream.instant = True
        reply = stage.call("extend_video", form=form)
        assert (reply.status, reply.body["size"]) == (200, "1280x720")
        stage.run()
        assert stage.show(reply.body["id"])["seconds"] == "6"
        assert stored(archive.key(newest())) == MP4 * 2

    def test_of_a_video_of_another_model(self, stage: Stage, upstream: Upstream) -> None:
        video = made(stage, upstream, "sora-2")
        reply = extend(stage, video, model="wan")
        stage.run()
        assert [one.host for one in upstream.submits()] == ["plain.example"]
        assert stage.show(reply.body["id"])["seconds"] == "6"

    def test_what_was_put_together_goes_on_as_a_clip(self, stage: Stage, upstream: Upstream) -> None:
        """A later edit gets the whole as a clip: the provider knows only its last part by id."""
        video = made(stage, upstream, "flat")
        whole = extend(stage, video).body["id"]
        stage.run()
        assert stage.show(whole)["seconds"] == "6"
        upstream.heard.clear()
        edit = stage.call("edit_video", json_body={"prompt": "dusk", "video": {"id": whole}})
        assert edit.status == 200
        (order,) = upstream.submits()
        assert order.host == "flat.example"
        assert bytes(order.body["video"].data) == MP4 * 2
        remix = stage.call("remix_video", path={"video_id": whole}, json_body={"prompt": "dusk"})
        assert (remix.status, remix.error["code"]) == (400, "unsupported_operation")
        again = extend(stage, whole).body["id"]
        stage.run()
        assert stage.show(again)["seconds"] == "9"


class TestTheSource:
    def test_it_may_be_deleted_while_the_provider_works(self, stage: Stage, upstream: Upstream, source: str) -> None:
        upstream.instant = False
        video = extend(stage, source).body["id"]
        stage.run(60)
        assert len(upstream.submits()) == 1
        assert stage.call("delete_video", path={"video_id": source}).status == 200
        upstream.finish()
        stage.run()
        assert stage.show(video)["status"] == "completed"
        assert stored(archive.key(newest())) == MP4 * 2

    def test_deleted_before_anything_was_ordered(self, stage: Stage, upstream: Upstream, source: str) -> None:
        video = extend(stage, source).body["id"]
        assert stage.call("delete_video", path={"video_id": source}).status == 200
        stage.run()
        assert stage.show(video)["error"]["code"] == "source_deleted"
        assert upstream.submits() == []

    @pytest.mark.parametrize(
        ("model", "param"), [("text", "model"), ("small", "video")], ids=["no first frame", "no such size"]
    )
    def test_what_cannot_be_continued_names_the_models_that_can(
        self, stage: Stage, upstream: Upstream, source: str, model: str, param: str
    ) -> None:
        error = extend(stage, source, model=model).error
        assert (error["code"], error["param"]) == ("unsupported_operation", param)
        assert error["message"].endswith("Models that can: wan, flat, group, sora-2.")
        assert upstream.submits() == []

    def test_a_clip_that_cannot_be_continued(self, stage: Stage, upstream: Upstream) -> None:
        form: list[tuple[str, Any]] = [("prompt", "on"), ("seconds", "4"), ("video", ("v.mp4", MP4, "video/mp4"))]
        reply = stage.call("extend_video", form=[*form, ("model", "small")])
        assert (reply.status, reply.error["param"]) == (400, "video")
        assert stage.listed() == []

    def test_what_takes_too_long_to_join(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from understudy.jobs import capabilities

        monkeypatch.setattr(capabilities, "MAX_JOINED", 1280 * 720 * 7)
        assert extend(stage, source, "4").status == 200
        error = extend(stage, source, "5").error
        assert (error["code"], error["param"]) == ("unsupported_operation", "video")
        assert "7 seconds in all" in error["message"]

    def test_a_length_that_the_model_does_not_make(self, stage: Stage, upstream: Upstream, source: str) -> None:
        error = extend(stage, source, "16").error
        assert (error["code"], error["param"]) == ("invalid_value", "seconds")
        assert '"15"' in error["message"]


class TestGroups:
    def test_who_can_do_it_natively_goes_first(self, stage: Stage, upstream: Upstream, source: str) -> None:
        reply = extend(stage, source, model="group")
        stage.run()
        assert [one.host for one in upstream.submits()] == ["whole.example"]
        assert "x-understudy-emulated" not in reply.headers

    def test_the_others_take_over(self, stage: Stage, upstream: Upstream, source: str) -> None:
        upstream.rules["POST", "whole.example", ""] = refuse(503)
        reply = extend(stage, source, model="group")
        assert reply.headers["x-understudy-emulated"] == "extend"
        stage.run()
        assert [one.host for one in upstream.submits()] == ["whole.example", "parts.example"]
        assert bytes(upstream.submits()[1].body["input_reference"].data) == LAST_FRAME
        assert stage.show(reply.body["id"])["seconds"] == "6"

    def test_from_one_emulation_to_the_next(
        self, stage: Stage, upstream: Upstream, source: str, configure: Callable[[str], None]
    ) -> None:
        """Each deployment orders its own size, so the first frame is made again for the second deployment."""
        narrow = TOML.replace('"small" = "wan-1.3b"', '"wan" = "wan-1.3b"').replace("832x480", "1920x1080")
        configure(narrow + "weight = 1000000\n")
        upstream.rules["POST", "small.example", ""] = refuse(402)
        upstream.rules["POST", "plain.example", ""] = refuse(402)
        sizes: list[str] = []
        last_frame = clips.last_frame

        def note(key: str, output_key: str, size: str, deadline: float) -> int:
            sizes.append(size)
            return last_frame(key, output_key, size, deadline)

        form: list[tuple[str, Any]] = [("prompt", "on"), ("seconds", "4"), ("video", ("v.mp4", MP4, "video/mp4"))]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clips, "last_frame", note)
            reply = stage.call("extend_video", form=[*form, ("model", "wan")])
            stage.run()
        assert sorted(sizes) == ["1280x720", "1920x1080"]
        assert stage.show(reply.body["id"])["error"]["code"] == "provider_arrears"


class TestMoney:
    @pytest.fixture
    def source(self, stage: Stage, upstream: Upstream) -> str:
        stage.sign_in("blue", limits=Limits(concurrent=1, budget=10_000_000))
        return made(stage, upstream, "wan")

    def slots(self, stage: Stage) -> dict[str, int]:
        row = table.get(table.slots_key(stage.caller.key_id))
        assert row
        slots: dict[str, int] = row["open"]
        return slots

    def test_the_continuation_is_paid_and_not_the_whole(self, stage: Stage, upstream: Upstream, source: str) -> None:
        video = extend(stage, source, "5").body["id"]
        job = newest()
        assert entries(job) == {"hold": 5 * A_SECOND}
        assert set(self.slots(stage)) == {job.id}
        stage.run()
        assert stage.show(video)["seconds"] == "6"
        assert entries(job) == {"hold": 5 * A_SECOND, "settlement": 5 * A_SECOND}
        assert self.slots(stage) == {}

    def test_what_the_provider_says_it_took_is_what_is_settled(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dataclasses import replace

        from understudy.providers.hosted_vllm import HostedVllm

        poll = HostedVllm.poll
        monkeypatch.setattr(HostedVllm, "poll", lambda *given: replace(poll(*given), micro_dollars=77))
        extend(stage, source)
        stage.run()
        assert entries(newest()) == {"hold": 4 * A_SECOND, "settlement": 77}

    def test_nothing_is_owed_before_the_order(self, stage: Stage, upstream: Upstream, source: str) -> None:
        extend(stage, source)
        stage.call("delete_video", path={"video_id": source})
        stage.run()
        assert entries(newest())["settlement"] == 0
        assert self.slots(stage) == {}

    def test_a_lost_answer_is_not_asked_again(self, stage: Stage, upstream: Upstream, source: str) -> None:
        upstream.rules["POST", "plain.example", ""] = lose()
        assert extended(stage, source)["error"]["code"] == "outcome_unknown"
        assert len(upstream.submits()) == 1
        assert entries(newest())["settlement"] == 4 * A_SECOND

    def test_what_could_not_be_joined_was_made_all_the_same(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        joining(monkeypatch, InvalidRequest("Too much.", code="timed_out"), 99)
        shown = extended(stage, source)
        assert (shown["status"], shown["error"]["code"]) == ("failed", "timed_out")
        assert "could not be joined" in shown["error"]["message"]
        assert entries(newest())["settlement"] == 4 * A_SECOND


def joining(monkeypatch: pytest.MonkeyPatch, error: ApiError, times: int) -> list[int]:
    """Make joining fail `times` times; return a list that grows with each try."""
    concatenate, tries = clips.concatenate, list[int]()

    def fail(keys: list[str], output_key: str, deadline: float) -> dict[str, Any]:
        tries.append(1)
        if len(tries) <= times:
            raise error
        return concatenate(keys, output_key, deadline)

    monkeypatch.setattr(clips, "concatenate", fail)
    return tries


class TestTroubles:
    def test_our_own_functions_are_waited_for(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Joining is retried for longer than ten minutes, without a second fetch from the provider."""
        joining(monkeypatch, ApiError("Busy.", code="media_failed"), 20)
        assert extended(stage, source)["status"] == "completed"
        assert sum(one.path.endswith("/content") for one in upstream.heard) == 1

    def test_but_not_for_ever(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        joining(monkeypatch, ApiError("Busy.", code="media_failed"), 10_000)
        start = stage.clock.now
        assert extended(stage, source)["error"]["code"] == "media_failed"
        assert retries.JOIN_SECONDS < stage.clock.now - start - 3600 < retries.JOIN_SECONDS + 600
        assert stage.executions.running == stage.executions.failed == []

    def test_without_its_deployment_it_is_joined_all_the_same(
        self,
        stage: Stage,
        upstream: Upstream,
        source: str,
        monkeypatch: pytest.MonkeyPatch,
        configure: Callable[[str], None],
    ) -> None:
        joining(monkeypatch, ApiError("Busy.", code="media_failed"), 1)
        video = extend(stage, source).body["id"]
        while newest().continuation is None:
            stage.work()
        configure(TOML.replace("[deployments.plain]", "[deployments.other]"))
        stage.run()
        assert stage.show(video)["status"] == "completed"

    def test_half_a_file_is_fetched_again(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        joining(monkeypatch, InvalidRequest("Damaged.", code="unreadable"), 2)
        assert extended(stage, source)["status"] == "completed"
        assert sum(one.path.endswith("/content") for one in upstream.heard) == 3

    def test_one_that_stays_damaged(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        joining(monkeypatch, InvalidRequest("Damaged.", code="unreadable"), 10_000)
        assert extended(stage, source)["error"]["code"] == "unreadable"
        assert stage.executions.running == stage.executions.failed == []

    def test_no_pictures_are_no_reason_to_give_it_up(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(key: str, prefix: str, deadline: float) -> dict[str, Any]:
            raise ApiError("Busy.", code="media_failed")

        monkeypatch.setattr(clips, "previews", fail)
        shown = extended(stage, source)
        assert (shown["status"], shown["seconds"]) == ("completed", "6")

    def test_a_picture_that_cannot_be_taken_costs_nothing(
        self, stage: Stage, upstream: Upstream, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(key: str, output_key: str, size: str, deadline: float) -> int:
            raise InvalidRequest("Damaged.", code="unreadable")

        monkeypatch.setattr(clips, "last_frame", fail)
        assert extended(stage, source)["error"]["code"] == "unreadable"
        assert upstream.submits() == []

    def test_a_provider_that_is_full_is_asked_later(self, stage: Stage, upstream: Upstream, source: str) -> None:
        upstream.script += [refuse(429), refuse(429)]
        shown = extended(stage, source)
        assert shown["status"] == "completed"
        assert len(upstream.submits()) == 3


def test_death_at_every_touch(stage: Stage, upstream: Upstream, source: str) -> None:
    """A step dies at each touch in turn: there is at most one submit, and the video is whole or outcome_unknown."""
    unknown = 0
    for n in itertools.count():
        cold_start()
        upstream.heard.clear()
        video = extend(stage, source, prompt=f"death {n}").body["id"]
        stage.edges.fatal = n
        stage.run()
        lived, stage.edges.fatal = stage.edges.fatal is not None, None
        assert stage.executions.running == stage.executions.failed == []
        shown = stage.show(video)
        assert len(upstream.submits()) <= 1
        if shown["status"] == "failed":
            assert shown["error"]["code"] == "outcome_unknown"  # it died between the submit and the note of it
            unknown += 1
        else:
            assert (shown["status"], shown["seconds"]) == ("completed", "6")
            assert stored(archive.key(newest())) == MP4 * 2
            assert len(upstream.submits()) == 1
        if lived:
            break
    assert n > 20
    assert 1 <= unknown <= 4


def test_every_step_may_be_run_twice(stage: Stage, upstream: Upstream, source: str) -> None:
    video = extend(stage, source).body["id"]
    execution = stage.executions.of(newest().id)
    while execution.running:
        stage.work()
        stage.repeat(execution)
    assert stage.executions.failed == []
    assert len(upstream.submits()) == 1
    assert stage.show(video)["status"] == "completed"
    assert stored(archive.key(newest())) == MP4 * 2
    heard = len(upstream.heard)
    for one in stage.executions.all.values():
        assert stage.repeat(one) == {"done": True, "seconds": 0}
    assert len(upstream.heard) == heard


def test_the_parts_expire_with_what_came_with_requests(stage: Stage, upstream: Upstream, source: str) -> None:
    extend(stage, source)
    stage.run()
    keys = [one["Key"] for one in clients.s3().list_objects_v2(Bucket="bucket")["Contents"]]
    parts = [key for key in keys if key.endswith(("last-frame.jpg", "source.mp4", "continuation.mp4"))]
    assert len(parts) == 3
    assert all(key.startswith("media/inputs/blue/") for key in parts)


def test_a_native_order_without_its_source_is_not_sent(stage: Stage, upstream: Upstream) -> None:
    """If the source was deleted, no order is sent: without its video it would order something else."""
    video = made(stage, upstream, "sora-2")

    def vanish(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    from understudy.jobs import orders

    with pytest.MonkeyPatch.context() as patch:
        source_of = orders.source_of

        def gone(job: Job) -> Job:
            stage.call("delete_video", path={"video_id": video})
            return source_of(job)

        patch.setattr(orders, "source_of", gone)
        upstream.rules["POST", "whole.example", ""] = vanish
        reply = stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}})
    assert (reply.status, reply.error["code"]) == (400, "source_deleted")
    assert stage.listed() == []

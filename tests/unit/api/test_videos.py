"""A video from the create call to the bytes in the bucket."""

from __future__ import annotations

import pytest

from tests.fakes.edges import Killed
from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Upstream
from understudy.jobs.job import QUIET_SECONDS, Job
from understudy.store import clients


def luna(stage: Stage, **fields: str) -> str:
    reply = stage.call(
        "create_character", form=[("name", "Luna"), ("video", ("luna.mp4", MP4, "video/mp4")), *fields.items()]
    )
    assert reply.status == 200, reply
    return str(reply.body["id"])


def test_a_clip_becomes_a_character_and_a_video_with_her(stage: Stage, upstream: Upstream) -> None:
    character = luna(stage)
    got = stage.call("get_character", path={"character_id": character})
    assert got.body["name"] == "Luna"

    made = stage.call("create_video", json_body={"prompt": "Luna dances", "characters": [{"id": character}]})
    assert made.status == 200, made
    assert made.body["status"] == "queued"
    assert made.body["model"] == "sora-2"
    sent = upstream.submits()[0].body
    assert sent["characters"] == [{"id": "char_one.example_0"}]

    video = {"video_id": made.body["id"]}
    stage.work()
    assert stage.call("get_video", path=video).body["status"] == "queued"
    upstream.finish()
    stage.work()
    done = stage.call("get_video", path=video).body
    assert done["status"] == "completed"
    assert done["progress"] == 100

    content = stage.call("get_content", path=video)
    assert content.status == 302
    key = content.headers["location"].split("?")[0].split(".com/")[1]
    assert clients.s3().get_object(Bucket="bucket", Key=key)["Body"].read() == MP4
    assert stage.executions.running == stage.executions.failed == []


class TestQuietJobs:
    """Whoever looks at a job that nobody has driven for long has its execution started, if it never was."""

    def test_a_job_whose_execution_was_never_started_goes_on(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create(model="solo").body["id"]
        stage.executions.all.clear()
        stage.clock.advance(QUIET_SECONDS - 2)
        assert stage.show(video)["status"] == "queued"
        assert stage.executions.running == []
        stage.clock.advance(4)
        assert stage.show(video)["status"] == "queued"
        assert len(stage.executions.running) == 1
        stage.run()
        assert stage.show(video)["status"] == "completed"
        assert len(upstream.submits()) == 1

    def test_an_execution_that_runs_is_not_started_again(self, stage: Stage, upstream: Upstream) -> None:
        video = stage.create(model="solo").body["id"]
        stage.clock.advance(QUIET_SECONDS + 2)
        stage.show(video)
        assert len(stage.executions.all) == 1

    def test_an_execution_that_was_stopped_is_left_to_the_sweep(self, stage: Stage, upstream: Upstream) -> None:
        video = stage.create(model="solo").body["id"]
        stage.executions.stop(stage.executions.running[-1])
        stage.clock.advance(QUIET_SECONDS + 2)
        assert stage.show(video)["status"] == "queued"
        assert (len(stage.executions.all), stage.executions.running) == (1, [])
        stage.sweep()
        assert stage.show(video)["error"]["code"] == "stopped"

    def test_a_job_that_has_ended_starts_nothing(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create(model="solo").body["id"]
        stage.run()
        stage.executions.all.clear()
        stage.clock.advance(QUIET_SECONDS + 2)
        assert stage.show(video)["status"] == "completed"
        assert stage.executions.all == {}

    def test_the_caller_sees_the_job_even_if_nothing_can_be_started(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_: object) -> dict[str, str]:
            raise ConnectionError

        video = stage.create(model="solo").body["id"]
        stage.clock.advance(QUIET_SECONDS + 2)
        monkeypatch.setattr(stage.executions, "start_execution", fail)
        assert stage.show(video)["status"] == "queued"

    def test_a_list_starts_nothing(self, stage: Stage, upstream: Upstream) -> None:
        stage.create(model="solo")
        stage.executions.all.clear()
        stage.clock.advance(QUIET_SECONDS + 2)
        assert len(stage.listed()) == 1
        assert stage.executions.all == {}

    def test_a_call_that_dies_before_the_start_can_be_repeated(self, stage: Stage, upstream: Upstream) -> None:
        video = stage.create(model="solo").body["id"]
        stage.executions.all.clear()
        stage.clock.advance(QUIET_SECONDS + 2)
        stage.edges.fatal = "StartExecution"
        with pytest.raises(Killed):
            stage.show(video)
        stage.show(video)
        (job,) = Job.page("blue", limit=9, newest_first=True, after=None)
        assert stage.executions.of(job.id).running

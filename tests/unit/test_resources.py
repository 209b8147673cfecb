from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream
from tests.unit.conftest import cold_start
from understudy import resources
from understudy.api import responses
from understudy.ids import Kind, ManagedId
from understudy.jobs.job import Job
from understudy.store import clients
from understudy.store.secrets import id_codec

KEYS = {
    *("id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at"),
    *("prompt", "size", "seconds", "remixed_from_video_id", "error"),
}


class TestVideo:
    def test_all_keys_are_always_there(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        created = stage.create("A fox", seconds="8", size="1280x720").body
        stage.run()
        done = stage.show(created["id"])
        for video in (created, done, stage.listed()[0]):
            assert set(video) == KEYS
            assert isinstance(video["seconds"], str)
            assert isinstance(video["progress"], int)
            assert (video["object"], video["model"], video["prompt"]) == ("video", "sora-2", "A fox")
        assert (created["status"], created["progress"], created["completed_at"]) == ("queued", 0, None)
        assert (created["seconds"], created["size"]) == ("8", "1280x720")

    def test_a_failure(self, stage: Stage, upstream: Upstream) -> None:
        video = stage.create().body["id"]
        upstream.finish("failed", error={"code": "moderation_blocked", "message": "no"})
        stage.run()
        assert stage.show(video)["error"] == {"code": "moderation_blocked", "message": "no"}

    def test_the_id_is_the_same_in_every_answer(self, stage: Stage, upstream: Upstream) -> None:
        video = stage.create().body["id"]
        seen = {video}
        for step in (stage.work, upstream.finish, stage.run):
            step()
            seen |= {stage.show(video)["id"], stage.listed()[0]["id"]}
        assert seen == {video}

    def test_it_says_who_made_it(self, stage: Stage, upstream: Upstream) -> None:
        video = stage.create(model="solo").body["id"]
        job = Job.page("blue", limit=1, newest_first=True, after=None)[0]
        assert id_codec().decode(video, Kind.VIDEO, team="blue") == ManagedId(
            Kind.VIDEO, job.id, "openai", "solo", "video_0"
        )
        assert len(video) < 200

    def test_a_job_that_was_prepared_carries_our_id_for_good(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create("Luna", model="solo", characters=[stage.character()]).body["id"]
        stage.run()
        job = Job.page("blue", limit=1, newest_first=True, after=None)[0]
        assert job.upstream_id == "video_0"
        assert resources.video_id(job) == video
        assert id_codec().decode(video, Kind.VIDEO, team="blue").original_id == job.id


@pytest.mark.parametrize("kind", ["video", "character", "upload"])
def test_an_id_outlives_the_rotation_of_its_key(stage: Stage, upstream: Upstream, kind: str) -> None:
    file = {"purpose": "image", "filename": "a.png", "mime_type": "image/png", "bytes": 9}
    made = {
        "video": lambda: stage.create().body["id"],
        "character": stage.character,
        "upload": lambda: stage.call("create_upload", json_body=file).body["id"],
    }[kind]()
    clients.secretsmanager().put_secret_value(SecretId="ids", SecretString="n" * 64)
    cold_start()
    assert stage.call(f"get_{kind}", path={f"{kind}_id": made}).body["id"] == made


class TestPace:
    def test_clients_are_told_when_to_ask_again(self, stage: Stage, upstream: Upstream) -> None:
        created = stage.create()
        assert created.headers["openai-poll-after-ms"] == "5000"
        got = stage.call("get_video", path={"video_id": created.body["id"]})
        assert got.headers["openai-poll-after-ms"] == "5000"


@pytest.mark.parametrize(
    ("data", "more", "first", "last"),
    [([], False, None, None), ([{"id": "a"}], False, "a", "a"), ([{"id": "a"}, {"id": "b"}], True, "a", "b")],
)
def test_a_page(data: list[dict[str, Any]], more: bool, first: str | None, last: str | None) -> None:
    assert responses.page(data, has_more=more) == {
        "object": "list",
        "data": data,
        "first_id": first,
        "last_id": last,
        "has_more": more,
    }


class TestLists:
    def test_order_and_limits(self, stage: Stage, upstream: Upstream) -> None:
        ids = [stage.create(str(n)).body["id"] for n in range(23)]

        def page(**query: str) -> list[str]:
            return [video["id"] for video in stage.call("list_videos", query=query).body["data"]]

        assert page() == ids[:2:-1]  # twenty, newest first
        assert page(order="asc", limit="2") == ids[:2]
        assert page(order="asc", limit="100", after=ids[20]) == ids[21:]
        assert page(limit="100") == ids[::-1]
        assert page(limit="0") == []

    def test_paging_through_gives_each_once(self, stage: Stage, upstream: Upstream) -> None:
        ids = [stage.create(str(n)).body["id"] for n in range(7)]
        seen: list[str] = []
        query = {"limit": "3"}
        while True:
            body = stage.call("list_videos", query=query).body
            seen += [video["id"] for video in body["data"]]
            if not body["has_more"]:
                break
            query["after"] = body["last_id"]
            stage.create("meanwhile")
        assert seen == ids[::-1]

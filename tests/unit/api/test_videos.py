"""A video from the create call to the bytes in the bucket."""

from __future__ import annotations

from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Upstream
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
    assert stage.messages() == []

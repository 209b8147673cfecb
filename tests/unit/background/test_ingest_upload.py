"""An object in the bucket is used for its purpose exactly once, however often its event arrives."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from botocore.stub import Stubber

from tests.fakes.edges import Killed
from tests.fakes.stage import NAMES, Context, Reply, Stage, load
from tests.fakes.upstream import MP4, Upstream, refuse
from understudy.files import uploads
from understudy.store import clients

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x80\x00\x00\x01\x68\x08\x02\x00\x00\x00" + b"\x00" * 64


class Bucket:
    """Puts objects where clients and operators put them, and delivers their events."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        clients.s3().put_bucket_versioning(Bucket=NAMES["bucket"], VersioningConfiguration={"Status": "Enabled"})

    def land(self, key: str, data: bytes) -> dict[str, Any]:
        """Store an object and return its event's record."""
        version = clients.s3().put_object(Bucket=NAMES["bucket"], Key=key, Body=data)["VersionId"]
        return {"s3": {"object": {"key": quote_plus(key, safe="/"), "size": len(data), "versionId": version}}}

    def deliver(self, *records: dict[str, Any], received: int = 1) -> bool:
        """Give the records to the function in one message; return False if the message comes back."""
        message = {
            "messageId": "m",
            "receiptHandle": "r",
            "body": json.dumps({"Records": list(records)}),
            "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": str(received)},
        }
        answer = load("ingest_upload").handler({"Records": [message]}, Context(300_000))
        return bool(answer == {"batchItemFailures": []})

    def keys(self, prefix: str) -> list[str]:
        listed = clients.s3().list_objects_v2(Bucket=NAMES["bucket"], Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]


@pytest.fixture
def bucket(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(load("ingest_upload"), "time", stage.clock)
    return Bucket(stage)


def create(stage: Stage, data: bytes = MP4, **changes: Any) -> Reply:
    wanted = {
        "purpose": "character",
        "name": "Luna",
        "filename": "luna.mp4",
        "bytes": len(data),
        "mime_type": "video/mp4",
    }
    reply = stage.call("create_upload", json_body=wanted | changes)
    assert reply.status == 200, reply
    return reply


def key_of(upload: Reply) -> str:
    return str(upload.body["upload"]["fields"]["key"])


def status(stage: Stage, upload: Reply) -> dict[str, Any]:
    reply = stage.call("get_upload", path={"upload_id": upload.body["id"]})
    assert reply.status == 200, reply
    body: dict[str, Any] = reply.body
    return body


def characters(stage: Stage) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = stage.call("list_characters").body["data"]
    return listed


def test_a_clip_becomes_a_character_that_its_provider_knows(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage)
    assert status(stage, upload)["status"] == "pending"
    assert bucket.deliver(bucket.land(key_of(upload), MP4))
    done = status(stage, upload)
    assert done["status"] == "completed"
    assert done["character"]["name"] == "Luna"
    assert done["character"] == characters(stage)[0]
    assert len(upstream.characters) == 1
    assert bucket.keys("uploads/") == []
    made = stage.create("Luna runs", characters=[{"id": done["character"]["id"]}])
    assert made.status == 200


def test_an_event_that_arrives_five_times_makes_one_character(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage)
    event = bucket.land(key_of(upload), MP4)
    assert all(bucket.deliver(event) for _ in range(4))
    assert bucket.deliver(event, event)
    assert len(characters(stage)) == len(upstream.characters) == 1


def test_a_policy_used_twice_keeps_the_first_object(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage)
    first, second = bucket.land(key_of(upload), MP4), bucket.land(key_of(upload), MP4[:-1] + b"x")
    assert bucket.deliver(first)
    assert bucket.deliver(second)
    assert len(characters(stage)) == len(upstream.characters) == 1
    versions = clients.s3().list_object_versions(Bucket=NAMES["bucket"], Prefix=key_of(upload)).get("Versions", [])
    assert second["s3"]["object"]["versionId"] not in {version["VersionId"] for version in versions}


def test_out_of_order_the_first_event_decides(stage: Stage, bucket: Bucket) -> None:
    upload = create(stage)
    first, second = bucket.land(key_of(upload), MP4), bucket.land(key_of(upload), MP4[:-1] + b"x")
    assert bucket.deliver(second)
    assert bucket.deliver(first)
    assert len(characters(stage)) == 1
    assert status(stage, upload)["status"] == "completed"


def test_an_object_deleted_before_its_event(stage: Stage, bucket: Bucket) -> None:
    upload = create(stage)
    event = bucket.land(key_of(upload), MP4)
    thing = event["s3"]["object"]
    clients.s3().delete_object(Bucket=NAMES["bucket"], Key=key_of(upload), VersionId=thing["versionId"])
    assert bucket.deliver(event)
    done = status(stage, upload)
    assert done["status"] == "failed"
    assert done["error"]["code"] == "upload_gone"


@pytest.mark.parametrize(
    "key",
    ["uploads/blue/unknown", "uploads/red", "elsewhere/x", "drop/only-a-team.mp4", "drop/a b/../x/y", "uploads/", "x"],
)
def test_keys_that_belong_to_nothing_are_dropped(stage: Stage, bucket: Bucket, key: str) -> None:
    assert bucket.deliver(bucket.land(key, MP4))
    assert characters(stage) == []


def test_s3_s_own_test_event(bucket: Bucket) -> None:
    message = {
        "messageId": "m",
        "receiptHandle": "r",
        "body": json.dumps({"Event": "s3:TestEvent"}),
        "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    assert load("ingest_upload").handler({"Records": [message]}, Context()) == {"batchItemFailures": []}


def test_text_that_says_it_is_a_video(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage, b"hello" * 100)
    assert bucket.deliver(bucket.land(key_of(upload), b"hello" * 100))
    done = status(stage, upload)
    assert (done["status"], done["error"]["code"]) == ("failed", "not_a_video")
    assert upstream.heard == []


def test_moderation_is_told_and_the_character_exists(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upstream.script = [refuse(400, "moderation_blocked", "Not this face.")]
    upload = create(stage)
    assert bucket.deliver(bucket.land(key_of(upload), MP4))
    done = status(stage, upload)
    assert done["status"] == "completed"
    assert done["character"]["name"] == "Luna"
    assert done["error"]["code"] == "moderation_blocked"
    assert "Not this face." in done["error"]["message"]


def test_a_passing_refusal_is_tried_again_with_growing_pauses(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage)
    event = bucket.land(key_of(upload), MP4)
    upstream.script = [refuse(429), refuse(503)]
    assert not bucket.deliver(event, received=1)
    assert status(stage, upload)["status"] == "processing"
    assert not bucket.deliver(event, received=2)
    assert bucket.deliver(event, received=3)
    assert stage.queue.pauses == [10, 20]
    assert status(stage, upload)["status"] == "completed"
    assert len(characters(stage)) == len(upstream.characters) == 1


def test_killed_after_the_provider_s_answer(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    """There is one character, the upload is completed, and no later delivery submits again."""
    upload = create(stage)
    event = bucket.land(key_of(upload), MP4)
    stage.edges.fatal = "answer"
    with pytest.raises(Killed):
        bucket.deliver(event)
    assert len(upstream.characters) == 1
    stage.clock.now += 3600
    assert bucket.deliver(event, received=2)
    assert bucket.deliver(event, received=3)
    done = status(stage, upload)
    assert done["status"] == "completed"
    assert len(characters(stage)) == 1
    assert len(upstream.characters) == 1


def test_a_video_becomes_the_source_of_an_edit(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage, purpose="video", name=None)
    body = {"prompt": "Gold", "video": {"upload_id": upload.body["id"]}}
    early = stage.call("edit_video", json_body=body)
    assert (early.status, early.error["code"]) == (400, "upload_pending")
    assert bucket.deliver(bucket.land(key_of(upload), MP4))
    assert stage.call("edit_video", json_body=body).status == 200
    assert bytes(upstream.heard[-1].body["video"].data) == MP4


def test_an_uploaded_video_becomes_a_character_with_a_name(stage: Stage, bucket: Bucket) -> None:
    upload = create(stage, purpose="video", name=None)
    assert bucket.deliver(bucket.land(key_of(upload), MP4))
    body = {"name": "Moss", "video": {"upload_id": upload.body["id"]}}
    made = stage.call("create_character", json_body=body)
    assert (made.status, made.body["name"]) == (200, "Moss")


def test_an_image_becomes_a_first_frame(stage: Stage, bucket: Bucket, upstream: Upstream) -> None:
    upload = create(stage, PNG, purpose="image", mime_type="image/png", name=None)
    assert bucket.deliver(bucket.land(key_of(upload), PNG))
    assert stage.create(input_reference={"upload_id": upload.body["id"]}).status == 200
    assert bytes(upstream.heard[-1].body["input_reference"].data) == PNG


def test_another_team_sees_none_of_it(stage: Stage, bucket: Bucket) -> None:
    upload = create(stage)
    stage.sign_in("red")
    path = {"upload_id": upload.body["id"]}
    for function in ("get_upload", "cancel_upload", "sign_parts", "complete_upload"):
        body = {} if function == "sign_parts" else None
        reply = stage.call(function, path=path, json_body=body)
        assert (reply.status, reply.error["code"]) == (404, "upload_not_found")
    body = {"name": "Moss", "video": path}
    assert stage.call("create_character", json_body=body).status == 404


def test_nothing_came_in_time(stage: Stage, bucket: Bucket) -> None:
    upload = create(stage)
    stage.clock.now += uploads.POST_SECONDS + 1
    assert status(stage, upload)["status"] == "expired"


class TestDropFolder:
    KEY = "drop/blue/sora-2/Luna Böse +1.mp4"

    def result(self, key: str) -> dict[str, Any]:
        name = f"drop-results/{key.removeprefix('drop/')}.json"
        body: dict[str, Any] = json.loads(clients.s3().get_object(Bucket=NAMES["bucket"], Key=name)["Body"].read())
        return body

    def test_a_dropped_clip_becomes_a_character_and_says_so(self, stage: Stage, bucket: Bucket) -> None:
        assert bucket.deliver(bucket.land(self.KEY, MP4))
        assert [character["name"] for character in characters(stage)] == ["Luna Böse +1"]
        assert self.result(self.KEY)["character"] == characters(stage)[0]

    def test_synced_again_with_the_same_bytes_it_makes_nothing(
        self, stage: Stage, bucket: Bucket, upstream: Upstream
    ) -> None:
        for _ in range(3):
            assert bucket.deliver(bucket.land(self.KEY, MP4))
        assert len(characters(stage)) == len(upstream.characters) == 1

    def test_one_that_is_gone_makes_nothing(self, stage: Stage, bucket: Bucket) -> None:
        """S3 answers 403 for what is absent, because this function may not list the folder."""
        event = bucket.land(self.KEY, MP4)
        with Stubber(clients.s3()) as s3:
            s3.add_client_error("get_object", "AccessDenied", http_status_code=403)
            assert bucket.deliver(event)
        assert characters(stage) == []
        assert bucket.keys("drop-results/") == []

    def test_each_event_is_about_its_own_version(self, stage: Stage, bucket: Bucket) -> None:
        """The bytes that were replaced or deleted before their event came are still those of the event."""
        first, second = bucket.land(self.KEY, MP4 + b"first"), bucket.land(self.KEY, MP4 + b"second")
        clients.s3().delete_object(Bucket=NAMES["bucket"], Key=self.KEY)
        assert bucket.deliver(first)
        assert bucket.deliver(second)
        assert bucket.deliver(first)
        assert len(characters(stage)) == 2

    def test_with_other_bytes_it_makes_another(self, stage: Stage, bucket: Bucket) -> None:
        assert bucket.deliver(bucket.land(self.KEY, MP4))
        assert bucket.deliver(bucket.land(self.KEY, MP4 + b"more"))
        assert len(characters(stage)) == 2

    @pytest.mark.parametrize(
        ("key", "data", "code"),
        [
            ("drop/blue/no-such-model/Luna.mp4", MP4, "model_not_found"),
            ("drop/blue/sora-2/Luna.mp4", b"text" * 99, "not_a_video"),
            (f"drop/blue/sora-2/{'x' * 81}.mp4", MP4, "invalid_value"),
        ],
    )
    def test_what_cannot_be_a_character_says_why(
        self, stage: Stage, bucket: Bucket, key: str, data: bytes, code: str
    ) -> None:
        assert bucket.deliver(bucket.land(key, data))
        assert self.result(key)["error"]["code"] == code
        assert characters(stage) == []

    def test_the_team_is_the_folder_s(self, stage: Stage, bucket: Bucket) -> None:
        assert bucket.deliver(bucket.land("drop/red/sora-2/Luna.mp4", MP4))
        assert characters(stage) == []
        stage.sign_in("red")
        assert len(characters(stage)) == 1

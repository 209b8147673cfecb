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
from understudy.characters import creation, handles
from understudy.errors import ApiError, Conflict, PermissionDenied
from understudy.files import clips, uploads
from understudy.store import clients, table

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
    assert stage.upload_queue.pauses == [10, 20]
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


def lose_the_model(configure: Any, toml: str) -> None:
    """Deploy a file without the model `solo`."""
    start = toml.index("[deployments.solo]")
    configure(toml[:start] + toml[toml.index("[deployments.plain]") :])


def break_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sealed functions fail from now on."""

    def fail(*_: Any) -> Any:
        raise ApiError("The video could not be opened.", code="media_failed")

    monkeypatch.setattr(clips, "_call", fail)


class TestNoUploadStaysOpen:
    """Whatever happens, the caller sees how the upload ended."""

    def test_a_model_that_has_left_the_file_fails_it_at_once(
        self, stage: Stage, bucket: Bucket, configure: Any, toml: str
    ) -> None:
        upload = create(stage, model="solo")
        event = bucket.land(key_of(upload), MP4)
        lose_the_model(configure, toml)
        assert bucket.deliver(event)
        done = status(stage, upload)
        assert (done["status"], done["error"]["code"]) == ("failed", "model_not_found")
        assert "Create a new upload" in done["error"]["message"]
        assert stage.upload_queue.pauses == []
        assert bucket.keys("uploads/") == []

    @pytest.mark.parametrize("error", [PermissionDenied("No."), Conflict("No.", code="taken")])
    def test_a_permanent_error_fails_it_at_once(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, error: ApiError
    ) -> None:
        upload = create(stage)
        monkeypatch.setattr(creation, "examine", throwing(error))
        assert bucket.deliver(bucket.land(key_of(upload), MP4))
        assert status(stage, upload)["error"] == {"code": error.code, "message": "No."}

    @pytest.mark.parametrize("purpose", ["character", "video"])
    def test_what_may_pass_is_tried_five_times_and_then_fails_it(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, purpose: str
    ) -> None:
        upload = create(stage, purpose=purpose, **({} if purpose == "character" else {"name": None}))
        event = bucket.land(key_of(upload), MP4)
        break_media(monkeypatch)
        for received in range(1, 5):
            assert not bucket.deliver(event, received=received)
            assert status(stage, upload)["status"] == "processing"
        assert not bucket.deliver(event, received=5)  # to the dead letters
        done = status(stage, upload)
        assert (done["status"], done["error"]["code"]) == ("failed", "media_failed")
        assert "Create a new upload" in done["error"]["message"]
        assert stage.upload_queue.pauses == [10, 20, 40, 80]

    def test_an_error_of_ours_fails_it_at_the_last_delivery_and_is_raised(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        monkeypatch.setattr(creation, "adopt", throwing(KeyError("video/x-matroska")))
        assert not bucket.deliver(event, received=4)
        assert status(stage, upload)["status"] == "processing"
        assert not bucket.deliver(event, received=5)
        done = status(stage, upload)
        assert (done["status"], done["error"]["code"]) == ("failed", "internal_error")
        assert "object not taken" in caplog.text
        assert bucket.deliver(event, received=1)  # from the dead letters: the caller was told to start again

    def test_an_error_of_ours_leaves_a_character_that_exists(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        monkeypatch.setattr(handles, "introduce", throwing(KeyError("id")))
        assert not bucket.deliver(event, received=5)
        done = status(stage, upload)
        assert (done["status"], done["error"]["code"]) == ("completed", "internal_error")
        assert done["character"] == characters(stage)[0]

    def test_one_that_another_delivery_has_completed(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The claim of a slow delivery runs out, the next delivery completes the upload, and the slow one ends."""
        upload = create(stage, purpose="video", name=None)
        event = bucket.land(key_of(upload), MP4)
        inspect = clips.inspect

        def slow(*args: Any, **named: Any) -> Any:
            monkeypatch.setattr(clips, "inspect", inspect)
            stage.clock.advance(300)
            assert bucket.deliver(event, received=2)
            return inspect(*args, **named)

        monkeypatch.setattr(clips, "inspect", slow)
        assert bucket.deliver(event)
        assert status(stage, upload)["status"] == "completed"

    def test_a_late_failure_does_not_disturb_the_delivery_that_works(self, stage: Stage, bucket: Bucket) -> None:
        upload = create(stage)
        team, record = key_of(upload).split("/")[1:]
        row = uploads.find(team, record)
        assert row
        slow = uploads.claim(row, "v", 285)
        assert slow
        stage.clock.advance(360)
        row = uploads.find(team, record)
        assert row
        works = uploads.claim(row, "v", 285)
        assert works
        uploads.fail(slow, "late", "Too late.")
        uploads.release(slow)
        assert uploads.find(team, record) == works
        uploads.finish(works)
        uploads.fail(works, "late", "Too late.")
        uploads.release(works)
        assert status(stage, upload)["status"] == "completed"

    def test_one_that_was_cancelled_during_the_work(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        team, record = key_of(upload).split("/")[1:]
        monkeypatch.setattr(uploads, "claim", claimed_and_deleted := ClaimedAndDeleted(uploads.claim))
        assert bucket.deliver(event)
        assert claimed_and_deleted.called
        assert uploads.find(team, record) is None

    def test_a_second_object_after_the_upload_was_cancelled(self, stage: Stage, bucket: Bucket) -> None:
        upload = create(stage)
        team, record = key_of(upload).split("/")[1:]
        row = uploads.find(team, record)
        assert row
        table.delete(row.row)
        uploads.discard(row)
        assert uploads.find(team, record) is None

    def test_a_message_waits_for_the_delivery_that_works(self, stage: Stage, bucket: Bucket) -> None:
        """S3 may send an event twice. The second message does not use up its deliveries before the first one ends."""
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        stage.edges.fatal = "answer"
        with pytest.raises(Killed):
            bucket.deliver(event)
        assert not bucket.deliver(event)
        assert stage.upload_queue.pauses == [285]
        stage.clock.advance(286)
        assert bucket.deliver(event, received=2)
        assert status(stage, upload)["status"] == "completed"

    def test_one_whose_last_delivery_died_is_shown_as_failed(self, stage: Stage, bucket: Bucket) -> None:
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        stage.edges.fatal = "answer"
        with pytest.raises(Killed):
            bucket.deliver(event, received=5)
        path = {"upload_id": upload.body["id"]}
        stage.clock.advance(284 + uploads.ABANDONED_SECONDS)
        assert status(stage, upload)["status"] == "processing"
        assert stage.call("cancel_upload", path=path).status == 400
        stage.clock.advance(2)
        done = status(stage, upload)
        assert (done["status"], done["error"]["code"]) == ("failed", "internal_error")
        assert "Create a new upload" in done["error"]["message"]
        refused = stage.call("create_character", json_body={"name": "Moss", "video": path})
        assert refused.status == 400
        assert bucket.deliver(event)  # from the dead letters
        assert status(stage, upload)["status"] == "completed"

    def test_an_abandoned_upload_is_an_answer_for_whoever_uses_it_and_can_be_cancelled(
        self, stage: Stage, bucket: Bucket
    ) -> None:
        upload = create(stage, purpose="video", name=None)
        path = {"upload_id": upload.body["id"]}
        bucket.land(key_of(upload), MP4)
        row = uploads.find(*key_of(upload).split("/")[1:])
        assert row
        assert uploads.claim(row, "v", 285)
        stage.clock.advance(286 + uploads.ABANDONED_SECONDS)
        used = stage.call("edit_video", json_body={"prompt": "Gold", "video": path})
        assert (used.status, used.error["code"]) == (400, "internal_error")
        assert stage.call("cancel_upload", path=path).status == 200
        assert stage.call("get_upload", path=path).status == 404
        assert bucket.keys("uploads/") == []

    def test_one_that_expired_and_then_arrived_is_processed(self, stage: Stage, bucket: Bucket) -> None:
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        stage.clock.advance(uploads.POST_SECONDS + 1)
        assert status(stage, upload)["status"] == "expired"
        assert bucket.deliver(event)
        assert status(stage, upload)["status"] == "completed"

    def test_a_refusal_survives_the_death_of_its_delivery(
        self, stage: Stage, bucket: Bucket, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = create(stage)
        event = bucket.land(key_of(upload), MP4)
        upstream.script = [refuse(400, "moderation_blocked", "Not this face.")]
        with monkeypatch.context() as patch:
            patch.setattr(uploads, "finish", throwing(Killed("finish")))
            with pytest.raises(Killed):
                bucket.deliver(event)
        stage.clock.advance(360)
        assert bucket.deliver(event, received=2)
        done = status(stage, upload)
        assert (done["status"], done["error"]["code"]) == ("completed", "moderation_blocked")


def throwing(error: BaseException) -> Any:
    """A function that raises the error."""

    def throw(*_: Any, **__: Any) -> Any:
        raise error

    return throw


class ClaimedAndDeleted:
    """Claims an upload and deletes its row at once, as if it had been cancelled at that moment."""

    def __init__(self, claim: Any) -> None:
        self.claim, self.called = claim, False

    def __call__(self, upload: uploads.Upload, version: str | None, seconds: float) -> Any:
        self.called = True
        claimed = self.claim(upload, version, seconds)
        table.delete(upload.row)
        return claimed


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

    def test_at_the_last_delivery_a_failure_that_may_pass_is_told(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = bucket.land(self.KEY, MP4)
        with monkeypatch.context() as patch:
            break_media(patch)
            assert not bucket.deliver(event, received=4)
            assert bucket.keys("drop-results/") == []
            assert not bucket.deliver(event, received=5)
        assert self.result(self.KEY)["error"]["code"] == "media_failed"
        assert "Copy the file into the drop folder again" in self.result(self.KEY)["error"]["message"]
        assert bucket.deliver(bucket.land(self.KEY, MP4))
        assert self.result(self.KEY)["character"] == characters(stage)[0]

    def test_at_the_last_delivery_an_error_of_ours_is_told(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = bucket.land(self.KEY, MP4)
        monkeypatch.setattr(creation, "adopt", throwing(KeyError("x")))
        assert not bucket.deliver(event, received=4)
        assert bucket.keys("drop-results/") == []
        assert not bucket.deliver(event, received=5)
        assert self.result(self.KEY)["error"]["code"] == "internal_error"

    def test_the_team_is_the_folder_s(self, stage: Stage, bucket: Bucket) -> None:
        assert bucket.deliver(bucket.land("drop/red/sora-2/Luna.mp4", MP4))
        assert characters(stage) == []
        stage.sign_in("red")
        assert len(characters(stage)) == 1

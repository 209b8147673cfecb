"""Nobody stores without end: characters, open uploads and bytes are counted for each team, and nothing stays unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.edges import Killed
from tests.fakes.stage import NAMES, Form, Reply, Stage, load
from tests.fakes.upstream import MP4, Upstream
from tests.unit.background.test_ingest_upload import PNG, Bucket, key_of
from understudy.access import keys
from understudy.characters import creation, making
from understudy.characters.character import Character
from understudy.errors import ApiError, InvalidRequest
from understudy.files import clips, storage, uploads
from understudy.settings import settings
from understudy.store import clients, table

GIBIBYTE = 1024**3
DAY = 86_400
CLIP: Form = [("name", "Luna"), ("video", ("clip.mp4", MP4, "video/mp4"))]


@pytest.fixture
def limited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stack with small limits, and a key that may not spend anything."""
    for name, value in {"MAX_CHARACTERS": "3", "MAX_UPLOADS": "4", "MAX_STORAGE": "12"}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    stage.sign_in("blue", limits=keys.Limits(concurrent=1, budget=0))
    return stage


@pytest.fixture
def bucket(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(load("ingest_upload"), "time", stage.clock)
    return Bucket(stage)


def create_upload(stage: Stage, size: int = len(MP4), **changes: Any) -> Reply:
    body = {"purpose": "video", "filename": "x.mp4", "bytes": size, "mime_type": "video/mp4"}
    return stage.call("create_upload", json_body=body | changes)


def versions(prefix: str) -> list[str]:
    listed = clients.s3().list_object_versions(Bucket=NAMES["bucket"], Prefix=prefix)
    return [one["Key"] for one in listed.get("Versions", [])]


def is_full(reply: Reply) -> None:
    """Check that the reply is a refusal that a client does not repeat, and that it says what to do."""
    assert (reply.status, reply.error["code"]) == (429, "storage_limit"), reply
    assert reply.headers["x-should-retry"] == "false"
    assert "at most" in reply.error["message"]
    assert "operator" in reply.error["message"]


class TestAKeyWithoutABudget:
    """A key that may not spend anything stores no more than the limits say (M9 of the review of 2026-11-29)."""

    def test_makes_as_many_characters_as_are_allowed(self, limited: Stage) -> None:
        replies = [limited.call("create_character", form=CLIP) for _ in range(10)]
        assert [reply.status for reply in replies] == [200] * 3 + [429] * 7
        is_full(replies[-1])
        assert len(versions("media/characters/")) == 3 * 5

    def test_opens_as_many_uploads_as_are_allowed(self, limited: Stage) -> None:
        replies = [create_upload(limited) for _ in range(10)]
        assert [reply.status for reply in replies] == [200] * 4 + [429] * 6
        is_full(replies[-1])

    def test_announces_as_many_bytes_as_are_allowed(self, limited: Stage) -> None:
        replies = [create_upload(limited, 5 * GIBIBYTE) for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 429, 429]
        is_full(replies[-1])
        open_in_s3 = clients.s3().list_multipart_uploads(Bucket=NAMES["bucket"]).get("Uploads", [])
        assert len(open_in_s3) == 2

    def test_another_team_has_its_own_limits(self, limited: Stage) -> None:
        for _ in range(3):
            assert limited.call("create_character", form=CLIP).status == 200
        limited.sign_in("red", limits=keys.Limits(budget=0))
        assert limited.call("create_character", form=CLIP).status == 200

    def test_another_key_of_the_team_has_the_same(self, limited: Stage) -> None:
        for _ in range(3):
            assert limited.call("create_character", form=CLIP).status == 200
        limited.sign_in("blue")
        is_full(limited.call("create_character", form=CLIP))


class TestACreationThatDies:
    """Nothing stays under media/characters without a row, wherever the process dies (M8 of the same review)."""

    def test_leaves_nothing_that_nobody_deletes(self, stage: Stage, upstream: Upstream) -> None:
        survived = False
        for n in range(60):
            stage.edges.fatal = n
            try:
                survived = stage.call("create_character", form=CLIP).status == 200
            except Killed:
                survived = False
            stage.edges.fatal = None
            stage.clock.advance(2 * 3600)
            stage.sweep()
            rows = {one.id for one in Character.page("blue", limit=100, newest_first=True, after=None)}
            listed = clients.s3().list_objects_v2(Bucket=NAMES["bucket"], Prefix="media/characters/")
            kept = {entry["Key"].split("/")[3] for entry in listed.get("Contents", [])}
            assert kept == rows, n
            if survived:
                break
        assert survived
        assert n > 10


class TestACancelledUpload:
    """What arrives after the cancellation is deleted for good (N1 of the same review)."""

    def test_takes_no_more_objects(self, stage: Stage, bucket: Bucket) -> None:
        upload = create_upload(stage)
        first = bucket.land(key_of(upload), MP4)
        assert stage.call("cancel_upload", path={"upload_id": upload.body["id"]}).status == 200
        later = [bucket.land(key_of(upload), MP4) for _ in range(3)]
        for event in (first, *later, *later):
            assert bucket.deliver(event)
        assert versions("uploads/") == []

    @pytest.mark.parametrize("key", ["uploads/red", "uploads/blue/unknown", "uploads/"])
    def test_nor_does_what_never_was_an_upload(self, stage: Stage, bucket: Bucket, key: str) -> None:
        assert bucket.deliver(bucket.land(key, MP4))
        assert versions("uploads/") == []


def used(team: str = "blue") -> tuple[int, int, int]:
    """Return the characters, the open uploads and the bytes that count for the team."""
    row = table.get(table.storage_key(team)) or {"pk": f"team#{team}"}
    usage = storage.usage(row)
    return usage.characters, usage.uploads, usage.bytes


def cancel(stage: Stage, upload: Reply) -> None:
    assert stage.call("cancel_upload", path={"upload_id": upload.body["id"]}).status == 200


class TestWhatIsGivenBack:
    """A team that cleans up has room again, and a team that waits has room again."""

    def test_a_deleted_character_and_later_its_bytes(self, limited: Stage) -> None:
        made = [limited.call("create_character", form=CLIP).body["id"] for _ in range(3)]
        inputs, clip = len(MP4), len(MP4) + 4 * 6  # the stills of the fake have 6 bytes
        assert used() == (3, 0, 3 * (inputs + clip))
        for _ in range(2):  # twice, as by a client that repeats
            limited.call("delete_character", path={"character_id": made[0]})
        assert used() == (2, 0, 3 * (inputs + clip))
        assert limited.call("create_character", form=CLIP).status == 200
        limited.clock.advance(8 * DAY)
        assert used() == (3, 0, 4 * inputs + 3 * clip)
        limited.clock.advance(2 * DAY)
        assert used() == (3, 0, 3 * clip)

    def test_a_cancelled_upload_at_once(self, limited: Stage) -> None:
        upload = create_upload(limited, 5 * GIBIBYTE)
        assert used() == (0, 1, 5 * GIBIBYTE)
        cancel(limited, upload)
        assert used() == (0, 0, 0)

    def test_an_expired_upload_without_anybody(self, limited: Stage) -> None:
        for _ in range(4):
            create_upload(limited, 100)
        limited.clock.advance(2 * 3600 + 3601)
        assert create_upload(limited, 100).status == 200
        assert used() == (0, 1, 500)
        limited.clock.advance(6 * DAY)
        assert used() == (0, 0, 0)
        limited.sweep()
        row = table.get(table.storage_key("blue"))
        assert row
        assert (row["uploads"], row["bytes"]) == (0, 0)

    @pytest.mark.parametrize("purpose", ["character", "video", "image"])
    def test_a_file_that_cannot_be_used(self, limited: Stage, bucket: Bucket, purpose: str) -> None:
        text = b"text" * 100
        upload = create_upload(limited, len(text), purpose=purpose, **_more(purpose))
        assert bucket.deliver(bucket.land(key_of(upload), text))
        assert limited.call("get_upload", path={"upload_id": upload.body["id"]}).body["status"] == "failed"
        assert used() == (0, 0, 0)
        assert versions("") == []

    @pytest.mark.parametrize("purpose", ["character", "video"])
    def test_a_clip_that_cannot_be_opened(
        self, limited: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, purpose: str
    ) -> None:
        def refuse(*_: Any) -> Any:
            raise InvalidRequest("It is damaged.", code="unreadable")

        monkeypatch.setattr(clips, "_call", refuse)
        upload = create_upload(limited, purpose=purpose, **_more(purpose))
        assert bucket.deliver(bucket.land(key_of(upload), MP4))
        assert used() == (0, 0, 0)
        assert versions("") == []

    def test_what_was_given_up_counts_while_its_object_is_kept(
        self, limited: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> Any:
            raise ApiError("Not now.", code="media_failed")

        monkeypatch.setattr(clips, "_call", fail)
        upload = create_upload(limited)
        event = bucket.land(key_of(upload), MP4)
        for received in range(1, 6):
            assert not bucket.deliver(event, received=received)
        assert used() == (0, 0, len(MP4))
        assert versions("") == [key_of(upload)]
        cancel(limited, upload)
        assert used() == (0, 0, len(MP4))
        limited.clock.advance(5 * DAY)
        assert used() == (0, 0, 0)


def _more(purpose: str) -> dict[str, Any]:
    return {"name": "Luna"} if purpose == "character" else {"mime_type": "image/png"} if purpose == "image" else {}


class TestWhatStays:
    def test_an_uploaded_clip_counts_as_a_file_for_a_week(self, limited: Stage, bucket: Bucket) -> None:
        upload = create_upload(limited)
        limited.clock.advance(600)
        assert bucket.deliver(bucket.land(key_of(upload), MP4))
        assert used() == (0, 0, len(MP4))
        cancel(limited, upload)  # what was made from it stays
        assert used() == (0, 0, len(MP4))
        limited.clock.advance(7 * DAY)
        assert used() == (0, 0, len(MP4))
        limited.clock.advance(3 * DAY)
        assert used() == (0, 0, 0)

    def test_an_uploaded_character_counts_once(self, limited: Stage, bucket: Bucket) -> None:
        upload = create_upload(limited, purpose="character", name="Luna")
        event = bucket.land(key_of(upload), MP4)
        assert bucket.deliver(event)
        assert bucket.deliver(event)
        assert used() == (1, 0, len(MP4) + 4 * 6)
        assert versions("uploads/") == []
        assert [key for key in versions("media/inputs/") if key.endswith("clip")] == []

    def test_a_dropped_file_counts_once(self, limited: Stage, bucket: Bucket) -> None:
        event = bucket.land("drop/blue/sora-2/Luna.mp4", MP4)
        for _ in range(3):
            assert bucket.deliver(event)
        assert used() == (1, 0, len(MP4) + 4 * 6)

    def test_a_file_of_a_request_counts_even_if_nothing_is_ordered(self, limited: Stage) -> None:
        form: Form = [("prompt", "x"), ("model", "sora-2"), ("video", ("v.mp4", MP4, "video/mp4"))]
        assert limited.call("edit_video", form=form).error["code"] == "insufficient_quota"
        assert used() == (0, 0, len(MP4))
        form = [("prompt", "x"), ("input_reference", ("i.png", PNG, "image/png"))]
        assert limited.call("create_video", form=form).error["code"] == "insufficient_quota"
        assert used() == (0, 0, len(MP4) + len(PNG))

    def test_without_room_no_file_of_a_request_is_stored(self, limited: Stage) -> None:
        storage.take("blue", {"bytes": 12 * GIBIBYTE})
        for function, form in {
            "edit_video": [("prompt", "x"), ("model", "sora-2"), ("video", ("v.mp4", MP4, "video/mp4"))],
            "create_video": [("prompt", "x"), ("input_reference", ("i.png", PNG, "image/png"))],
            "create_character": CLIP,
        }.items():
            is_full(limited.call(function, form=form))
        is_full(create_upload(limited))
        assert versions("") == []

    def test_an_attempt_that_was_overtaken_counts_no_second_character(
        self, limited: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        headers, examine = {"idempotency-key": "k"}, creation.examine

        def slow(*given: Any) -> Any:
            monkeypatch.setattr(creation, "examine", examine)
            assert limited.call("create_character", form=CLIP, headers=headers).status == 200
            return examine(*given)

        monkeypatch.setattr(creation, "examine", slow)
        reply = limited.call("create_character", form=CLIP, headers=headers)
        assert reply.headers["idempotent-replayed"] == "true"
        assert used()[0] == 1
        listed = clients.s3().list_objects_v2(Bucket=NAMES["bucket"], Prefix="media/characters/")["Contents"]
        assert len({entry["Key"].split("/")[3] for entry in listed}) == 1


class TestAFileThatIsDeliveredTwiceAtOnce:
    """S3 may send an event twice, and both deliveries may run at the same time."""

    KEY = "drop/blue/sora-2/Luna.mp4"

    def test_the_second_waits_for_the_first(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event, examine = bucket.land(self.KEY, MP4), creation.examine

        def slow(*given: Any) -> Any:
            monkeypatch.setattr(creation, "examine", examine)
            assert not bucket.deliver(event)
            return examine(*given)

        monkeypatch.setattr(creation, "examine", slow)
        assert bucket.deliver(event)
        assert stage.upload_queue.pauses == [285 + 60]
        assert bucket.deliver(event, received=2)
        assert used() == (1, 0, len(MP4) + 4 * 6)
        assert len(versions("media/characters/")) == 5

    def test_the_second_begins_when_the_first_has_just_ended(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event, begun = bucket.land(self.KEY, MP4), making.begun

        def late(*given: Any, **named: Any) -> Any:
            monkeypatch.setattr(making, "begun", begun)
            assert bucket.deliver(event)
            return begun(*given, **named)

        monkeypatch.setattr(making, "begun", late)
        assert bucket.deliver(event)
        assert used() == (1, 0, len(MP4) + 4 * 6)
        assert len(versions("media/characters/")) == 5


class TestALimitThatIsReachedLater:
    def test_an_upload_fails_with_the_reason(self, limited: Stage, bucket: Bucket) -> None:
        upload = create_upload(limited, purpose="character", name="Luna")
        for _ in range(3):
            assert limited.call("create_character", form=CLIP).status == 200
        assert bucket.deliver(bucket.land(key_of(upload), MP4))
        done = limited.call("get_upload", path={"upload_id": upload.body["id"]}).body
        assert (done["status"], done["error"]["code"]) == ("failed", "storage_limit")
        assert versions("uploads/") == []

    def test_a_dropped_file_says_so(self, limited: Stage, bucket: Bucket) -> None:
        for _ in range(3):
            assert limited.call("create_character", form=CLIP).status == 200
        assert bucket.deliver(bucket.land("drop/blue/sora-2/Luna.mp4", MP4))
        said = clients.s3().get_object(Bucket=NAMES["bucket"], Key="drop-results/blue/sora-2/Luna.mp4.json")
        assert json.loads(said["Body"].read())["error"]["code"] == "storage_limit"


class TestDeathsOfUploads:
    """Wherever the process dies, the counts are never too low, and in the end they are right."""

    @pytest.mark.parametrize("purpose", ["character", "video"])
    def test_while_it_is_processed(self, stage: Stage, bucket: Bucket, purpose: str) -> None:
        n, done = 0, False
        while not done:
            stage.sign_in(f"team{n}")
            upload = create_upload(stage, purpose=purpose, **_more(purpose))
            event = bucket.land(key_of(upload), MP4)
            stage.edges.fatal = n
            try:
                done = bucket.deliver(event)
            except Killed:
                stage.clock.advance(360)
                assert bucket.deliver(event, received=2)
            stage.edges.fatal = None
            kept = len(MP4) + 4 * 6 if purpose == "character" else 0
            assert used(f"team{n}")[:2] == (int(purpose == "character"), 0), n
            assert used(f"team{n}")[2] >= max(kept, len(MP4)), n
            stage.clock.advance(12 * DAY)
            assert used(f"team{n}") == (int(purpose == "character"), 0, kept), n
            n += 1
        assert n > 6

    @pytest.mark.parametrize("size", [len(MP4), 200 * 1024**2])
    def test_while_it_is_begun_or_cancelled(self, stage: Stage, size: int) -> None:
        for function in ("create_upload", "cancel_upload"):
            n, done = 0, False
            while not done:
                team = f"{function}{n}"
                stage.sign_in(team)
                if function == "cancel_upload":
                    path = {"upload_id": create_upload(stage, size).body["id"]}
                stage.edges.fatal = n
                try:
                    if function == "create_upload":
                        done = create_upload(stage, size).status == 200
                    else:
                        done = stage.call(function, path=path).status == 200
                except Killed:
                    rows = [key for key in _sort_keys(team) if key.startswith("upload#")]
                    assert used(team) == (0, len(rows), size * len(rows)), n
                stage.edges.fatal = None
                n += 1
            assert n > 2

    def test_parts_that_are_joined_while_the_upload_is_cancelled(
        self, stage: Stage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploads, "POST_BYTES", 0)
        upload = create_upload(stage, 5)
        record = next(key for key in _sort_keys("blue") if key.startswith("upload#")).removeprefix("upload#")
        key, multipart = f"uploads/blue/{record}", upload.body["upload"]["upload_id"]
        part = {"Bucket": NAMES["bucket"], "Key": key, "UploadId": multipart, "PartNumber": 1}
        clients.s3().upload_part(**part, Body=b"12345")

        def cancelled(**given: Any) -> Any:
            cancel(stage, upload)
            raise clients.s3().exceptions.NoSuchUpload({"Error": {"Code": "NoSuchUpload"}}, "CompleteMultipartUpload")

        monkeypatch.setattr(clients.s3(), "complete_multipart_upload", cancelled)
        reply = stage.call("complete_upload", path={"upload_id": upload.body["id"]})
        assert (reply.status, reply.error["param"]) == (400, "upload_id")
        assert "Create a new upload" in reply.error["message"]
        assert versions("uploads/") == []
        assert used() == (0, 0, 0)


def _sort_keys(team: str) -> list[str]:
    return [row[table.SORT] for row in table.each(table.upload_key(team, ""), "")]

from __future__ import annotations

import pytest

from tests.fakes.edges import Killed
from tests.fakes.stage import Form, Stage
from tests.fakes.upstream import MP4, Answering, Upstream, lose, refuse
from understudy.characters import handles
from understudy.characters.character import Character, clip_key
from understudy.deployments.config import deployments
from understudy.errors import ApiError, InvalidRequest
from understudy.files import clips
from understudy.providers.base import CharacterSupport
from understudy.store import bucket, clients

CLIP = ("video", ("clip.mp4", MP4, "video/mp4"))


def newest() -> Character:
    return Character.page("blue", limit=1, newest_first=True, after=None)[0]


def objects(prefix: str = "media/characters/") -> list[str]:
    return [one["Key"] for one in clients.s3().list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])]


class TestCreate:
    def test_name_clip_stills_and_handle(self, stage: Stage, upstream: Upstream) -> None:
        reply = stage.call("create_character", form=[("name", "  Luna "), CLIP])
        assert (reply.status, reply.body["name"], reply.body["object"]) == (200, "Luna", "character")
        luna = newest()
        assert luna.original == "char_one.example_0"
        assert (luna.home, luna.provider, luna.milliseconds, luna.width) == ("one", "openai", 3000, 1280)
        prefix = bucket.character_prefix("blue", luna.id)
        assert objects() == [f"{prefix}clip", *(f"{prefix}still-{n}.jpg" for n in range(4))]
        assert upstream.heard[0].body["name"] == "Luna"
        assert bytes(upstream.heard[0].body["video"].data) == MP4

    @pytest.mark.parametrize(
        "answering",
        [refuse(400, "moderation_blocked"), refuse(401), refuse(429), refuse(500), lose(), refuse(404)],
    )
    def test_it_exists_whatever_its_home_says(self, stage: Stage, upstream: Upstream, answering: Answering) -> None:
        upstream.script.append(answering)
        character = stage.character()
        assert stage.call("get_character", path={"character_id": character}).body["name"] == "Luna"
        assert newest().original == newest().id

    def test_and_without_a_key_for_its_home(self, stage: Stage, upstream: Upstream) -> None:
        from tests.unit.conftest import cold_start

        clients.secretsmanager().delete_secret(SecretId="understudy/a", ForceDeleteWithoutRecovery=True)
        cold_start()
        assert stage.character()

    def test_without_time_the_handle_is_left_for_later(self, stage: Stage, upstream: Upstream) -> None:
        stage.milliseconds = 9_000
        stage.character()
        assert upstream.heard == []

    def test_from_a_finished_video(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create().body["id"]
        stage.run()
        for given in ({"id": video}, video):
            reply = stage.call("create_character", json_body={"name": "Luna", "video": given})
            assert reply.status == 200
            stored = clients.s3().get_object(Bucket="bucket", Key=clip_key("blue", newest().id))
            assert stored["Body"].read() == MP4
            assert stored["ContentType"] == "video/mp4"

    def test_the_type_is_that_of_the_bytes(self, stage: Stage, upstream: Upstream) -> None:
        mov = b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + b"\0" * 100
        form: Form = [("name", "Luna"), ("video", ("clip.mp4", mov, "application/octet-stream"))]
        stage.call("create_character", form=form)
        stored = clients.s3().get_object(Bucket="bucket", Key=clip_key("blue", newest().id))
        assert stored["ContentType"] == "video/quicktime"

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (InvalidRequest("Too long.", param="video", code="too_long"), 400, "too_long"),
            (ApiError("Not now.", code="media_failed"), 500, "media_failed"),
        ],
    )
    def test_what_cannot_be_opened_leaves_nothing(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, error: ApiError, status: int, code: str
    ) -> None:
        def fail(*given: object) -> None:
            raise error

        monkeypatch.setattr(clips, "_call", fail)
        reply = stage.call("create_character", form=[("name", "Luna"), CLIP])
        assert (reply.status, reply.error["code"]) == (status, code)
        assert objects() == []
        assert upstream.heard == []


class TestRead:
    def test_get_and_list_are_the_same(self, stage: Stage, upstream: Upstream) -> None:
        ids = [stage.character(name) for name in ("Luna", "Max", "Ada")]
        listed = stage.call("list_characters", query={"order": "asc"}).body["data"]
        assert [one["id"] for one in listed] == ids
        for one in listed:
            assert stage.call("get_character", path={"character_id": one["id"]}).body == one

    def test_pages(self, stage: Stage, upstream: Upstream) -> None:
        ids = [stage.character(str(n)) for n in range(5)]
        first = stage.call("list_characters", query={"limit": "3"}).body
        assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:1:-1], True)
        rest = stage.call("list_characters", query={"limit": "3", "after": first["last_id"]}).body
        assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (ids[1::-1], False)
        nothing = stage.call("list_characters", query={"limit": "0"}).body
        assert (nothing["data"], nothing["has_more"], nothing["first_id"]) == ([], True, None)


class TestDelete:
    def test_clip_stills_and_handles_go_too(self, stage: Stage, upstream: Upstream) -> None:
        character = stage.character()
        luna = newest()
        reply = stage.call("delete_character", path={"character_id": character})
        assert reply.body == {"id": character, "object": "character.deleted", "deleted": True}
        assert objects() == []
        assert handles.find(luna, deployments().get("one")) is None
        assert stage.call("get_character", path={"character_id": character}).status == 404
        assert stage.call("list_characters").body["data"] == []

    def test_videos_with_it_stay(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        character = stage.character()
        video = stage.create("Luna", characters=[character]).body["id"]
        stage.run()
        stage.call("delete_character", path={"character_id": character})
        assert stage.call("get_content", path={"video_id": video}).status == 302

    def test_one_that_broke_off_can_be_repeated(self, stage: Stage, upstream: Upstream) -> None:
        for n in range(50):
            character = stage.character()
            stage.edges.fatal = n
            try:
                stage.call("delete_character", path={"character_id": character})
            except Killed:
                again = stage.call("delete_character", path={"character_id": character})
                assert again.status in {200, 404}
                assert objects() == []
                assert stage.call("list_characters").body["data"] == []
            else:
                stage.edges.fatal = None
                break
        assert n > 4


class TestForms:
    """A character is sent in the best form that a model accepts."""

    @pytest.mark.parametrize(
        ("support", "form"),
        [
            (CharacterSupport(), None),
            (CharacterSupport(start_frame=True), "start_frame"),
            (CharacterSupport(start_frame=True, reference_images=1), "reference_image"),
            (CharacterSupport(start_frame=True, reference_images=1, reference_videos=1), "reference_video"),
            (CharacterSupport(start_frame=True, reference_images=1, reference_videos=1, native=1), "native"),
        ],
    )
    def test_best_first(self, support: CharacterSupport, form: str | None) -> None:
        assert support.form == form

    def test_each_form_brings_what_it_needs(self, stage: Stage, upstream: Upstream) -> None:
        stage.character()
        luna = newest()
        native = luna.cast(CharacterSupport(native=1), "char_1")
        assert (native.handle, native.clip, native.stills) == ("char_1", None, ())
        video = luna.cast(CharacterSupport(reference_videos=1), None)
        assert video.clip is not None
        with video.clip.open() as clip:
            assert clip.read() == MP4
        assert video.clip.size == len(MP4)
        assert "X-Amz-Signature" in video.clip.url()
        stills = luna.cast(CharacterSupport(reference_images=1), None).stills
        assert [still.mime_type for still in stills] == ["image/jpeg"] * 4
        with stills[0].open() as still:
            assert still.read() == b"\xff\xd8jpeg"

    @pytest.mark.parametrize(
        ("support", "needs"),
        [
            (CharacterSupport(reference_videos=1, trim=True, clip_seconds=(0, 2)), True),
            (CharacterSupport(reference_videos=1, trim=True, clip_seconds=(0, 3)), False),
            (CharacterSupport(reference_videos=1, clip_seconds=(0, 2)), False),
            (CharacterSupport(native=1, reference_videos=1, trim=True, clip_seconds=(0, 2)), False),
        ],
    )
    def test_a_clip_that_is_sent_may_need_a_cut(
        self, stage: Stage, upstream: Upstream, support: CharacterSupport, needs: bool
    ) -> None:
        stage.character()
        assert newest().needs_trim(support) == needs

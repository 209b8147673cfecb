from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.fakes.account import BASE, KEY, Server, media
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.providers._openai import MAX_ID
from understudy.providers.base import CastMember, Operation, Order, Progress, Source
from understudy.providers.openai import OpenAI
from understudy.providers.prices import Prices

OPENAI = OpenAI()
VIDEO = {"id": "video_1", "object": "video", "status": "queued", "progress": 0, "seconds": "8", "size": "1280x720"}


def order(operation: Operation = "create", prompt: str = "A fox", **changes: Any) -> Order:
    return Order(operation, "sora-2", prompt, "our-reference", **changes)


def submit(server: Server, placed: Order) -> Progress:
    return OPENAI.submit(server.account(), placed)


class TestSubmit:
    def test_create(self, server: Server) -> None:
        server.answer(200, VIDEO)
        progress = submit(server, order(seconds=8, size="1280x720"))
        assert progress == Progress("video_1", "queued", 0, 8, "1280x720")
        assert str(server.request.url) == f"{BASE}/videos"
        assert server.request.headers["authorization"] == f"Bearer {KEY}"
        assert server.request.headers["content-type"] == "application/json"
        assert server.body == {"model": "sora-2", "prompt": "A fox", "seconds": "8", "size": "1280x720"}

    def test_create_with_a_first_frame(self, server: Server) -> None:
        server.answer(200, VIDEO)
        submit(server, order(image=media("image.png", "image/png", b"png")))
        image = server.body["input_reference"]
        assert (image.filename, image.content_type, bytes(image.data)) == ("image.png", "image/png", b"png")
        assert server.body["model"] == "sora-2"

    def test_create_with_characters(self, server: Server) -> None:
        server.answer(200, VIDEO)
        cast = (CastMember("Luna", handle="char_1"), CastMember("Max", handle="char_2"))
        submit(server, order(cast=cast))
        assert server.body["characters"] == [{"id": "char_1"}, {"id": "char_2"}]
        assert server.body["prompt"] == "Featuring Luna and Max. A fox"

    def test_a_name_counts_as_a_word(self, server: Server) -> None:
        server.answer(200, VIDEO)
        cast = (CastMember("Luna", handle="char_1"), CastMember("Max", handle="char_2"))
        submit(server, order(prompt="Lunatic Max's day", cast=cast))
        assert server.body["prompt"] == "Featuring Luna. Lunatic Max's day"

    def test_characters_beside_a_file_keep_their_order(self, server: Server) -> None:
        server.answer(200, VIDEO)
        cast = (CastMember("A", handle="char_2"), CastMember("B", handle="char_1"))
        submit(server, order(cast=cast, image=media("image.png", "image/png")))
        assert server.body["characters"] == [{"id": "char_2"}, {"id": "char_1"}]

    @pytest.mark.parametrize(
        ("placed", "path", "fields"),
        [
            (
                order("edit", seconds=8, size="1280x720", source=Source("video_0")),
                "/videos/edits",
                {"prompt": "A fox", "video": {"id": "video_0"}},
            ),
            (
                order("extend", seconds=8, size="1280x720", source=Source("video_0")),
                "/videos/extensions",
                {"prompt": "A fox", "video": {"id": "video_0"}, "seconds": "8"},
            ),
            (
                order("remix", seconds=8, size="1280x720", source=Source("video_0")),
                "/videos/video_0/remix",
                {"prompt": "A fox"},
            ),
        ],
    )
    def test_work_on_a_video_of_its_own(self, server: Server, placed: Order, path: str, fields: dict[str, Any]) -> None:
        server.answer(200, VIDEO)
        submit(server, placed)
        assert str(server.request.url) == BASE + path
        assert server.body == fields

    @pytest.mark.parametrize(("operation", "path"), [("edit", "edits"), ("extend", "extensions")])
    def test_work_on_a_clip(self, server: Server, operation: Operation, path: str) -> None:
        server.answer(200, VIDEO)
        submit(server, order(operation, seconds=8, source=Source(clip=media())))
        assert str(server.request.url) == f"{BASE}/videos/{path}"
        assert bytes(server.body["video"].data) == b"bytes"
        assert server.body["model"] == "sora-2"  # the clip does not say which

    def test_a_server_without_auth_gets_none(self, server: Server) -> None:
        server.answer(200, VIDEO)
        OPENAI.submit(server.account(key=None), order())
        assert "authorization" not in server.request.headers

    @pytest.mark.parametrize(
        "answer",
        [
            b"<html>gateway</html>",
            b"",
            b"null",
            b"[]",
            b'{"id": "video_1"}',
            b'{"status": "queued"}',
            b'{"id": 5, "status": "queued"}',
            b'{"id": "", "status": "queued"}',
            b'{"id": "..", "status": "queued"}',
            b'{"id": "\\ud800", "status": "queued"}',
            b'{"id": "a\\u0000b", "status": "queued"}',
            json.dumps({"id": "x" * (MAX_ID + 1), "status": "queued"}).encode(),
            b'{"id": "video_1", "status": "que',
            b"[" * 100_000,
            b'{"id": "v", "status": ' + b"1" * 5000 + b"}",
        ],
    )
    def test_an_answer_that_is_no_video_is_an_unknown_outcome(self, server: Server, answer: bytes) -> None:
        server.answer(200, answer)
        with pytest.raises(OutcomeUnknown):
            submit(server, order())

    @pytest.mark.parametrize(
        "changes",
        [
            {"progress": "NaN"},
            {"progress": "Infinity"},
            {"progress": "-1"},
            {"progress": "1e400"},
            {"progress": '"50"'},
            {"progress": "null"},
            {"seconds": '"' + "9" * 5000 + '"'},
            {"seconds": '"8.5"'},
            {"seconds": "[]"},
            {"size": "5"},
            {"size": '"' + "x" * 100_000 + '"'},
            {"status": "null"},
            {"status": '"strange"'},
            {"error": "5"},
        ],
    )
    def test_odd_facts_do_not_cost_the_video(self, server: Server, changes: dict[str, str]) -> None:
        """A paid video is kept even if the other fields of the answer are missing or invalid."""
        fields = {"id": '"video_1"', "status": '"queued"', **changes}
        server.answer(200, ("{" + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}").encode())
        progress = submit(server, order())
        assert progress.upstream_id == "video_1"
        assert progress.status in {"queued", "in_progress"}
        assert 0 <= progress.progress <= 100
        assert progress.size is None
        assert progress.seconds is None


class TestRefusals:
    """The meaning of a provider's answer: who may be asked instead, and who has to change something."""

    @pytest.mark.parametrize(
        ("status", "code", "reason"),
        [
            (400, "invalid_value", Reason.INVALID),
            (400, "moderation_blocked", Reason.MODERATION),
            (400, "content_policy_violation", Reason.MODERATION),
            (400, "contentFilter", Reason.MODERATION),
            (403, "content_filter", Reason.MODERATION),
            (422, "unprocessable", Reason.INVALID),
            (401, "invalid_api_key", Reason.CREDENTIALS),
            (403, "forbidden", Reason.CREDENTIALS),
            (402, "payment_required", Reason.ARREARS),
            (404, "model_not_found", Reason.GONE),
            (410, "gone", Reason.GONE),
            (409, "conflict", Reason.INVALID),
            (413, "too_large", Reason.INVALID),
            (429, "rate_limit_exceeded", Reason.BUSY),
            (429, "insufficient_quota", Reason.ARREARS),
            (429, "billing_hard_limit_reached", Reason.ARREARS),
            (503, "overloaded", Reason.UNAVAILABLE),
            (301, "moved", Reason.UNAVAILABLE),
        ],
    )
    def test_definite(self, server: Server, status: int, code: str, reason: Reason) -> None:
        error = {"message": "No.", "type": "x", "param": "prompt", "code": code}
        server.answer(status, {"error": error}, headers={"retry-after": "7"})
        with pytest.raises(Refused) as caught:
            submit(server, order())
        refused = caught.value
        assert (refused.reason, refused.status, refused.message) == (reason, status, "No.")
        told = "moderation_blocked" if reason is Reason.MODERATION else code
        assert (refused.code, refused.param, refused.retry_after) == (told, "prompt", "7")

    @pytest.mark.parametrize("status", [200, 201, 500, 502, 504, 520, 599])
    def test_unknown(self, server: Server, status: int) -> None:
        server.answer(status, {"error": {"message": "Oops", "code": "server_error"}})
        with pytest.raises(OutcomeUnknown) as caught:
            submit(server, order())
        assert not caught.value.timed_out

    def test_a_503_of_something_in_between_is_unknown(self, server: Server) -> None:
        server.answer(503, b"<html>Service Unavailable</html>")
        with pytest.raises(OutcomeUnknown):
            submit(server, order())

    def test_a_408_is_a_late_answer(self, server: Server) -> None:
        server.answer(408, {"error": {"message": "Timeout"}})
        with pytest.raises(OutcomeUnknown) as caught:
            submit(server, order())
        assert caught.value.timed_out

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"error": "plain text"}, "plain text"),
            ({"detail": "not allowed"}, "not allowed"),
            (
                {"detail": [{"loc": ["body", "size"], "msg": "bad size"}]},
                "[{'loc': ['body', 'size'], 'msg': 'bad size'}]",
            ),
            ({"error": {"message": "  two\n lines "}}, "two lines"),
            ({}, "The provider refused this with status 400."),
            ({"error": {}}, "The provider refused this with status 400."),
            ({"error": {"message": None, "code": 5}}, "The provider refused this with status 400."),
            ("text", "The provider refused this with status 400."),
        ],
    )
    def test_messages_in_other_shapes(self, server: Server, body: Any, message: str) -> None:
        server.answer(400, body)
        with pytest.raises(Refused) as caught:
            submit(server, order())
        assert caught.value.message == message

    def test_an_error_with_an_id_and_a_status_is_no_video(self, server: Server) -> None:
        server.answer(402, {"id": "req_1", "status": "error", "error": {"message": "Pay first"}})
        with pytest.raises(Refused) as caught:
            submit(server, order())
        assert caught.value.reason is Reason.ARREARS

    def test_a_failed_job_is_a_job_whatever_the_status(self, server: Server) -> None:
        server.answer(500, {"id": "video_1", "status": "failed", "error": {"code": 500, "message": "CUDA"}})
        progress = OPENAI.poll(server.account(), "video_1")
        assert (progress.status, progress.error) == ("failed", ("500", "CUDA"))

    @pytest.mark.parametrize("where", ["message", "code", "param"])
    def test_our_key_is_cut_out_of_every_word(self, server: Server, where: str) -> None:
        for padding in range(0, 520, 5):
            server.answers.clear()
            server.answer(400, {"error": {where: "x" * padding + f" {KEY} is wrong"}})
            with pytest.raises(Refused) as caught:
                submit(server, order())
            told = f"{caught.value.message} {caught.value.code} {caught.value.param}"
            assert "sk-" not in told
            assert len(told) < 800

    def test_a_message_that_cannot_be_stored_is_mended(self, server: Server) -> None:
        server.answer(400, b'{"error": {"message": "\\ud800 no"}}')
        with pytest.raises(Refused) as caught:
            submit(server, order())
        assert caught.value.message == "? no"


class TestPoll:
    def poll(self, server: Server, upstream_id: str = "video_1") -> Progress:
        return OPENAI.poll(server.account(), upstream_id)

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("queued", "queued"),
            ("in_progress", "in_progress"),
            ("completed", "completed"),
            ("failed", "failed"),
            ("cancelled", "failed"),
            ("rendering", "in_progress"),
            ("", "in_progress"),
        ],
    )
    def test_status_words(self, server: Server, word: str, status: str) -> None:
        server.answer(200, {**VIDEO, "status": word, "progress": 40})
        assert self.poll(server).status == status

    def test_progress(self, server: Server) -> None:
        server.answer(200, {**VIDEO, "status": "in_progress", "progress": 40.7})
        assert self.poll(server) == Progress("video_1", "in_progress", 40, 8, "1280x720")

    @pytest.mark.parametrize(("said", "model"), [("sora-2", "sora-2"), (None, None), (["sora-2"], None)])
    def test_the_model_if_it_says_one(self, server: Server, said: Any, model: str | None) -> None:
        server.answer(200, VIDEO | {"model": said})
        assert self.poll(server).model == model

    def test_a_failure_keeps_code_and_message_without_our_key(self, server: Server) -> None:
        error = {"code": "moderation_blocked", "message": f"Blocked ({KEY})"}
        server.answer(200, {**VIDEO, "status": "failed", "error": error})
        assert self.poll(server).error == ("moderation_blocked", "Blocked (***)")

    @pytest.mark.parametrize(
        "error",
        [
            {"code": "contentFilter", "message": "Filtered."},
            {"code": "content_policy_violation", "message": "No."},
            {"code": "internal_error", "message": "The output did not pass moderation."},
        ],
    )
    def test_moderation_is_called_so_whatever_it_is_called_there(self, server: Server, error: Any) -> None:
        server.answer(200, {**VIDEO, "status": "failed", "error": error})
        assert self.poll(server).error == ("moderation_blocked", error["message"])

    @pytest.mark.parametrize("error", [None, {}, "", 5, {"code": None, "message": None}])
    def test_a_failure_without_words_has_some(self, server: Server, error: Any) -> None:
        server.answer(200, {**VIDEO, "status": "failed", "error": error})
        code, message = self.poll(server).error or ("", "")
        assert code
        assert message

    def test_the_id_asked_for_stays(self, server: Server) -> None:
        server.answer(200, {**VIDEO, "id": "video_of_somebody_else"})
        assert self.poll(server).upstream_id == "video_1"

    def test_an_unknown_video(self, server: Server) -> None:
        server.answer(404, {"error": {"message": "no such video"}})
        with pytest.raises(Refused) as caught:
            self.poll(server)
        assert caught.value.reason is Reason.NOT_FOUND

    @pytest.mark.parametrize(
        ("upstream_id", "path"),
        [
            ("video_1", b"/v1/videos/video_1"),
            ("a/b", b"/v1/videos/a%2Fb"),
            ("../admin", b"/v1/videos/..%2Fadmin"),
            ("a?b=c#d", b"/v1/videos/a%3Fb%3Dc%23d"),
            ("a%2Fb", b"/v1/videos/a%252Fb"),
            ("a b+c;d", b"/v1/videos/a%20b%2Bc%3Bd"),
            ("é", b"/v1/videos/%C3%A9"),
            ("\\..\\", b"/v1/videos/%5C..%5C"),
        ],
    )
    def test_an_id_cannot_leave_its_place_in_the_path(self, server: Server, upstream_id: str, path: bytes) -> None:
        server.answer(200, VIDEO)
        self.poll(server, upstream_id)
        assert server.request.url.raw_path == path
        assert server.request.url.host == "provider.example"

    @pytest.mark.parametrize("upstream_id", ["", ".", "..", "..."])
    def test_an_id_that_would_be_a_path_is_not_asked_for(self, server: Server, upstream_id: str) -> None:
        with pytest.raises(Refused) as caught:
            self.poll(server, upstream_id)
        assert caught.value.reason is Reason.NOT_FOUND
        assert server.requests == []


class TestContent:
    def test_it_is_streamed(self, server: Server) -> None:
        server.answer(200, b"x" * 100_000, headers={"content-type": "video/mp4; codecs=avc1"})
        with OPENAI.open_content(server.account(), Progress("video_1", "completed")) as content:
            assert content.mime_type == "video/mp4"
            assert content.size == 100_000
            assert b"".join(content.chunks) == b"x" * 100_000
        assert server.request.url.path == "/v1/videos/video_1/content"
        assert server.request.headers["authorization"] == f"Bearer {KEY}"

    @pytest.mark.parametrize(
        ("status", "reason"), [(404, Reason.NOT_FOUND), (401, Reason.CREDENTIALS), (429, Reason.BUSY)]
    )
    def test_a_refusal(self, server: Server, status: int, reason: Reason) -> None:
        server.answer(status, {"error": {"message": "no"}})
        with (
            pytest.raises(Refused) as caught,
            OPENAI.open_content(server.account(), Progress("video_1", "completed")),
        ):
            pass
        assert caught.value.reason is reason

    def test_a_missing_length(self, server: Server) -> None:
        server.answers.append(httpx.Response(200, stream=_Chunks()))
        with OPENAI.open_content(server.account(), Progress("video_1", "completed")) as content:
            assert content.size is None
            assert b"".join(content.chunks) == b"ab"


class _Chunks(httpx.SyncByteStream):
    def __iter__(self) -> Any:
        yield from (b"a", b"b")


class TestCharacters:
    def test_make(self, server: Server) -> None:
        server.answer(200, {"id": "char_1", "name": "Luna", "created_at": 1})
        handle = OPENAI.make_character(server.account(), "Luna", media("clip.mov", "video/quicktime"), ())
        assert (handle.reference, handle.ready) == ("char_1", True)
        assert server.request.url.path == "/v1/videos/characters"
        video = server.body["video"]
        assert server.body["name"] == "Luna"
        assert (video.filename, video.content_type, bytes(video.data)) == ("clip.mov", "video/quicktime", b"bytes")

    def test_created_is_as_good_as_ok(self, server: Server) -> None:
        server.answer(201, {"id": "char_1"})
        assert OPENAI.make_character(server.account(), "Luna", media(), ()).reference == "char_1"

    @pytest.mark.parametrize("body", [{"id": None}, {"id": ""}, {"name": "Luna"}, []])
    def test_an_answer_without_an_id_is_unknown(self, server: Server, body: Any) -> None:
        server.answer(200, body)
        with pytest.raises(OutcomeUnknown):
            OPENAI.make_character(server.account(), "Luna", media(), ())


class TestFindCharacter:
    def find(self, server: Server, reference: str = "char_1") -> str:
        return OPENAI.find_character(server.account(), reference)

    def test_its_name(self, server: Server) -> None:
        server.answer(200, {"id": "char_1", "name": "Luna", "created_at": 1})
        assert self.find(server) == "Luna"
        assert (server.request.method, str(server.request.url)) == ("GET", f"{BASE}/videos/characters/char_1")
        assert server.request.headers["authorization"] == f"Bearer {KEY}"

    def test_an_id_is_quoted_whole(self, server: Server) -> None:
        server.answer(200, {"id": "x", "name": "Luna"})
        self.find(server, "a/b?c=d#e%2f")
        assert server.request.url.raw_path == b"/v1/videos/characters/a%2Fb%3Fc%3Dd%23e%252f"

    @pytest.mark.parametrize("name", [None, "", " ", "\n"])
    def test_one_without_a_name_is_called_by_its_id(self, server: Server, name: Any) -> None:
        server.answer(200, {"id": "char_1", "name": name})
        assert self.find(server) == "char_1"

    @pytest.mark.parametrize(
        ("status", "reason"), [(404, Reason.NOT_FOUND), (400, Reason.INVALID), (401, Reason.CREDENTIALS)]
    )
    def test_a_refusal(self, server: Server, status: int, reason: Reason) -> None:
        server.answer(status, {"error": {"message": "no"}})
        with pytest.raises(Refused) as refused:
            self.find(server)
        assert refused.value.reason is reason

    def test_a_server_without_characters_cannot_find_them(self) -> None:
        assert OPENAI.profile("sora-2", {}).characters.findable
        assert not OPENAI.profile("sora-2", {"characters": 0}).characters.findable


class TestDelete:
    @pytest.mark.parametrize("status", [200, 204, 404])
    def test_gone_is_gone(self, server: Server, status: int) -> None:
        server.answer(status, {"error": {"message": "Video with id 'video_1' not found."}} if status == 404 else {})
        OPENAI.delete(server.account(), "video_1")
        assert server.request.method == "DELETE"
        assert server.request.url.path == "/v1/videos/video_1"

    @pytest.mark.parametrize("status", [401, 409, 429])
    def test_a_refusal(self, server: Server, status: int) -> None:
        server.answer(status, {"error": {"message": "no"}})
        with pytest.raises(Refused):
            OPENAI.delete(server.account(), "video_1")


class TestProfile:
    def test_pro_has_more_sizes(self) -> None:
        assert "1792x1024" in OPENAI.profile("sora-2-pro-2025-10-06", {}).sizes
        assert OPENAI.profile("sora-2", {}).sizes == ("720x1280", "1280x720")

    def test_options_change_it(self) -> None:
        profile = OPENAI.profile(
            "x",
            {
                "seconds": [5, 10],
                "sizes": ["640x360"],
                "characters": 1,
                "edit": False,
                "remix": False,
                "extend_seconds": [],
                "prompt_characters": 100,
                "micro_dollars": {"": 5, "edit": {"": 7}},
                "kept_seconds": 90,
                "deadline_seconds": 60,
                "delete": False,
            },
        )
        assert (profile.seconds, profile.default_seconds) == ((5, 10), 5)
        assert (profile.sizes, profile.default_size) == (("640x360",), "640x360")
        assert profile.characters.most == 1
        assert not any((profile.edit, profile.edit_upload, profile.remix, profile.delete, profile.extend_upload))
        assert profile.extend_seconds == ()
        assert (profile.prompt_characters, profile.deadline_seconds, profile.kept_seconds) == (100, 60, 90)
        assert profile.prices == Prices({"": 5}, edit={"": 7})

    def test_no_characters(self) -> None:
        assert OPENAI.profile("x", {"characters": 0}).characters.most == 0

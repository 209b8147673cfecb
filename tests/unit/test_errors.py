"""The errors that a caller gets for every wrong request: status, code, field, and nothing internal."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes.stage import Reply, Stage, load
from tests.fakes.upstream import MP4, Upstream, lose, refuse
from understudy import errors
from understudy.api import videos
from understudy.errors import ApiError, OutcomeUnknown, Reason, Refused, from_refusal, from_unknown

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x02\xd0\x08\x02\0\0\0" + b"\0" * 50
VIDEO = ("video", ("clip.mp4", MP4, "video/mp4"))
NAME = ("name", "Luna")
Given = dict[str, Any]


def told(reply: Reply, status: int, code: str, param: str | None) -> None:
    """Check that the reply is this error, in words for a caller and without internal words."""
    error = reply.error
    assert (reply.status, error["code"], error["param"]) == (status, code, param), reply
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert 10 < len(error["message"]) < 700
    for ours in ("FilePart", "pydantic", "instance of", "Traceback", "dict", "NoneType", "understudy.", "validator"):
        assert ours not in error["message"], error["message"]
    assert reply.headers["x-request-id"] == "req-1"
    assert reply.headers["content-type"] == "application/json"


def form(*fields: Any) -> Given:
    return {"form": list(fields)}


def body(**fields: Any) -> Given:
    return {"json_body": fields}


CHARACTERS: dict[str, tuple[Given, int, str, str | None]] = {
    "no name": (form(VIDEO), 400, "missing_required_parameter", "name"),
    "empty name": (form(("name", ""), VIDEO), 400, "invalid_value", "name"),
    "blank name": (form(("name", " \t\n "), VIDEO), 400, "invalid_value", "name"),
    "81 characters": (form(("name", "x" * 81), VIDEO), 400, "invalid_value", "name"),
    "10 kB of name": (form(("name", "x" * 10_000), VIDEO), 400, "invalid_value", "name"),
    "a file as name": (form(("name", ("n.txt", b"Luna", "text/plain")), VIDEO), 400, "invalid_value", "name"),
    "a number as name": (body(name=5, video="video_x"), 400, "invalid_value", "name"),
    "two names": (form(NAME, NAME, VIDEO), 400, "duplicate_field", "name"),
    "no video": (form(NAME), 400, "missing_required_parameter", "video"),
    "an empty video": (form(NAME, ("video", ("v.mp4", b"", "video/mp4"))), 400, "invalid_value", "video"),
    "two videos": (form(NAME, VIDEO, VIDEO), 400, "duplicate_field", "video"),
    "text as video": (form(NAME, ("video", ("v.mp4", b"hello " * 50, "video/mp4"))), 400, "not_a_video", "video"),
    "a picture as video": (form(NAME, ("video", ("v.mp4", PNG, "video/mp4"))), 400, "not_a_video", "video"),
    "a number as video": (body(name="Luna", video=5), 400, "invalid_value", "video"),
    "a list as video": (body(name="Luna", video=["video_x"]), 400, "invalid_value", "video"),
    "an empty object as video": (body(name="Luna", video={}), 400, "invalid_value", "video"),
    "an empty id": (body(name="Luna", video={"id": ""}), 400, "invalid_value", "video.id"),
    "a number as id": (body(name="Luna", video={"id": 5}), 400, "invalid_value", "video.id"),
    "an unknown id": (body(name="Luna", video={"id": "video_x"}), 404, "video_not_found", None),
    "an unknown model": (form(NAME, VIDEO, ("model", "dall-e")), 404, "model_not_found", "model"),
    "another unknown model": (form(NAME, VIDEO, ("target_model_names", "x,y")), 404, "model_not_found", "model"),
    "a provider that is not there": (
        form(NAME, VIDEO, ("custom_llm_provider", "gemini")),
        400,
        "invalid_value",
        "custom_llm_provider",
    ),
    "a field that is none": (form(NAME, VIDEO, ("voice", "x")), 400, "unknown_parameter", "voice"),
    "no body": ({}, 400, "missing_required_parameter", "name"),
}
VIDEOS: dict[str, tuple[Given, int, str, str | None]] = {
    "no body": ({}, 400, "missing_required_parameter", "prompt"),
    "no prompt": (body(model="sora-2"), 400, "missing_required_parameter", "prompt"),
    "an empty prompt": (body(prompt=""), 400, "invalid_value", "prompt"),
    "an endless prompt": (body(prompt="x" * 32_001), 400, "invalid_value", "prompt"),
    "a number as prompt": (body(prompt=5), 400, "invalid_value", "prompt"),
    "null as prompt": (body(prompt=None), 400, "invalid_value", "prompt"),
    "malformed JSON": (
        {"raw": b'{"prompt": "x"', "headers": {"content-type": "application/json"}},
        400,
        "malformed_json",
        None,
    ),
    "a list": ({"raw": b"[1]", "headers": {"content-type": "application/json"}}, 400, "malformed_json", None),
    "no UTF-8": (
        {"raw": b'{"prompt": "\xff"}', "headers": {"content-type": "application/json"}},
        400,
        "malformed_text",
        None,
    ),
    "JSON called text": (
        {"raw": b'{"prompt": "x"}', "headers": {"content-type": "text/plain"}},
        415,
        "unsupported_media_type",
        None,
    ),
    "another charset": (
        {"raw": b"{}", "headers": {"content-type": "application/json; charset=latin-1"}},
        415,
        "unsupported_charset",
        None,
    ),
    "no boundary": (
        {"raw": b"x", "headers": {"content-type": "multipart/form-data"}},
        400,
        "malformed_multipart",
        None,
    ),
    "too many parts": (form(*[(f"f{n}", "x") for n in range(65)]), 413, "too_many_fields", None),
    "too many fields": (
        {"raw": b"a=b&" * 300, "headers": {"content-type": "application/x-www-form-urlencoded"}},
        413,
        "too_many_fields",
        None,
    ),
    "seconds=banana": (body(prompt="x", seconds="banana"), 400, "invalid_value", "seconds"),
    "a part of a second": (body(prompt="x", seconds=4.5), 400, "invalid_value", "seconds"),
    "true seconds": (body(prompt="x", seconds=True), 400, "invalid_value", "seconds"),
    "no seconds at all": (body(prompt="x", seconds=""), 400, "invalid_value", "seconds"),
    "no time": (body(prompt="x", seconds="0"), 400, "invalid_value", "seconds"),
    "less than no time": (body(prompt="x", seconds=-4), 400, "invalid_value", "seconds"),
    "other digits": (body(prompt="x", seconds="٤"), 400, "invalid_value", "seconds"),
    "a list of seconds": (body(prompt="x", seconds=["4"]), 400, "invalid_value", "seconds"),
    "seconds that nobody makes": (body(prompt="x", seconds="7"), 400, "invalid_value", "seconds"),
    "an endless video": (body(prompt="x", seconds="99999"), 400, "invalid_value", "seconds"),
    "a size of words": (body(prompt="x", size="large"), 400, "invalid_value", "size"),
    "no size": (body(prompt="x", size="0x0"), 400, "invalid_value", "size"),
    "a size that nobody makes": (body(prompt="x", size="9999x9999"), 400, "invalid_value", "size"),
    "an unknown model": (body(prompt="x", model="dall-e"), 404, "model_not_found", "model"),
    "an endless model": (body(prompt="x", model="x" * 300), 400, "invalid_value", "model"),
    "no model's name": (body(prompt="x", model=""), 400, "invalid_value", "model"),
    "a number as model": (body(prompt="x", model=5), 400, "invalid_value", "model"),
    "a provider against the model": (
        body(prompt="x", model="sora-2", custom_llm_provider="azure"),
        400,
        "invalid_value",
        "custom_llm_provider",
    ),
    "a misspelt field": (body(prompt="x", second="8"), 400, "unknown_parameter", "second"),
    "a host of the caller's": (body(prompt="x", api_base="https://evil.example"), 400, "unknown_parameter", "api_base"),
    "an owner of the caller's": (body(prompt="x", team="red"), 400, "unknown_parameter", "team"),
    "text as characters": (form(("prompt", "x"), ("characters", "Luna")), 400, "invalid_value", "characters"),
    "a number among characters": (body(prompt="x", characters=[5]), 400, "invalid_value", "characters[0]"),
    "a character without an id": (
        body(prompt="x", characters=[{}]),
        400,
        "missing_required_parameter",
        "characters[0].id",
    ),
    "a character with more": (
        body(prompt="x", characters=[{"id": "character_x", "name": "L"}]),
        400,
        "unknown_parameter",
        "characters[0].name",
    ),
    "a character that is not there": (body(prompt="x", characters=["character_x"]), 404, "character_not_found", None),
    "a video as character": (body(prompt="x", characters=["video_x"]), 404, "character_not_found", None),
    "an empty id": (body(prompt="x", characters=[""]), 400, "invalid_value", "characters[0].id"),
    "a cast of thousands": (body(prompt="x", characters=["a"] * 21), 400, "invalid_value", "characters"),
    "a number as image": (body(prompt="x", input_reference=5), 400, "invalid_value", "input_reference"),
    "an empty object as image": (body(prompt="x", input_reference={}), 400, "invalid_value", "input_reference"),
    "two ways of an image": (
        body(prompt="x", input_reference={"image_url": "https://a/b", "file_id": "f"}),
        400,
        "invalid_value",
        "input_reference",
    ),
    "an image by file id": (
        body(prompt="x", input_reference={"file_id": "file-1"}),
        400,
        "unsupported_parameter",
        "input_reference.file_id",
    ),
    "an image by http": (
        body(prompt="x", input_reference="http://a.example/b.png"),
        400,
        "invalid_value",
        "input_reference.image_url",
    ),
    "an image by path": (
        body(prompt="x", input_reference="file:///etc/passwd"),
        400,
        "invalid_value",
        "input_reference.image_url",
    ),
    "no base64": (
        body(prompt="x", input_reference="data:image/png;base64,???"),
        400,
        "invalid_value",
        "input_reference.image_url",
    ),
    "no data in a data URL": (
        body(prompt="x", input_reference="data:image/png"),
        400,
        "invalid_value",
        "input_reference.image_url",
    ),
    "text as image": (
        body(prompt="x", input_reference="data:image/png;base64,aGVsbG8="),
        400,
        "invalid_value",
        "input_reference",
    ),
    "a video as image": (
        form(("prompt", "x"), ("input_reference", ("i.png", MP4, "image/png"))),
        400,
        "invalid_value",
        "input_reference",
    ),
    "an empty image": (
        form(("prompt", "x"), ("input_reference", ("i.png", b"", "image/png"))),
        400,
        "invalid_value",
        "input_reference",
    ),
}
REMAKES: dict[str, tuple[str, Given, int, str, str | None]] = {
    "an edit of nothing": ("edit_video", body(prompt="x"), 400, "missing_required_parameter", "video"),
    "an edit without words": ("edit_video", body(video="video_x"), 400, "missing_required_parameter", "prompt"),
    "an edit of an unknown video": ("edit_video", body(prompt="x", video="video_x"), 404, "video_not_found", None),
    "an edit of a character": ("edit_video", body(prompt="x", video="character_x"), 404, "video_not_found", None),
    "an edit with a size": (
        "edit_video",
        body(prompt="x", video="video_x", size="1280x720"),
        400,
        "unknown_parameter",
        "size",
    ),
    "an edit of text": (
        "edit_video",
        form(("prompt", "x"), ("video", ("v.mp4", b"text", "video/mp4"))),
        400,
        "not_a_video",
        "video",
    ),
    "an edit of an empty file": (
        "edit_video",
        form(("prompt", "x"), ("video", ("v", b"", "video/mp4"))),
        400,
        "invalid_value",
        "video",
    ),
    "an endless extension": (
        "extend_video",
        form(("prompt", "x"), VIDEO, ("seconds", "21")),
        400,
        "invalid_value",
        "seconds",
    ),
    "an extension without seconds": (
        "extend_video",
        body(prompt="x", video="video_x"),
        400,
        "missing_required_parameter",
        "seconds",
    ),
    "an extension with characters": (
        "extend_video",
        body(prompt="x", video="video_x", seconds="4", characters=[]),
        400,
        "unknown_parameter",
        "characters",
    ),
}


class TestRequests:
    """Errors that are answered before anything is stored, sent or paid for."""

    @pytest.mark.parametrize("case", CHARACTERS)
    def test_characters(self, stage: Stage, upstream: Upstream, case: str) -> None:
        given, *expected = CHARACTERS[case]
        told(stage.call("create_character", **given), *expected)
        assert upstream.heard == []
        assert stage.call("list_characters").body["data"] == []

    @pytest.mark.parametrize("case", VIDEOS)
    def test_videos(self, stage: Stage, upstream: Upstream, case: str) -> None:
        given, *expected = VIDEOS[case]
        told(stage.call("create_video", **given), *expected)
        assert upstream.heard == []
        assert stage.listed() == []
        assert stage.executions.started == []

    @pytest.mark.parametrize("case", REMAKES)
    def test_remakes(self, stage: Stage, upstream: Upstream, case: str) -> None:
        function, given, *expected = REMAKES[case]
        told(stage.call(function, **given), *expected)
        assert upstream.heard == []
        assert stage.listed() == []

    @pytest.mark.parametrize(
        ("given", "code", "param"),
        [
            ({}, "missing_required_parameter", "prompt"),
            (body(prompt="x", characters=[]), "unknown_parameter", "characters"),
            (body(prompt="x", seconds="4"), "unknown_parameter", "seconds"),
        ],
    )
    def test_remix(self, stage: Stage, upstream: Upstream, given: Given, code: str, param: str) -> None:
        told(stage.call("remix_video", path={"video_id": "video_x"}, **given), 400, code, param)

    @pytest.mark.parametrize(
        "query", [{"limit": "101"}, {"limit": "-1"}, {"limit": "x"}, {"limit": "1.5"}, {"limit": ""}]
    )
    @pytest.mark.parametrize("function", ["list_videos", "list_characters"])
    def test_limit(self, stage: Stage, function: str, query: dict[str, str]) -> None:
        told(stage.call(function, query=query), 400, "invalid_value", "limit")

    @pytest.mark.parametrize("function", ["list_videos", "list_characters"])
    def test_order_and_after(self, stage: Stage, function: str) -> None:
        told(stage.call(function, query={"order": "newest"}), 400, "invalid_value", "order")
        kind = function.removeprefix("list_").removesuffix("s")
        told(stage.call(function, query={"after": f"{kind}_x"}), 404, f"{kind}_not_found", None)

    @pytest.mark.parametrize("variant", ["audio", "", "Video", "../video"])
    def test_variant(self, stage: Stage, variant: str) -> None:
        reply = stage.call("get_content", path={"video_id": "video_x"}, query={"variant": variant})
        told(reply, 400, "invalid_value", "variant")

    @pytest.mark.parametrize("name", ["timeout", "user", "metadata", "extra_body", "extra_headers", "extra_query"])
    def test_what_clients_add_on_their_own_is_dropped(self, stage: Stage, upstream: Upstream, name: str) -> None:
        assert stage.create(**{name: "5"}).status == 200
        assert name not in upstream.submits()[0].body


ROUTES: list[tuple[str, str, Callable[[str], Given]]] = [
    ("get_video", "video", lambda one: {"path": {"video_id": one}}),
    ("get_content", "video", lambda one: {"path": {"video_id": one}}),
    ("delete_video", "video", lambda one: {"path": {"video_id": one}}),
    ("remix_video", "video", lambda one: {"path": {"video_id": one}, "json_body": {"prompt": "x"}}),
    ("edit_video", "video", lambda one: {"json_body": {"prompt": "x", "video": {"id": one}}}),
    ("extend_video", "video", lambda one: {"json_body": {"prompt": "x", "video": {"id": one}, "seconds": "4"}}),
    ("create_character", "video", lambda one: {"json_body": {"name": "x", "video": {"id": one}}}),
    ("list_videos", "video", lambda one: {"query": {"after": one}}),
    ("get_character", "character", lambda one: {"path": {"character_id": one}}),
    ("delete_character", "character", lambda one: {"path": {"character_id": one}}),
    ("create_video", "character", lambda one: {"json_body": {"prompt": "x", "characters": [{"id": one}]}}),
    ("list_characters", "character", lambda one: {"query": {"after": one}}),
]


@pytest.mark.parametrize(("function", "kind", "call"), ROUTES, ids=[f"{route[0]}-{route[1]}" for route in ROUTES])
def test_an_id_that_does_not_lead_to_something_of_the_callers(
    stage: Stage, upstream: Upstream, function: str, kind: str, call: Callable[[str], Given]
) -> None:
    """An unknown, tampered, deleted, foreign or other kind of id gets exactly the same answer."""
    upstream.instant = True
    mine = {"video": str(stage.create().body["id"]), "character": stage.character()}
    stage.run()
    assert stage.call(function, **call(mine[kind])).status in {200, 302}
    blue = stage.caller
    stage.sign_in("red")
    foreign = {"video": str(stage.create().body["id"]), "character": stage.character()}
    stage.run()
    gone = stage.character() if kind == "character" else str(stage.create("gone").body["id"])
    stage.run()
    stage.call(f"delete_{kind}", path={f"{kind}_id": gone})
    foreign_gone, stage.caller = gone, blue
    other = mine["character" if kind == "video" else "video"]
    tampered = foreign[kind][:-1] + ("A" if foreign[kind][-1] != "A" else "B")
    upstream.heard.clear()
    replies = [
        stage.call(function, **call(one))
        for one in (
            f"{kind}_unknown",
            foreign[kind],
            foreign_gone,
            tampered,
            other,
            "x",
            f"{kind}_",
            "..",
            "char_abc123",
            foreign[kind] + "=",
            foreign[kind] + "%00",
            foreign[kind].upper(),
            "😀",
            "video_123",
            "a" * 1000,
        )
    ]
    for reply in replies:
        told(reply, 404, f"{kind}_not_found", None)
        assert reply.body == replies[0].body
        assert reply.headers == replies[0].headers
    assert upstream.heard == []


class TestStates:
    def test_a_video_that_runs(self, stage: Stage, upstream: Upstream) -> None:
        path = {"video_id": stage.create().body["id"]}
        told(stage.call("get_content", path=path), 400, "video_not_ready", "video_id")
        told(stage.call("delete_video", path=path), 400, "video_not_ready", "video_id")
        character = {"name": "Luna", "video": {"id": path["video_id"]}}
        told(stage.call("create_character", json_body=character), 400, "video_not_ready", "video")

    def test_a_video_that_failed(self, stage: Stage, upstream: Upstream) -> None:
        path = {"video_id": stage.create().body["id"]}
        upstream.finish("failed", error={"code": "moderation_blocked", "message": "no"})
        stage.run()
        told(stage.call("get_content", path=path), 400, "video_failed", "video_id")
        told(stage.call("remix_video", path=path, json_body={"prompt": "x"}), 400, "video_failed", "video_id")
        assert stage.call("delete_video", path=path).status == 200


class TestProviders:
    """The callers' errors for a provider's answers.

    All cases of payment are in jobs/test_idempotency.py and jobs/test_submission.py.
    """

    def test_moderation_keeps_its_words_and_not_our_key(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(refuse(400, "moderation_blocked", "Against the rules, key-c says."))
        reply = stage.create(model="solo")
        told(reply, 400, "moderation_blocked", None)
        assert reply.error["message"] == "Against the rules, *** says."

    def test_param_and_code_are_kept(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(
            lambda request: httpx.Response(
                400, json={"error": {"message": "size is off today", "param": "size", "code": "bad_size"}}
            )
        )
        told(stage.create(model="solo"), 400, "bad_size", "size")

    def test_a_401_is_ours_to_fix(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script += [refuse(401, "invalid_api_key", "Incorrect API key provided: key-c")] * 2
        reply = stage.create(model="solo")
        told(reply, 502, "provider_credentials", None)
        assert reply.headers["x-should-retry"] == "false"
        assert "key-c" not in json.dumps(reply.body)
        assert "Incorrect" not in json.dumps(reply.body)

    def test_a_rate_limit(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(refuse(429))
        reply = stage.create(model="solo")
        assert (reply.status, reply.error["code"], reply.error["type"]) == (
            429,
            "rate_limit_exceeded",
            "rate_limit_error",
        )
        assert reply.headers["retry-after"] == "7"

    def test_a_timeout(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(lose())
        told(stage.create(model="solo"), 504, "outcome_unknown", None)


class TestOurs:
    """Internal errors, which must not happen."""

    @pytest.mark.parametrize("error", [RuntimeError("secret of ours"), KeyError("x"), RecursionError()])
    def test_an_unexpected_error_tells_nothing(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*given: Any) -> Any:
            raise error

        monkeypatch.setattr(videos, "create", fail)
        reply = stage.create()
        told(reply, 500, "internal_error", None)
        assert "secret" not in json.dumps(reply.body)
        assert reply.headers["x-should-retry"] == "false"

    def test_reading_again_is_free(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        from understudy.jobs.job import Job

        monkeypatch.setattr(Job, "page", lambda *given, **how: 1 / 0)
        reply = stage.call("list_videos")
        told(reply, 500, "internal_error", None)
        assert "x-should-retry" not in reply.headers

    @pytest.mark.parametrize("authorizer", [None, {}, {"team": "blue"}, {"team": "", "key_id": "k"}, {"key_id": "k"}])
    def test_nobody_gets_past_without_an_authorizer(self, stage: Stage, authorizer: Any) -> None:
        event = {
            "resource": "/videos",
            "path": "/videos",
            "httpMethod": "GET",
            "headers": {},
            "requestContext": {"requestId": "req-1", "authorizer": authorizer},
        }
        from tests.fakes.stage import Context

        answer = load("list_videos").handler(event, Context())
        assert answer["statusCode"] == 401
        assert json.loads(answer["body"])["error"]["code"] == "invalid_api_key"

    def test_answers_are_nobody_elses_to_keep(self, stage: Stage, upstream: Upstream) -> None:
        for reply in (stage.create(), stage.call("list_videos"), stage.create(seconds="banana")):
            assert reply.headers["cache-control"] == "private, no-store"
            assert reply.headers["x-request-id"] == "req-1"

    def test_answers_say_nothing_of_the_provider(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        for reply in (stage.create(), stage.call("list_models"), stage.create(model="nobody")):
            told_all = json.dumps([reply.body, reply.headers])
            assert "example" not in told_all
            assert "key-" not in told_all


class TestTree:
    def test_every_error_of_the_tree_is_complete(self) -> None:
        kinds = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, ApiError)]
        for kind in kinds:
            error = kind("Message.")
            assert set(error.envelope()["error"]) == {"message", "type", "param", "code"}
            assert error.code
            assert kind.status == 500 or kind is not ApiError
        assert len({kind.status for kind in kinds}) == 11

    @pytest.mark.parametrize("reason", Reason)
    def test_every_refusal_has_an_answer(self, reason: Reason) -> None:
        error = from_refusal(Refused(reason, "The provider's words, with sk-123", retry_after="5"))
        assert error.message
        assert error.code
        if reason not in {Reason.MODERATION, Reason.INVALID}:
            assert "sk-123" not in error.message
        if error.status in {401, 403}:
            pytest.fail("a provider's refusal of us is no refusal of the caller")

    @pytest.mark.parametrize(("timed_out", "status"), [(True, 504), (False, 502)])
    def test_an_unknown_outcome(self, timed_out: bool, status: int) -> None:
        error = from_unknown(OutcomeUnknown("sk-123", timed_out=timed_out))
        assert (error.status, error.code, error.headers) == (status, "outcome_unknown", {"x-should-retry": "false"})
        assert "sk-123" not in error.message

    def test_headers_of_one_error_are_not_another_ones(self) -> None:
        first = errors.Conflict("a")
        first.headers["x"] = "y"
        assert errors.Conflict("b").headers == {"x-should-retry": "false"}

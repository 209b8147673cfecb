"""Errors as a caller of the deployed gateway sees them: status, code, param, envelope, headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.simulators.process import Simulator
from tests.integration.live import Api, Heard, Stack, answered, refused

MEGABYTE = 1024 * 1024
CHARACTERS, VIDEOS = "/videos/characters", "/videos"
FILE = ("luna.mp4", b"\0\0\0\x20ftypisom" + b"\0" * 64, "video/mp4")
TEXT = ("luna.mp4", b"I am no video, whatever I am called", "video/mp4")
FAR_BACK = "video_AQ" + "A" * 120


@pytest.fixture
def fault(upstream: Simulator) -> Iterator[Simulator]:
    """The control of the simulator; the faults that a test ordered are removed after the test."""
    yield upstream
    upstream.clear_faults()


class TestTheGateway:
    """Refusals that the gateway answers itself, before any HTTP function of ours runs."""

    def test_no_key(self, base_url: str) -> None:
        error = refused(httpx.get(f"{base_url}/models"), 401, "invalid_api_key")
        assert "Authorization: Bearer" in error["message"]

    @pytest.mark.parametrize("header", ["Bearer us-wrong", "Bearer sk-other", "Basic dTpw"])
    def test_a_wrong_key(self, base_url: str, header: str) -> None:
        refused(httpx.get(f"{base_url}/models", headers={"authorization": header}), 401, "invalid_api_key")

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "/nothing"), ("PUT", "/videos"), ("GET", "/chat/completions")]
    )
    def test_an_unknown_route(self, api: Api, method: str, path: str) -> None:
        refused(api.http.request(method, path), 404, "unknown_url")

    @pytest.mark.parametrize("size", [11 * MEGABYTE, 5 * MEGABYTE], ids=["over API Gateway's", "over Lambda's"])
    def test_a_body_that_is_too_large_is_told_where_to_go(self, api: Api, size: int) -> None:
        files = {"video": ("luna.mp4", b"\0" * size, "video/mp4")}
        error = refused(api.post(CHARACTERS, data={"name": "Luna"}, files=files), 413, "request_too_large")
        assert "/v1/videos/uploads" in error["message"]

    def test_a_body_just_below_the_limit_gets_through(self, api: Api) -> None:
        files = {"video": ("luna.mp4", b"\0" * int(4.4 * MEGABYTE), "video/mp4")}
        refused(api.post(CHARACTERS, data={"name": "Luna"}, files=files), 400, "not_a_video", "video")


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "media_type"),
        [
            ('{"prompt": ', "application/json"),
            ("[1, 2]", "application/json"),
            ("--x\r\nno form", "multipart/form-data; boundary=x"),
            ("", "application/json"),
        ],
        ids=["cut JSON", "a list", "cut form", "nothing"],
    )
    def test_malformed(self, api: Api, body: str, media_type: str) -> None:
        answer = api.post(VIDEOS, content=body.encode(), headers={"content-type": media_type})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.headers["x-request-id"]

    def test_another_media_type(self, api: Api) -> None:
        answer = api.post(VIDEOS, content=b"<video/>", headers={"content-type": "application/xml"})
        refused(answer, 415, "unsupported_media_type")

    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            ({}, "missing_required_parameter", "prompt"),
            ({"prompt": 7}, "invalid_value", "prompt"),
            ({"prompt": ""}, "invalid_value", "prompt"),
            ({"prompt": "x", "seconds": "banana"}, "invalid_value", "seconds"),
            ({"prompt": "x", "seconds": "7"}, "invalid_value", "seconds"),
            ({"prompt": "x", "size": "banana"}, "invalid_value", "size"),
            ({"prompt": "x", "size": "4096x4096"}, "invalid_value", "size"),
            ({"prompt": "x", "second": "8"}, "unknown_parameter", "second"),
            ({"prompt": "x", "characters": [{"name": "Luna"}]}, "missing_required_parameter", "characters[0].id"),
            ({"prompt": "x", "custom_llm_provider": "gemini"}, "invalid_value", "custom_llm_provider"),
        ],
    )
    def test_a_field_that_is_wrong_is_named(self, api: Api, body: Any, code: str, param: str) -> None:
        refused(api.post(VIDEOS, body), 400, code, param)

    def test_an_unknown_model_is_told_the_known_ones(self, api: Api) -> None:
        error = refused(api.post(VIDEOS, {"prompt": "x", "model": "sora-9"}), 404, "model_not_found", "model")
        assert "sora-2" in error["message"]


class TestCharacters:
    @pytest.mark.parametrize(
        ("form", "code", "param"),
        [
            ([("video", FILE)], "missing_required_parameter", "name"),
            ([("name", (None, "")), ("video", FILE)], "invalid_value", "name"),
            ([("name", (None, "  ")), ("video", FILE)], "invalid_value", "name"),
            ([("name", (None, "L" * 81)), ("video", FILE)], "invalid_value", "name"),
            ([("name", (None, "Luna"))], "missing_required_parameter", "video"),
            ([("name", (None, "Luna")), ("video", ("luna.mp4", b"", "video/mp4"))], "invalid_value", "video"),
            ([("name", (None, "Luna")), ("video", TEXT)], "not_a_video", "video"),
        ],
        ids=["no name", "empty", "blank", "long", "no video", "empty video", "no real video"],
    )
    def test_name_and_video(self, api: Api, form: Any, code: str, param: str) -> None:
        refused(api.post(CHARACTERS, files=form), 400, code, param)

    def test_two_videos(self, api: Api) -> None:
        answer = api.post(CHARACTERS, files=[("name", (None, "Luna")), ("video", FILE), ("video", FILE)])
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "video")

    def test_a_video_that_only_looks_like_one(self, api: Api) -> None:
        answer = api.post(CHARACTERS, files=[("name", (None, "Luna")), ("video", FILE)])
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "video")


class TestIds:
    """An unknown, a tampered and another team's id get the same answer."""

    def test_of_characters(self, api: Api, others: Api, luna: str) -> None:
        flipped = luna[:30] + ("A" if luna[30] != "A" else "B") + luna[31:]
        bad = [flipped, luna + "A", luna[:-1], "character_", "char_abc123", luna.replace("character_", "video_")]
        answers = [api.get(f"{CHARACTERS}/{one}") for one in bad] + [others.get(f"{CHARACTERS}/{luna}")]
        errors = {json.dumps(refused(answer, 404, "character_not_found")) for answer in answers}
        assert len(errors) == 1
        for caller, one in ((api, flipped), (others, luna)):
            answer = caller.post(VIDEOS, {"prompt": "x", "characters": [{"id": one}]})
            refused(answer, 404, "character_not_found")

    def test_of_videos(self, api: Api, others: Api, movie: str) -> None:
        flipped = movie[:30] + ("A" if movie[30] != "A" else "B") + movie[31:]
        for caller, one in ((api, flipped), (api, FAR_BACK), (api, "video_xyz789"), (others, movie)):
            refused(caller.get(f"{VIDEOS}/{one}"), 404, "video_not_found")
            refused(caller.get(f"{VIDEOS}/{one}/content"), 404, "video_not_found")
            refused(caller.delete(f"{VIDEOS}/{one}"), 404, "video_not_found")
            refused(caller.post(f"{VIDEOS}/{one}/remix", {"prompt": "x"}), 404, "video_not_found")
            source = {"prompt": "x", "video": {"id": one}}
            refused(caller.post(f"{VIDEOS}/edits", source), 404, "video_not_found")
            refused(caller.post(f"{VIDEOS}/extensions", {**source, "seconds": "4"}), 404, "video_not_found")

    @pytest.mark.parametrize("odd", ["..", "%00", "a%2Fb", "%2e%2e%2fmodels", "video_%F0%9F%98%80"])
    def test_with_odd_characters(self, api: Api, odd: str) -> None:
        assert api.get(f"{VIDEOS}/x{odd}").status_code == 404

    def test_a_list_shows_nothing_of_others(self, others: Api, movie: str) -> None:
        assert movie not in others.get(VIDEOS, params={"limit": 100}).text
        refused(others.get(VIDEOS, params={"after": movie}), 404, "video_not_found")


def test_an_unfinished_video_has_no_content_and_is_waited_for(api: Api) -> None:
    video = api.video(model="unhurried")["id"]
    source = {"prompt": "x", "video": {"id": video}}
    assert api.make(f"{VIDEOS}/edits", **source)["status"] == "queued"
    extension = api.make(f"{VIDEOS}/extensions", **source, seconds="4")
    for answer, param in (
        (api.get(f"{VIDEOS}/{video}/content"), "video_id"),
        (api.post(f"{VIDEOS}/characters", {"name": "Luna", "video": {"id": video}}), "video"),
        (api.post(f"{VIDEOS}/edits", {**source, "video": {"id": extension["id"]}}), "video"),  # how long will it be?
    ):
        error = refused(answer, 400, "video_not_ready", param)
        assert "queued" in error["message"]
    refused(api.delete(f"{VIDEOS}/{video}"), 400, "video_not_ready", "video_id")


class TestTheProvider:
    """Refusals of the provider; the model has one deployment, so there is no failover."""

    def test_moderation_keeps_its_message(self, api: Api, upstream: Simulator) -> None:
        heard = Heard(upstream, "faulty")
        error = refused(
            api.post(VIDEOS, {"prompt": "a forbidden thing", "model": "faulty"}), 400, "moderation_blocked", "prompt"
        )
        assert error["message"] == "Your request was blocked by the moderation system."
        assert heard.count("create_video") == 1

    @pytest.mark.parametrize(
        ("word", "code"), [("refused-later", "moderation_blocked"), ("fails-later", "internal_error")]
    )
    def test_a_job_that_fails_later_says_why(self, api: Api, word: str, code: str) -> None:
        video = api.wait(api.video(prompt=f"something that {word}", model="faulty")["id"], "failed")
        assert video["error"]["code"] == code
        assert video["error"]["message"]
        refused(api.get(f"{VIDEOS}/{video['id']}/content"), 400, "video_failed", "video_id")

    def test_its_401_is_not_the_callers(self, api: Api, upstream: Simulator) -> None:
        upstream.revoke(account="faulty")
        try:
            answer = api.post(VIDEOS, {"prompt": "x", "model": "faulty"})
        finally:
            upstream.revoke(account="faulty", restore=True)
        error = refused(answer, 502, "provider_credentials")
        assert answer.headers["x-should-retry"] == "false"
        assert "sim-" not in error["message"]

    def test_a_key_that_is_not_there(self, api: Api) -> None:
        answer = api.post(VIDEOS, {"prompt": "x", "model": "keyless"})
        refused(answer, 502, "provider_credentials")
        assert answer.headers["x-should-retry"] == "false"

    def test_its_429_keeps_retry_after(self, api: Api, fault: Simulator) -> None:
        fault.fault(
            account="faulty",
            method="POST",
            action="answer",
            status=429,
            headers={"retry-after": "7"},
            body={"error": {"message": "slow down", "type": "x", "param": None, "code": "rate_limit_exceeded"}},
        )
        answer = api.post(VIDEOS, {"prompt": "x", "model": "faulty"})
        refused(answer, 429, "rate_limit_exceeded")
        assert answer.headers["retry-after"] == "7"
        assert answer.headers.get("x-should-retry") != "false"  # nothing was made

    def test_nobody_there(self, api: Api) -> None:
        answer = api.post(VIDEOS, {"prompt": "x", "model": "absent"})
        refused(answer, 503, "provider_unavailable")
        assert answer.headers.get("x-should-retry") != "false"

    def test_its_500_may_have_made_one(self, api: Api, fault: Simulator) -> None:
        fault.fault(
            account="faulty", method="POST", when="after", action="answer", status=500, body="broken sim-faulty"
        )
        answer = api.post(VIDEOS, {"prompt": "x", "model": "faulty"})
        error = refused(answer, 502, "outcome_unknown")
        assert answer.headers["x-should-retry"] == "false"
        assert "sim-faulty" not in error["message"]

    def test_a_model_that_is_gone(self, api: Api, upstream: Simulator) -> None:
        upstream.settings(retired=["sora-2-pro"])
        try:
            answer = api.post(VIDEOS, {"prompt": "x", "model": "sora-2-pro"})
        finally:
            upstream.settings(retired=[])
        refused(answer, 502, "provider_model_gone")


def test_every_answer_has_a_request_id_that_finds_its_log_line(api: Api, stack: Stack) -> None:
    answer = api.get(f"{VIDEOS}/video_none")
    request_id = refused(answer, 404, "video_not_found") and answer.headers["x-request-id"]
    events = stack.settings.client("logs").filter_log_events(
        logGroupName=stack.outputs["LogGroupName"], filterPattern=f'"{request_id}"'
    )["events"]
    assert [event for event in events if "video_not_found" in event["message"]], events


def test_models_are_listed(api: Api) -> None:
    models = {model["id"]: model for model in answered(api.get("/models"))["data"]}
    assert {"sora-2", "sora-2-pro", "wan-2.2", "azure-sora"} <= set(models)


def test_nothing_leaks_into_the_headers(api: Api, stack: Stack, movie: str) -> None:
    answer = api.get(f"{VIDEOS}/{movie}")
    text = json.dumps(dict(answer.headers)).lower()
    assert "sim-" not in text
    assert f":{stack.settings.port + 2}" not in text

"""The calls of the sealed functions: which errors are the caller's fault, and which are ours."""

from __future__ import annotations

import io
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError

from understudy.errors import ApiError, InvalidRequest
from understudy.files import clips
from understudy.settings import settings
from understudy.store import functions

FACTS = {
    "ok": True,
    "mime_type": "video/mp4",
    "bytes": 5,
    "duration": 2.9996,
    "width": 1280,
    "height": 720,
    "stills": [{"key": "media/s.jpg", "width": 640, "height": 360, "seconds": 0.5, "bytes": 7}],
}


class Lambda:
    """A client that gives a prepared answer, after failures, and records the calls."""

    def __init__(self, answer: Any, *, error: str | None = None, first: tuple[Exception, ...] = ()) -> None:
        self.answer, self.error, self.asked = answer, error, list[tuple[str, Any]]()
        self.failures = [*first]
        self.patience: list[int] = []

    def waiting(self, seconds: int) -> Lambda:
        self.patience.append(seconds)
        return self

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        self.asked.append((FunctionName, json.loads(Payload)))
        if self.failures:
            raise self.failures.pop(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        answer = {"Payload": io.BytesIO(json.dumps(self.answer).encode())}
        return answer | ({"FunctionError": self.error} if self.error else {})


@pytest.fixture(autouse=True)
def named_functions(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("INSPECT_FUNCTION", "inspect")
    monkeypatch.setenv("STITCH_FUNCTION", "stitch")
    settings.cache_clear()
    yield
    settings.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, answer: Any, **how: Any) -> Lambda:
    function = Lambda(answer, **how)
    monkeypatch.setattr(functions, "lambda_", function.waiting)
    return function


def soon(seconds: float = 60) -> float:
    """Return a deadline."""
    return time.monotonic() + seconds


def test_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    function = install(monkeypatch, FACTS)
    found = clips.inspect("media/c", soon(), stills_prefix="media/p/", stills=1)
    assert (found.milliseconds, found.byte_count, found.mime_type) == (3000, 5, "video/mp4")
    assert found.stills == [{"key": "media/s.jpg", "width": 640, "height": 360, "bytes": 7}]
    assert function.asked == [("inspect", {"key": "media/c", "stills_prefix": "media/p/", "stills": 1})]


def test_previews_and_trim(monkeypatch: pytest.MonkeyPatch) -> None:
    function = install(monkeypatch, FACTS)
    assert clips.previews("media/v/video.mp4", "media/v/", soon())["duration"] == 2.9996
    clips.trim("media/c", "media/t.mp4", 5, soon())
    names = [(name, event["task"]) for name, event in function.asked]
    assert names == [("stitch", "previews"), ("stitch", "trim")]
    assert function.asked[0][1]["thumbnail_key"] == "media/v/thumbnail.webp"


@pytest.mark.parametrize("code", ["not_a_video", "unreadable", "no_video_stream", "too_long", "too_large", "timed_out"])
def test_a_clip_that_cannot_be_used_is_the_callers(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    install(monkeypatch, {"ok": False, "code": code, "message": "Send another."})
    with pytest.raises(InvalidRequest) as caught:
        clips.inspect("media/c", soon(), stills_prefix="", stills=0, param="clip")
    assert (caught.value.code, caught.value.param, caught.value.message) == (code, "clip", "Send another.")


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ({"ok": False, "code": "storage_error", "message": "S3"}, {}),
        ({"ok": False, "code": "internal_error", "message": "x"}, {}),
        ({"ok": False, "code": "not_found", "message": "x"}, {}),
        ({"ok": False, "code": "invalid_request", "message": "x"}, {}),
        ({"errorMessage": "timed out"}, {"error": "Unhandled"}),
        (None, {}),
        ("text", {}),
        (ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "busy"}}, "Invoke"), {}),
        (ReadTimeoutError(endpoint_url="https://lambda"), {}),
    ],
)
def test_everything_else_is_ours_and_may_pass(
    monkeypatch: pytest.MonkeyPatch, answer: Any, how: dict[str, str]
) -> None:
    install(monkeypatch, answer, **how)
    with pytest.raises(ApiError) as caught:
        clips.inspect("media/c", soon(), stills_prefix="", stills=0)
    assert not isinstance(caught.value, InvalidRequest)
    assert (caught.value.status, caught.value.code) == (500, "media_failed")


@pytest.mark.parametrize(("left", "waits"), [(25.5, 25), (24.5, 20), (3, 1), (-2, 1), (285, 130)])
def test_a_call_ends_before_the_callers_own_function_does(
    monkeypatch: pytest.MonkeyPatch, left: float, waits: int
) -> None:
    """Else the gateway would answer 502, and the clients would not repeat what has made nothing."""
    function = install(monkeypatch, FACTS)
    clips.inspect("media/c", soon(left), stills_prefix="", stills=0)
    assert function.patience == [waits]


CLOSED, UNREACHED = ConnectionClosedError(endpoint_url=""), ConnectTimeoutError(endpoint_url="")


@pytest.mark.parametrize("failure", [CLOSED, UNREACHED])
def test_an_inspection_on_a_dead_connection_is_repeated_once(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """A kept connection may die while the environment is frozen. An inspection writes the same stills again."""
    function = install(monkeypatch, FACTS, first=(failure,))
    assert clips.inspect("media/c", soon(), stills_prefix="", stills=0).width == 1280
    assert len(function.asked) == 2
    install(monkeypatch, FACTS, first=(failure, failure))
    with pytest.raises(ApiError):
        clips.inspect("media/c", soon(), stills_prefix="", stills=0)


def test_a_trim_is_repeated_only_if_it_cannot_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FACTS, first=(UNREACHED,))
    clips.trim("media/c", "media/t.mp4", 5, soon())
    function = install(monkeypatch, FACTS, first=(CLOSED,))
    with pytest.raises(ApiError):
        clips.trim("media/c", "media/t.mp4", 5, soon())
    assert len(function.asked) == 1


def test_a_repeat_ends_by_the_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(functions, "time", SimpleNamespace(monotonic=lambda: now[0]))
    function = install(monkeypatch, FACTS, first=(UNREACHED,))
    ask = function.invoke

    def slow(**given: Any) -> dict[str, Any]:
        now[0] += 6
        return ask(**given)

    monkeypatch.setattr(function, "invoke", slow)
    clips.inspect("media/c", 25.0, stills_prefix="", stills=0)
    assert function.patience == [25, 15]

"""Both functions as Lambda calls them: through their handler, with the work in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

import functions.inspect_clip.app as inspect_app
import functions.stitch_clips.app as stitch_app
from tests.unit.media.clips import make_clip, opened
from tests.unit.media.fake_s3 import BUCKET, FakeS3
from understudy_media import sealed, storage
from understudy_media.refusal import Refusal

INSPECT = {"key": "media/a", "stills_prefix": "media/s/", "stills": 2}


@dataclass
class Context:
    seconds: float = 30
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, s3: FakeS3) -> None:
    monkeypatch.setenv("BUCKET_NAME", BUCKET)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
    monkeypatch.setattr(storage, "s3_client", lambda: s3)
    s3.store("media/a", make_clip(seconds=1, sound="aac"))
    s3.store("media/empty", b"")


def log_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    entry: dict[str, Any] = json.loads(line)
    return entry


def test_inspect(s3: FakeS3, capsys: pytest.CaptureFixture[str]) -> None:
    answer = inspect_app.handler(INSPECT, Context())
    assert json.loads(json.dumps(answer)) == answer
    assert answer["ok"] is True
    assert answer["duration"] == pytest.approx(1.0)
    assert {"media/s/still-1.jpg", "media/s/still-2.jpg"} <= s3.keys()
    entry = log_line(capsys)
    assert (entry["message"], entry["level"], entry["code"]) == ("inspect_clip done", "INFO", None)
    assert (entry["function_request_id"], entry["event"]["key"]) == ("request-1", "media/a")
    assert entry["s3_bytes"] > 0


def test_stitch(s3: FakeS3, capsys: pytest.CaptureFixture[str]) -> None:
    tasks: list[dict[str, Any]] = [
        {"task": "previews", "key": "media/a", "thumbnail_key": "media/t.webp", "spritesheet_key": "media/s.jpg"},
        {"task": "last_frame", "key": "media/a", "output_key": "media/l.png"},
        {"task": "last_frame", "key": "media/a", "output_key": "media/l.jpg", "width": 64, "height": 32},
        {"task": "concatenate", "keys": ["media/a", "media/a"], "output_key": "media/c.mp4"},
        {"task": "trim", "key": "media/a", "output_key": "media/u.mp4", "start": 0, "seconds": 0.5},
    ]
    for event in tasks:
        answer = stitch_app.handler(event, Context())
        assert answer["ok"] is True, answer
        assert log_line(capsys)["message"] == "stitch_clips done"
    assert {"media/t.webp", "media/s.jpg", "media/l.png", "media/c.mp4", "media/u.mp4"} <= s3.keys()
    assert opened(s3.read("media/c.mp4")).duration == pytest.approx(2_000_000, abs=30_000)


@pytest.mark.parametrize(
    ("app", "event", "code"),
    [
        (inspect_app, {**INSPECT, "key": "uploads/a"}, "invalid_request"),
        (inspect_app, {**INSPECT, "key": "media/../a"}, "invalid_request"),
        (inspect_app, {**INSPECT, "key": 7}, "invalid_request"),
        (inspect_app, {**INSPECT, "key": ""}, "invalid_request"),
        (inspect_app, {**INSPECT, "stills": 17}, "invalid_request"),
        (inspect_app, {**INSPECT, "stills": True}, "invalid_request"),
        (inspect_app, {**INSPECT, "stills": -1}, "invalid_request"),
        (inspect_app, {**INSPECT, "stills_prefix": None}, "invalid_request"),
        (inspect_app, {**INSPECT, "stills_prefix": "elsewhere/"}, "invalid_request"),
        (inspect_app, {}, "invalid_request"),
        (inspect_app, {**INSPECT, "key": "media/none"}, "not_found"),
        (inspect_app, {**INSPECT, "key": "media/empty"}, "not_a_video"),
        (stitch_app, {}, "invalid_request"),
        (stitch_app, {"task": "burn", "key": "media/a"}, "invalid_request"),
        *(
            (
                stitch_app,
                {"task": "last_frame", "key": "media/a", "output_key": "media/l.jpg", **size},
                "invalid_request",
            )
            for size in ({"width": 64}, {"width": 0, "height": 9}, {"width": 16_384, "height": 16_384})
        ),
        (stitch_app, {"task": "concatenate", "keys": "media/a", "output_key": "media/o"}, "invalid_request"),
        (stitch_app, {"task": "concatenate", "keys": [1], "output_key": "media/o"}, "invalid_request"),
        (stitch_app, {"task": "concatenate", "keys": ["media/empty"], "output_key": "media/o"}, "not_a_video"),
        (
            stitch_app,
            {"task": "trim", "key": "media/a", "output_key": "media/o", "start": "0", "seconds": 1},
            "invalid_request",
        ),
        (
            stitch_app,
            {"task": "trim", "key": "media/a", "output_key": "media/o", "start": 0, "seconds": float("nan")},
            "invalid_request",
        ),
    ],
)
def test_refusals(
    s3: FakeS3, capsys: pytest.CaptureFixture[str], app: ModuleType, event: dict[str, Any], code: str
) -> None:
    answer = app.handler(event, Context())
    assert (answer["ok"], answer["code"]) == (False, code)
    assert str(answer["message"]).endswith(".")
    assert log_line(capsys)["code"] == code
    assert s3.keys() == {"media/a", "media/empty"}


def run(task: sealed.Task, seconds: float = 30) -> dict[str, object]:
    return sealed.answer("test", task, {}, Context(seconds))


def test_a_crash_is_an_unreadable_video(capsys: pytest.CaptureFixture[str]) -> None:
    def crash(*_: object) -> dict[str, object]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    assert run(crash)["code"] == "unreadable"
    assert log_line(capsys)["child_died"] is True


def test_a_hang_is_timed_out(capsys: pytest.CaptureFixture[str]) -> None:
    def hang(*_: object) -> dict[str, object]:
        time.sleep(60)
        return {}

    begun = time.monotonic()
    assert run(hang, seconds=1.5)["code"] == "timed_out"
    assert time.monotonic() - begun < 1.5
    assert log_line(capsys)["code"] == "timed_out"


def test_too_little_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda *_: {"size": len(bytearray(4 << 30))})["code"] == "too_large"
    assert log_line(capsys)["code"] == "too_large"


def test_a_fault_of_ours_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def fault(*_: object) -> dict[str, object]:
        raise KeyError("ours")

    answer = run(fault)
    assert answer["code"] == "internal_error"
    assert "ours" not in str(answer["message"])
    entry = log_line(capsys)
    assert entry["level"] == "ERROR"
    assert "KeyError: 'ours'" in entry["error"]


def test_a_missing_setting_is_logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUCKET_NAME")
    assert inspect_app.handler(INSPECT, Context())["code"] == "internal_error"
    assert "BUCKET_NAME" in log_line(capsys)["error"]


def test_the_next_clip_is_opened_by_another_process() -> None:
    pids = {run(lambda *_: {"pid": os.getpid()})["pid"] for _ in range(3)}
    assert len(pids) == 3
    assert os.getpid() not in pids


def test_a_refusal_is_a_value_error_and_an_answer() -> None:
    assert issubclass(Refusal, ValueError)
    assert Refusal("too_long", "Cut it.").as_answer() == {"ok": False, "code": "too_long", "message": "Cut it."}

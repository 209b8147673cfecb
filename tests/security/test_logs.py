"""A run over all routes leaves nothing secret or personal in the log and in the answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.stage import ROOT, Reply, Stage, load
from tests.fakes.upstream import MP4, Upstream, lose, refuse
from tests.security.test_limits import HTTP, authorize
from tests.unit.background.test_ingest_upload import Bucket
from understudy.access import keys
from understudy.store import clients

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01"
MARKS = {
    "prompt": "promptmark7Q",
    "name": "namemark7Q",
    "file name": "filemark7Q",
    "API key": "us-",  # completed by the key of the run
    "provider's key": "providermark7Q",
    "id secret": "m" * 64,
    "clip": "clipmark7Q",
    "address of an image": "addressmark7Q",
    "signature at a provider": "signaturemark7Q",
    "our signatures": "Signature=",
    "our POST policies": "eyJ",  # base64 of '{"'
    "Idempotency-Key": "idempotencymark7Q",
    "model": "modelmark7Q",
}
SECRET = MARKS["provider's key"]
CLIP = MP4 + MARKS["clip"].encode()


class Collector(logging.Handler):
    """Collects every record of every logger: the formatted text and the record's own data."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += logging.Formatter().formatException(record.exc_info)
        given = {name: value for name, value in vars(record).items() if name not in ("msg", "args", "exc_info")}
        self.lines.append(f"{record.name} {record.levelname} {text} {given!r}")


@pytest.fixture
def log() -> Iterator[Collector]:
    """A collector at the level that Lambda gives the root logger for JSON logs."""
    collector, root = Collector(), logging.getLogger()
    level = root.level
    root.addHandler(collector)
    root.setLevel(logging.INFO)
    yield collector
    root.removeHandler(collector)
    root.setLevel(level)


@pytest.fixture
def bucket(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(load("ingest_upload"), "time", stage.clock)
    return Bucket(stage)


def signed(request: httpx.Request) -> httpx.Response:
    """Answer with a provider's redirect to the file's signed address."""
    location = f"https://cdn.example/file.mp4?sig={MARKS['signature at a provider']}"
    return httpx.Response(302, headers={"location": location})


def run(stage: Stage, upstream: Upstream, bucket: Bucket) -> str:
    """Call every route, with and without success, and return the API key."""
    clients.secretsmanager().put_secret_value(SecretId="understudy/c", SecretString=MARKS["provider's key"])
    key, stage.caller = keys.mint("blue")
    assert authorize(key)["principalId"] == stage.caller.key_id
    authorize("us-" + "x" * 43)
    upstream.instant = True
    upstream.rules["GET", "solo.example", "/content"] = signed
    upstream.rules["GET", "cdn.example", "/file.mp4"] = lambda request: httpx.Response(200, content=CLIP)
    upstream.rules["GET", "pictures.example", ".png"] = lambda request: httpx.Response(200, content=PNG)
    sent = {"authorization": f"Bearer {key}", "idempotency-key": MARKS["Idempotency-Key"]}
    prompt: dict[str, Any] = {"prompt": f"A {MARKS['prompt']}", "model": "solo"}

    def call(function: str, **how: Any) -> Reply:
        return stage.call(function, headers=sent, **how)

    clip = (f"{MARKS['file name']}.mp4", CLIP, "video/mp4")
    image = {"image_url": f"https://pictures.example/a.png?{MARKS['address of an image']}"}
    form = [("name", MARKS["name"]), ("video", clip), ("model", "solo")]
    character = call("create_character", form=form).body["id"]
    made = call("create_video", json_body={**prompt, "characters": [{"id": character}], "input_reference": image})
    assert made.status == 200, made
    stage.run()
    video = made.body["id"]
    assert stage.show(video)["status"] == "completed"
    call("create_video", json_body={**prompt, "prompt": MARKS["prompt"]})  # the key was used: 422
    call("remix_video", path={"video_id": video}, json_body={"prompt": MARKS["prompt"]})
    call("edit_video", json_body={**prompt, "video": {"id": video}})
    call("extend_video", form=[*prompt.items(), ("seconds", "8"), ("video", clip)])
    stage.run()

    for error in (  # what providers say may quote us
        refuse(400, message=f"no {MARKS['prompt']}", code="moderation_blocked"),
        refuse(401, message=f"wrong key {SECRET}"),
        refuse(429, message="slow down"),
        refuse(500, message=f"crash at {SECRET}"),
        lose(),
    ):
        upstream.script.append(error)
        stage.create(**prompt)
        upstream.script.clear()
    late = stage.create(**prompt)
    upstream.script += [refuse(500, message=f"crash at {SECRET}"), lose()]
    stage.run()
    assert stage.show(late.body["id"])["status"] == "completed"

    upload = {"filename": f"{MARKS['file name']}.mp4", "mime_type": "video/mp4", "model": "solo"}
    small = {**upload, "purpose": "character", "name": MARKS["name"], "bytes": len(CLIP)}
    begun = call("create_upload", json_body=small)
    assert bucket.deliver(bucket.land(begun.body["upload"]["fields"]["key"], CLIP))
    parts = call("create_upload", json_body={**upload, "purpose": "video", "bytes": 200 * 2**20}).body["id"]
    for function in ("get_upload", "sign_parts", "complete_upload", "cancel_upload"):
        call(function, path={"upload_id": parts})
    bucket.deliver(bucket.land(f"drop/blue/solo/{MARKS['name']}.mp4", CLIP))
    bucket.deliver(bucket.land(f"drop/blue/solo/{MARKS['file name']}.txt", b"no video " + CLIP[-20:]))
    bucket.deliver(bucket.land(f"drop/{MARKS['file name']}", CLIP))

    call("list_models")
    for listing in ("list_videos", "list_characters"):
        call(listing, query={"limit": "3"})
        call(listing, query={"limit": MARKS["prompt"]})
    call("get_character", path={"character_id": character})
    for variant in ("video", "thumbnail", MARKS["prompt"]):
        call("get_content", path={"video_id": video}, query={"variant": variant})
    for bad in (
        {"json_body": {"prompt": MARKS["prompt"], MARKS["name"]: 1}},
        {"json_body": {"prompt": MARKS["prompt"], "model": MARKS["model"]}},
        {"json_body": {"prompt": [MARKS["prompt"]]}},
        {"raw": f"{{broken {MARKS['prompt']}".encode()},
        {"form": [("prompt", MARKS["prompt"]), ("characters[0]]", MARKS["prompt"])]},
    ):
        assert call("create_video", **bad).status in {400, 404, 415, 422}
    call("delete_character", path={"character_id": character})
    call("delete_video", path={"video_id": video})
    stage.run()
    return key


def test_nothing_secret_or_personal_is_logged(
    stage: Stage, upstream: Upstream, bucket: Bucket, log: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = run(stage, upstream, bucket)
    assert {function for function, _ in stage.calls} == set(HTTP)
    assert len(log.lines) > len(stage.calls)
    marks = {**MARKS, "API key": key, "the key's secret half": key.removeprefix("us-")}
    # A moderation message is the provider's own words, and says why a video failed (docs/threat-model.md).
    found = {what: [line for line in log.lines if mark in line] for what, mark in marks.items()}
    assert {what: lines[:2] for what, lines in found.items() if lines} == {}


def test_nothing_secret_or_personal_is_in_the_history_of_an_execution(
    stage: Stage, upstream: Upstream, bucket: Bucket
) -> None:
    """Step Functions keeps for 90 days what an execution was started with and what its steps returned."""
    key = run(stage, upstream, bucket)
    assert len(stage.executions.deletions) == 2
    history = json.dumps([(one.name, one.started, one.data) for one in stage.executions.all.values()])
    assert {what for what, mark in {**MARKS, "API key": key}.items() if mark in history} == set()
    told = {"team", "video", "begun", "next", "delete", "deployment", "model", "reference"}
    assert {name for one in stage.executions.started for name in one} == told


def test_a_mark_would_be_found(log: Collector) -> None:
    from understudy.telemetry import logger

    logger.warning("x", extra={"what": MARKS["prompt"]})
    logging.getLogger("httpcore").info("%s", MARKS["name"])
    assert [mark in "".join(log.lines) for mark in (MARKS["prompt"], MARKS["name"], MARKS["clip"])] == [
        True,
        True,
        False,
    ]


def test_answers_are_private_and_tell_nothing_of_the_inside(stage: Stage, upstream: Upstream, bucket: Bucket) -> None:
    run(stage, upstream, bucket)
    inside = ("Traceback", 'File "', ".py", "/work", "/var/task", "boto", "dynamodb", "solo.example", "cdn.example")
    for function, reply in stage.calls:
        assert reply.headers["cache-control"] == "private, no-store", function
        assert reply.headers["x-request-id"]
        assert set(reply.headers) <= {
            *("cache-control", "content-type", "x-request-id", "x-should-retry", "retry-after", "location"),
            *(
                "idempotent-replayed",
                "openai-poll-after-ms",
                "access-control-allow-origin",
                "access-control-allow-headers",
            ),
            *("access-control-allow-methods", "access-control-expose-headers", "vary"),
        }, function
        text = json.dumps(reply.body)
        assert not [word for word in inside if word in text], (function, text)
        assert MARKS["provider's key"] not in text


@pytest.mark.parametrize("function", HTTP)
def test_what_breaks_tells_the_log_and_not_the_caller(
    stage: Stage, upstream: Upstream, log: Collector, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """If the table fails during a call, the log has the error and the caller gets a plain 500."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("innermark7Q")

    upstream.instant = True
    ids = {"video_id": str(stage.create(model="solo").body["id"]), "character_id": stage.character(model="solo")}
    begun = {"purpose": "video", "filename": "x", "bytes": 200 * 2**20, "mime_type": "video/mp4"}
    ids["upload_id"] = str(stage.call("create_upload", json_body=begun).body["id"])
    stage.run()
    endpoint = load(function).handler.endpoint
    module = load(function)
    if function == "list_models":
        monkeypatch.setattr(module, "deployments", broken)
    else:
        monkeypatch.setattr("understudy.store.table.get", broken)
        monkeypatch.setattr("understudy.store.table.page", broken)
        monkeypatch.setattr("understudy.store.table.change", broken)
    body = {"prompt": "x", "model": "solo"} if endpoint.method == "POST" else None
    reply = stage.call(function, path=ids, json_body=body)
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert reply.headers["cache-control"] == "private, no-store"
    assert reply.headers.get("x-should-retry") == (None if endpoint.method == "GET" else "false")
    assert "innermark7Q" not in json.dumps(reply.body)
    assert any("innermark7Q" in line for line in log.lines)


def test_nothing_in_the_code_switches_debugging_on() -> None:
    """No code uses log_event, with which Powertools logs whole events, prompts included; no code prints."""
    for file in [*ROOT.glob("functions/*/app.py"), *ROOT.glob("layers/understudy/understudy/**/*.py")]:
        text = file.read_text("utf-8")
        assert "log_event" not in text, file
        assert "print(" not in text, file

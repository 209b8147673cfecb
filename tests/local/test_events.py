"""Event files become the events that AWS sends, and answers are compared with the expected answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from local.lambda_ import events, seed
from local.lambda_.functions import Route
from local.settings import ROOT
from understudy.api import bodies
from understudy.api.forms import FilePart

ROUTE = Route("POST", "/videos/{video_id}/remix")
CALLER = {"team": "t", "key_id": "k", "scopes": ""}


def rendered(content: dict[str, Any], route: Route | None = ROUTE) -> Any:
    return events.event(content, route, lambda: CALLER)


def test_a_placeholder_alone_keeps_its_type() -> None:
    values = {"size": 3, "landed.key": "uploads/x", "caller": CALLER}
    filled = events.fill(
        {"a": "${size}", "b": ["<${size}>"], "c": "${caller}", "${landed.key}": None}, values.__getitem__
    )
    assert filled == {"a": 3, "b": ["<3>"], "c": CALLER, "uploads/x": None}


def test_a_request_becomes_the_gateway_s_event() -> None:
    request = {
        "path": {"video_id": "video_1"},
        "query": {"limit": "1"},
        "headers": {"Idempotency-Key": "i"},
        "json": {"a": 1},
    }
    event = rendered({"request": request})
    assert (event["httpMethod"], event["resource"], event["path"]) == ("POST", ROUTE.path, "/videos/video_1/remix")
    assert event["requestContext"]["path"] == "/v1/videos/video_1/remix"
    assert event["requestContext"]["authorizer"] == {**CALLER, "principalId": "k"}
    assert event["multiValueHeaders"]["Idempotency-Key"] == ["i"]
    assert event["multiValueQueryStringParameters"] == {"limit": ["1"]}
    assert (json.loads(event["body"]), event["isBase64Encoded"]) == ({"a": 1}, False)


def test_a_request_without_a_caller_has_passed_no_authorizer() -> None:
    assert "authorizer" not in rendered({"request": {"path": {"video_id": "v"}, "caller": None}})["requestContext"]


def test_a_request_may_bring_a_caller_of_its_own() -> None:
    other = {"team": "t", "key_id": "other", "scopes": "raw_ids:a"}
    event = rendered({"request": {"path": {"video_id": "v"}, "caller": other}})
    assert event["requestContext"]["authorizer"] == {**other, "principalId": "other"}


def test_a_form_arrives_in_base64_and_whole() -> None:
    request = {"path": {"video_id": "v"}, "form": {"name": "Lüna"}, "files": {"video": "notes.txt"}}
    event = rendered({"request": request})
    assert event["isBase64Encoded"]
    fields = bodies.parse(base64.b64decode(event["body"]), event["headers"]["Content-Type"])
    file = fields["video"]
    assert fields["name"] == "Lüna"
    assert isinstance(file, FilePart)
    assert (file.filename, bytes(file.data[:5])) == ("notes.txt", b"Not a")


def test_messages_become_sqs_s_event() -> None:
    first, second = rendered({"messages": [{"Records": []}, "text"]})["Records"]
    assert (json.loads(first["body"]), second["body"]) == ({"Records": []}, "text")
    assert first["messageId"] != second["messageId"]


def test_a_plain_event_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ingest_upload.json"
    file.write_text('{"Records": []}')
    assert rendered(events.read(file)) == {"Records": []}


@pytest.mark.parametrize("text", ["{", '{"event": 1, "messages": []}', '{"expect": {}}'])
def test_a_file_that_is_no_event_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run_job.json"
    file.write_text(text)
    with pytest.raises(events.BadEventFile, match=r"run_job\.json"):
        events.read(file)


def test_a_request_needs_a_route() -> None:
    with pytest.raises(events.BadEventFile, match="no route"):
        rendered({"request": {}}, None)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [{"b": None}]}, {"a": [{"b": None, "c": 1}]}),
        ([], []),
        (None, None),
    ],
)
def test_what_is_expected_may_be_less_than_what_came(expected: Any, found: Any) -> None:
    assert list(events.differences(expected, found, "answer")) == []


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": None}, {}),
        ({"a": 1}, None),
        ([], [1]),
        ([1], []),
        (True, 1),
        ("1", 1),
        (None, {}),
    ],
)
def test_what_is_expected_and_not_there_is_told(expected: Any, found: Any) -> None:
    assert list(events.differences(expected, found, "answer"))


def test_a_difference_says_where_it_is() -> None:
    told = list(events.differences({"data": [{"id": "a"}]}, {"data": [{"id": "b"}]}, "body"))
    assert told == ['body.data[0].id is "b" and not "a"']


def test_the_seed_waits_for_what_the_function_logs() -> None:
    """The seed waits for the function's own log text about an object whose upload has no row yet."""
    layer = ROOT / "layers" / "understudy" / "understudy"
    assert f'"{seed.LEFT_ALONE}"' in (layer / "background" / "ingest_upload.py").read_text("utf-8")

"""The forms in which requests arrive, and the refusals, by raw HTTP."""

from __future__ import annotations

import base64
import hashlib
import io
import time
import urllib.parse
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from local.simulators.process import Simulator


def image(width: int = 720, height: int = 1280, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (20, 90, 60)).save(buffer, kind)
    return buffer.getvalue()


def data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def form(*pairs: tuple[str, Any]) -> dict[str, Any]:
    """Return a multipart body of plain fields (name, text) and files (name, bytes)."""
    files = [
        (name, ("upload", value, "application/octet-stream") if isinstance(value, bytes) else (None, value))
        for name, value in pairs
    ]
    return {"files": files}


def character(http: httpx.Client, clip: Path, name: str = "Luna") -> str:
    answer = http.post("/videos/characters", **form(("name", name), ("video", clip.read_bytes())))
    assert answer.status_code == 200 and set(answer.json()) == {"id", "name", "created_at"}
    return str(answer.json()["id"])


def refused(answer: httpx.Response, status: int, param: str | None = None, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert error["type"] == "invalid_request_error"
    if param is not None:
        assert error["param"] == param
    if code is not None:
        assert error["code"] == code


CREATE_FORMS: dict[str, dict[str, Any]] = {
    "json": {"json": {"prompt": "Luna runs", "characters": [{"id": "ID"}], "seconds": "8"}},
    "brackets": form(("prompt", "Luna runs"), ("characters[][id]", "ID"), ("seconds", "8")),
    "indexes": form(("prompt", "Luna runs"), ("characters[0][id]", "ID"), ("seconds", "8")),
    "urlencoded": {"data": {"prompt": "Luna runs", "characters[][id]": "ID", "seconds": "8"}},
}


@pytest.mark.parametrize("name", CREATE_FORMS)
def test_create_in_every_form(http: httpx.Client, simulator: Simulator, luna: Path, name: str) -> None:
    made = character(http, luna)
    answer = http.post("/videos", **with_id(CREATE_FORMS[name], made))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["seconds"]) == ("queued", "8")
    record = simulator.requests(operation="create_video")[-1]
    assert record["created"] == answer.json()["id"] and record["account"] == "a"


def with_id(request: Any, made: str) -> Any:
    if isinstance(request, dict):
        return {key: with_id(value, made) for key, value in request.items()}
    if isinstance(request, list | tuple):
        return type(request)(with_id(item, made) for item in request)
    return made if request == "ID" else request


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_reference_forms(http: httpx.Client, kind: str) -> None:
    content = image(kind=kind)
    for body in (
        form(("prompt", "x"), ("input_reference", content)),
        form(("prompt", "x"), ("input_reference[image_url]", data_url(content))),
        {"json": {"prompt": "x", "input_reference": {"image_url": data_url(content)}}},
    ):
        assert http.post("/videos", **body).status_code == 200


def test_reference_by_url_is_fetched(http: httpx.Client, simulator: Simulator) -> None:
    # A fault of the simulator answers for the address, so no other server is needed. The answer is no picture.
    simulator.fault(method="GET", path="/picture", action="answer", status=200, body="no picture", times=None)
    answer = http.post("/videos", json={"prompt": "x", "input_reference": {"image_url": f"{simulator.url}/picture"}})
    refused(answer, 400, "input_reference", "invalid_image")
    assert len(simulator.requests(path="^/picture$")) == 1


def test_video_source_forms(http: httpx.Client) -> None:
    made = http.post("/videos", json={"prompt": "x"}).json()["id"]
    wait(http, made)
    for path, more in (("/videos/edits", []), ("/videos/extensions", [("seconds", "4")])):
        bracket = http.post(path, **form(("prompt", "y"), ("video[id]", made), *more))
        document = http.post(path, json={"prompt": "y", "video": {"id": made}, **dict(more)})
        assert bracket.status_code == document.status_code == 200
        assert bracket.json()["seconds"] == ("8" if more else "4")


def wait(http: httpx.Client, made: str) -> dict[str, Any]:
    while (document := http.get(f"/videos/{made}").json())["status"] in ("queued", "in_progress"):
        time.sleep(0.02)
    return dict(document)


def test_pro_sizes_and_seconds(http: httpx.Client) -> None:
    for size in ("1024x1792", "1792x1024", "1920x1080", "1280x720"):
        answer = http.post("/videos", json={"prompt": "x", "model": "sora-2-pro", "size": size, "seconds": "20"})
        assert answer.json()["size"] == size
    refused(http.post("/videos", json={"prompt": "x", "size": "1792x1024"}), 400, "size", "invalid_value")


BAD_CREATES: list[tuple[dict[str, Any], int, str | None]] = [
    ({"json": {}}, 400, "prompt"),
    ({"json": {"prompt": ""}}, 400, "prompt"),
    ({"json": {"prompt": 7}}, 400, "prompt"),
    ({"json": {"prompt": "x" * 32_001}}, 400, "prompt"),
    ({"json": {"prompt": "x", "seconds": "5"}}, 400, "seconds"),
    ({"json": {"prompt": "x", "seconds": "banana"}}, 400, "seconds"),
    ({"json": {"prompt": "x", "seconds": 8}}, 400, "seconds"),
    ({"json": {"prompt": "x", "size": "640x480"}}, 400, "size"),
    ({"json": {"prompt": "x", "model": "wan-2.2"}}, 404, "model"),
    ({"json": {"prompt": "x", "model": 3}}, 400, "model"),
    ({"json": {"prompt": "x", "seed": 7}}, 400, "seed"),
    ({"json": {"prompt": "x", "characters": [{"id": "char_0"}]}}, 404, "character_id"),
    ({"json": {"prompt": "x", "characters": ["char_0"]}}, 400, "characters[0]"),
    ({"json": {"prompt": "x", "characters": [{"id": "c", "name": "n"}]}}, 400, "characters[0].name"),
    ({"json": {"prompt": "x", "characters": "char_0"}}, 400, "characters"),
    ({"json": {"prompt": "x", "characters": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}}, 400, "characters"),
    ({"json": {"prompt": "x", "input_reference": "https://a.example"}}, 400, "input_reference"),
    ({"json": {"prompt": "x", "input_reference": {"file_id": "file_1"}}}, 404, "input_reference.file_id"),
    ({"json": {"prompt": "x", "input_reference": {"file_id": "f", "image_url": "u"}}}, 400, "input_reference"),
    ({"json": {"prompt": "x", "input_reference": {"image_url": data_url(image(100, 100))}}}, 400, "input_reference"),
    ({"json": {"prompt": "x", "input_reference": {"image_url": "data:image/png;base64,%%"}}}, 400, None),
    (form(("prompt", "x"), ("input_reference", b"GIF89a not an image")), 400, "input_reference"),
    (form(("prompt", "x"), ("prompt", "y")), 400, "prompt"),
    (form(("prompt", "x"), ("characters", '[{"id": "c"}]')), 400, "characters"),
    ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, None),
    ({"content": b"[]", "headers": {"Content-Type": "application/json"}}, 400, None),
    ({"content": b"hello", "headers": {"Content-Type": "text/plain"}}, 415, None),
    ({"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, None),
]


@pytest.mark.parametrize("number", range(len(BAD_CREATES)))
def test_refused_creates(http: httpx.Client, simulator: Simulator, number: int) -> None:
    body, status, param = BAD_CREATES[number]
    refused(http.post("/videos", **body), status, param)
    assert simulator.jobs() == [] and simulator.requests()[-1]["created"] is None
    assert list((simulator.state / "incoming").iterdir()) == []


def test_name_must_be_in_the_prompt(http: httpx.Client, luna: Path) -> None:
    made = character(http, luna)
    body = {"prompt": "luna runs", "characters": [{"id": made}]}
    refused(http.post("/videos", json=body), 400, "prompt", "character_not_in_prompt")


def test_refused_characters(http: httpx.Client, simulator: Simulator, luna: Path) -> None:
    clip = luna.read_bytes()
    for pairs, param in (
        ([("video", clip)], "name"),
        ([("name", ""), ("video", clip)], "name"),
        ([("name", "x" * 81), ("video", clip)], "name"),
        ([("name", "Luna")], "video"),
        ([("name", "Luna"), ("video", b"")], "video"),
        ([("name", "Luna"), ("video", "text")], "video"),
        ([("name", "Luna"), ("video", image())], "video"),
        ([("name", "Luna"), ("video", clip[:3000])], "video"),
        ([("name", "Luna"), ("video", clip), ("video", clip)], "video"),
        ([("name", "Luna"), ("video", clip), ("model", "sora-2")], "model"),
    ):
        refused(http.post("/videos/characters", **form(*pairs)), 400, param)
    assert list((simulator.state / "incoming").iterdir()) == []
    refused(http.post("/videos/characters", json={"name": "Luna", "video": "x"}), 415)
    refused(http.get("/videos/characters/char_0"), 404)
    refused(http.get("/videos/characters"), 404)  # there is no list: this asks for a video of that id


def test_length_of_a_character_clip(http: httpx.Client, simulator: Simulator, luna: Path) -> None:
    simulator.settings(character_min_seconds=3)
    answer = http.post("/videos/characters", **form(("name", "Luna"), ("video", luna.read_bytes())))
    refused(answer, 400, "video", "invalid_video_duration")


def test_refused_edits_and_extensions(http: httpx.Client, simulator: Simulator, luna: Path) -> None:
    made = http.post("/videos", json={"prompt": "x"}).json()["id"]
    wait(http, made)
    source = {"prompt": "y", "video": {"id": made}}
    refused(http.post("/videos/edits", json={"prompt": "y"}), 400, "video")
    refused(http.post("/videos/edits", json={"video": {"id": made}}), 400, "prompt")
    refused(http.post("/videos/edits", json={**source, "video": made}), 400, "video")
    refused(http.post("/videos/edits", json={**source, "video": {"id": "video_0"}}), 404)
    refused(http.post("/videos/edits", json={**source, "seconds": "4"}), 400, "seconds", "unknown_parameter")
    refused(http.post("/videos/edits", json={**source, "model": "sora-2"}), 400, "model", "unknown_parameter")
    refused(http.post("/videos/edits", **form(("prompt", "y"), ("video", luna.read_bytes()))), 400, "model")
    refused(http.post("/videos/extensions", json=source), 400, "seconds", "missing_required_parameter")
    refused(http.post("/videos/extensions", json={**source, "seconds": "5"}), 400, "seconds", "invalid_value")
    refused(http.post(f"/videos/{made}/remix", json={"prompt": "y", "characters": []}), 400, "characters")
    simulator.settings(approved_uploads=False)
    answer = http.post("/videos/edits", **form(("prompt", "y"), ("video", luna.read_bytes()), ("model", "sora-2")))
    refused(answer, 403, "video", "uploads_not_approved")
    simulator.settings(speed=0)
    young = http.post("/videos", json={"prompt": "x"}).json()["id"]
    refused(http.post("/videos/edits", json={"prompt": "y", "video": {"id": young}}), 400, "video")


def test_extensions_come_to_an_end(http: httpx.Client, simulator: Simulator) -> None:
    simulator.settings(queued_seconds=0, run_seconds=0)
    made = http.post("/videos", json={"prompt": "x", "seconds": "20"}).json()["id"]
    answers = []
    for _ in range(6):
        answers.append(http.post("/videos/extensions", json={"prompt": "y", "video": {"id": made}, "seconds": "20"}))
        made = answers[-1].json().get("id", made)
    assert [answer.json().get("seconds") for answer in answers] == ["40", "60", "80", "100", "120", None]
    refused(answers[-1], 400, "seconds", "video_too_long")
    made = http.post("/videos", json={"prompt": "x"}).json()["id"]
    for _ in range(6):
        made = http.post("/videos/extensions", json={"prompt": "y", "video": {"id": made}, "seconds": "4"}).json()["id"]
    answer = http.post("/videos/extensions", json={"prompt": "y", "video": {"id": made}, "seconds": "4"})
    refused(answer, 400, "video", "too_many_extensions")


def test_odd_ids_and_urls(http: httpx.Client, simulator: Simulator) -> None:
    simulator.settings(id_suffix=";a/b c%2Fü")
    made = http.post("/videos", json={"prompt": "x"}).json()["id"]
    assert made.endswith(";a/b c%2Fü")
    quoted = httpx.URL(simulator.base_url).copy_with(raw_path=b"/v1/videos/" + quote(made)).raw_path.decode()
    assert http.get(httpx.URL(f"{simulator.url}{quoted}")).json()["id"] == made
    refused(http.get("/videos/%2e%2e"), 404)
    refused(http.get("/nothing"), 404, code="unknown_url")
    refused(http.put("/videos"), 405)


def quote(text: str) -> bytes:
    return urllib.parse.quote(text, safe="").encode()


@pytest.mark.parametrize("query", ["limit=101", "limit=-1", "limit=x", "order=up"])
def test_refused_lists(http: httpx.Client, query: str) -> None:
    refused(http.get(f"/videos?{query}"), 400, query.partition("=")[0])


def test_list_edges(http: httpx.Client) -> None:
    empty: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert http.get("/videos").json() == empty
    http.post("/videos", json={"prompt": "x"})
    assert http.get("/videos?limit=0").json() == {**empty, "has_more": True}
    refused(http.get("/videos?after=video_0"), 404)


def test_words_of_waiting(http: httpx.Client) -> None:
    stuck = http.post("/videos", json={"prompt": "this sticks-forever"}).json()["id"]
    odd = http.post("/videos", json={"prompt": "an odd-status slow-render"}).json()["id"]
    seen = set()
    while (document := http.get(f"/videos/{odd}").json())["status"] != "completed":
        seen.add(document["status"])
        time.sleep(0.01)
    assert "post_processing" in seen and seen <= {"queued", "post_processing"}
    assert http.get(f"/videos/{stuck}").json()["status"] == "in_progress"
    assert http.get(f"/videos/{stuck}").json()["progress"] == 47


def test_record_of_a_request(http: httpx.Client, simulator: Simulator) -> None:
    content = image()
    headers = {"Idempotency-Key": "k1", "x-stainless-retry-count": "1"}
    answer = http.post("/videos?a=b", **form(("prompt", "x"), ("input_reference", content)), headers=headers)
    (record,) = simulator.requests()
    assert (record["request_id"], record["created"]) == (answer.headers["x-request-id"], answer.json()["id"])
    assert record["files"][0]["bytes"] == len(content)
    assert record["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["headers"]["idempotency-key"] == "k1" and record["headers"]["x-stainless-retry-count"] == "1"
    assert int(record["headers"]["content-length"]) == record["bytes"]
    assert "authorization" not in record["headers"] and record["key"] == "sim-a" and record["query"] == "a=b"
    http.post("/videos", json={"prompt": "x", "input_reference": {"image_url": data_url(content)}})
    shown = simulator.requests()[-1]["json"]["input_reference"]["image_url"]
    assert shown["length"] == len(data_url(content)) and len(shown["start"]) < 100
    assert simulator.counts()["created"] == {"a": {"create_video": 2}}
    assert simulator.counts()["operations"] == {"create_video": 2}
    simulator.clear_requests()
    assert simulator.requests() == []

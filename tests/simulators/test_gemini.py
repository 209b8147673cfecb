"""The refusals of the Gemini API's simulator, by raw HTTP: the client's types do not allow such requests."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.simulators.process import Simulator

MODEL = "gemini-omni-1.1-flash"


@pytest.fixture(scope="module")
def shared_gemini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("gemini"), speed=40, module="local.simulators.gemini") as simulator:
        yield simulator


@pytest.fixture
def gemini(shared_gemini: Simulator) -> Iterator[Simulator]:
    before = shared_gemini.settings()
    shared_gemini.reset()
    yield shared_gemini
    shared_gemini.settings(**before)


@pytest.fixture
def http(gemini: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{gemini.url}/v1beta", headers={"x-goog-api-key": "sim-a"}, timeout=20) as client:
        yield client


def body(**changes: Any) -> dict[str, Any]:
    small = {"type": "video", "duration": "3s", "resolution": "360p"}
    return {"model": MODEL, "input": "A boat", "background": True, "response_format": small, **changes}


def form(**changes: Any) -> dict[str, Any]:
    return body(response_format={"type": "video", **changes})


def task(name: str, **changes: Any) -> dict[str, Any]:
    return body(generation_config={"video_config": {"task": name}}, **changes)


def inline(path: Path, kind: str = "video/mp4") -> dict[str, str]:
    data = base64.b64encode(path.read_bytes()).decode()
    return {"type": kind.partition("/")[0], "mime_type": kind, "data": data}


def post(http: httpx.Client, document: Any) -> tuple[int, str, str]:
    """Return status, code and message of the answer."""
    answer = http.post("/interactions", json=document)
    error = answer.json().get("error", {})
    return answer.status_code, str(error.get("code")), error.get("message", "")


def finish(http: httpx.Client, interaction_id: str) -> httpx.Response:
    until = time.monotonic() + 20
    while True:
        answer = http.get(f"/interactions/{interaction_id}")
        if answer.status_code != 200 or answer.json()["status"] != "in_progress":
            return answer
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (form(duration=8), "Duration"),
        (form(duration="8"), "Duration"),
        (form(duration="2s"), "minimum"),
        (form(duration="11s"), "exceeds the maximum allowed 10s"),
        (form(duration="16s") | {"model": "gemini-omni-1.2-flash"}, "15s"),
        (form(aspect_ratio="1:1"), "aspect_ratio"),
        (form(resolution="480p"), "resolution"),
        (form(delivery="base64"), "delivery"),
        (form(fps=24), "Unknown parameter 'fps'"),
        (body(response_format={"type": "image"}), "video only"),
        (body(seed=1), "Unknown parameter 'seed'"),
        (body(system_instruction="be kind"), "not supported"),
        (body(safety_settings=[]), "not supported"),
        (body(background="yes"), "background"),
        (body(store=False), "store=true"),
        (body(input=""), "expected a string"),
        (body(input=[]), "input"),
        (body(input=[{"type": "input_text", "text": "x"}]), "unknown content type"),
        (body(input=[{"type": "text", "text": "x", "size": 1}]), "Unknown parameter"),
        (
            body(input=[{"type": "image", "mime_type": "image/png", "data": "####"}, {"type": "text", "text": "x"}]),
            "base64",
        ),
        (
            body(input=[{"type": "image", "mime_type": "image/svg", "data": "QUJD"}, {"type": "text", "text": "x"}]),
            "MIME",
        ),
        (
            body(input=[{"type": "image", "mime_type": "image/png", "data": "QUJD"}, {"type": "text", "text": "x"}]),
            "image",
        ),
        (body(input=[{"type": "video"}, {"type": "text", "text": "x"}]), "exactly one of data and uri"),
        (body(input="see <VIDEO_REF_0>"), "video inputs"),
        (body(input="[# Sources <FIRST_FRAME>@Image1] x"), "image inputs"),
        (task("upscale"), "task"),
        (task("image_to_video"), "image"),
        (task("reference_to_video"), "image or video"),
        (task("edit", response_format={"type": "video"}), "Exactly one input video"),
        (task("edit"), "Duration cannot be set in response format for edit task"),
        (task("extend", response_format={"type": "video", "aspect_ratio": "9:16"}), "Aspect ratio cannot be set"),
        (task("extend", previous_interaction_id="v1_a"), "not allowed when video task is set"),
        (body(previous_interaction_id="v1_a"), "Invalid interaction name"),
        ([], "object"),
    ],
)
def test_what_is_refused(http: httpx.Client, gemini: Simulator, document: Any, words: str) -> None:
    status, code, message = post(http, document)
    assert (status, code) == (400, "invalid_request")
    assert words in message
    assert gemini.jobs() == []


def test_models(http: httpx.Client) -> None:
    assert post(http, body(model="gemini-omni-flash-preview"))[:2] == (404, "not_found")
    assert post(http, body(model="veo-3.1-generate-preview"))[0] == 404
    answer = http.post(f"/models/{MODEL}:generateContent", json={})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert http.post("/models/veo-3.1-generate-preview:predictLongRunning", json={}).status_code == 404


def test_limits_of_references(http: httpx.Client, luna: Path, moss: Path) -> None:
    words = {"type": "text", "text": "x"}
    for count, status in ((3, 200), (4, 400)):
        assert post(http, body(input=[inline(luna)] * count + [words]))[0] == status


def test_what_is_wrong_with_an_address_shows_at_the_end(http: httpx.Client, luna: Path) -> None:
    words = {"type": "text", "text": "x"}
    external = body(input=[{"type": "video", "uri": "https://example.com/a.mp4"}, words])
    made = http.post("/interactions", json=external).json()
    assert made["status"] == "in_progress"
    answer = finish(http, made["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "HTTP video input is not supported" in answer.text

    uploaded = upload(http, luna)
    made = http.post("/interactions", json=body(input=[{"type": "video", "uri": uploaded}, words])).json()
    assert "Unsupported file uri: blobstore:///" in finish(http, made["id"]).text
    made = http.post("/interactions", json=body(input=[{"type": "document", "uri": uploaded}, words])).json()
    assert finish(http, made["id"]).json()["status"] == "completed"


def upload(http: httpx.Client, path: Path) -> str:
    data = path.read_bytes()
    start = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(len(data)),
        "X-Goog-Upload-Header-Content-Type": "video/mp4",
    }
    base = str(http.base_url).replace("/v1beta", "/upload/v1beta")
    begun = httpx.post(f"{base}files", headers={**http.headers, **start}, json={"file": {"display_name": "clip"}})
    place = begun.headers["x-goog-upload-url"]
    finish = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
    wrong = httpx.post(place, headers={**finish, "X-Goog-Upload-Offset": "5"}, content=data)
    assert wrong.status_code == 400
    file = httpx.post(place, headers=finish, content=data).json()["file"]  # needs no key
    assert (file["state"], file["sizeBytes"], file["displayName"]) == ("PROCESSING", str(len(data)), "clip")
    while http.get(f"/{file['name']}").json()["state"] == "PROCESSING":
        time.sleep(0.01)
    return str(file["uri"])


def test_uploads_that_are_wrong(http: httpx.Client) -> None:
    url = str(http.base_url).replace("/v1beta", "/upload/v1beta") + "files"
    assert httpx.post(url, json={}).status_code == 403
    assert httpx.post(url, headers=http.headers, json={}).status_code == 400
    bare = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
    assert httpx.post(f"{url}?upload_id=x", headers=bare, content=b"x").status_code == 404


def test_errors_of_the_front_end(http: httpx.Client, gemini: Simulator) -> None:
    for headers, status, word in (
        ({"x-goog-api-key": "nonsense"}, 400, "INVALID_ARGUMENT"),
        ({"x-goog-api-key": "sim-c"}, 403, "PERMISSION_DENIED"),
    ):
        gemini.revoke("c")
        answer = httpx.get(f"{http.base_url}interactions/v1_a", headers=headers)
        assert (answer.status_code, answer.json()["error"]["status"]) == (status, word)
    assert httpx.get(f"{http.base_url}interactions/v1_a").status_code == 403
    gemini.settings(array_errors=True)
    (wrapped,) = httpx.get(f"{http.base_url}files/a", headers=http.headers).json()
    assert wrapped["error"]["code"] == 403
    assert http.get("/nothing").json()[0]["error"]["status"] == "NOT_FOUND"


def test_accounts_do_not_see_each_other(http: httpx.Client) -> None:
    made = http.post("/interactions", json=body()).json()
    other = {"x-goog-api-key": "sim-b"}
    for method, tail in (("GET", ""), ("POST", "/cancel"), ("DELETE", "")):
        answer = http.request(method, f"/interactions/{made['id']}{tail}", headers=other)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Invalid interaction name.")


def test_cancel(http: httpx.Client, gemini: Simulator) -> None:
    gemini.settings(speed=0)
    made = http.post("/interactions", json=body()).json()
    assert http.post(f"/interactions/{made['id']}/cancel").json()["status"] == "cancelled"
    assert http.get(f"/interactions/{made['id']}").json()["status"] == "cancelled"


@pytest.mark.parametrize("form", ["silent", "failed", "poll"])
def test_forms_of_moderation(http: httpx.Client, gemini: Simulator, form: str) -> None:
    gemini.settings(moderation=form)
    assert "SAFETY" in post(http, body(input="something forbidden"))[2]
    answer = finish(http, http.post("/interactions", json=body(input="refused-later")).json()["id"])
    if form == "poll":
        assert answer.status_code == 400
        assert "Input blocked" in answer.text
        return
    document = answer.json()
    assert document["status"] == ("completed" if form == "silent" else "failed")
    assert not any(one.get("type") == "video" for step in document["steps"] for one in step.get("content", []))


def test_delivery(http: httpx.Client, gemini: Simulator) -> None:
    made = http.post("/interactions", json=form(delivery="uri", resolution="360p", duration="3s")).json()
    video = finish(http, made["id"]).json()["steps"][-1]["content"][0]
    assert video["uri"].endswith(":download?alt=media")
    assert httpx.get(video["uri"]).status_code == 403
    assert httpx.get(video["uri"], headers=http.headers).content[4:8] == b"ftyp"
    gemini.settings(delivery="inline")
    video = finish(http, made["id"]).json()["steps"][-1]["content"][0]
    assert base64.b64decode(video["data"])[4:8] == b"ftyp"
    assert "uri" not in video


def test_faults_and_restarts(tmp_path: Path) -> None:
    with Simulator(tmp_path, speed=40, module="local.simulators.gemini") as simulator:
        headers = {"x-goog-api-key": "sim-a"}
        url = f"{simulator.url}/v1beta/interactions"
        simulator.fault(method="POST", action="answer", status=429, headers={"Retry-After": "3"}, body={"error": {}})
        assert httpx.post(url, headers=headers, json=body()).headers["retry-after"] == "3"
        simulator.fault(method="POST", action="reset", when="after")
        with pytest.raises(httpx.ReadError):
            httpx.post(url, headers=headers, json=body())
        (job,) = simulator.jobs()
        assert [record["created"] for record in simulator.requests()] == [None, job["id"]]
        assert "nonsense" not in str(simulator.requests())
        simulator.restart()
        with httpx.Client(base_url=f"{simulator.url}/v1beta", headers=headers) as http:
            assert finish(http, job["id"]).json()["status"] == "completed"

"""Kling's simulator by raw HTTP: the contract's recorded examples up to a file, and the refusals.

No client can call the simulator. Of the clients on PyPI and npm (2026-11-22), kling-api 1.0.0 knows only the older
paths, signs with AK/SK and insists on https, and klingai-api 0.1.0 needs Python 3.14. The others call resellers.
"""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.simulators.process import Simulator
from local.simulators.shared import footage
from local.simulators.shared.render import sample_clip

ELEMENTS = "/v1/general/advanced-custom-elements"
OMNI = "/omni-video/kling-3.0-omni"


@pytest.fixture(scope="module")
def shared_kling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("kling"), speed=40, module="local.simulators.kling") as simulator:
        yield simulator


@pytest.fixture
def kling(shared_kling: Simulator) -> Iterator[Simulator]:
    before = shared_kling.settings()
    shared_kling.reset()
    yield shared_kling
    shared_kling.settings(**before)


@pytest.fixture
def client(kling: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=kling.url, headers={"Authorization": "Bearer sim-a"}, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the examples' files: f0.png, f1.png, small.png, a.mp4, short.mp4, small.mp4, page.html."""
    folder = tmp_path_factory.mktemp("files")
    for name, seconds, size in (("a", 3, (1280, 720)), ("short", 1, (1280, 720)), ("small", 3, (640, 360))):
        clip = sample_clip(folder / f"{name}.mp4", seconds, size, "Moss")
    for number in range(2):
        footage.still(folder / "a.mp4", number).save(folder / f"f{number}.png")
    footage.still(clip, 0).resize((200, 200)).save(folder / "small.png")
    (folder / "page.html").write_text("<html>")
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def data(answer: httpx.Response) -> Any:
    document = answer.json()
    assert (answer.status_code, document["code"]) == (200, 0), document
    assert document["request_id"]
    return document["data"]


def refused(answer: httpx.Response) -> tuple[int, int]:
    document = answer.json()
    assert "data" not in document
    return answer.status_code, document["code"]


def finish(client: httpx.Client, task_id: str) -> dict[str, Any]:
    until = time.monotonic() + 20
    while True:
        (task,) = data(client.get("/tasks", params={"task_ids": task_id}))
        if task["status"] not in ("submitted", "processing"):
            return dict(task)
        assert time.monotonic() < until
        time.sleep(0.02)


def element(client: httpx.Client, files: str, **changes: Any) -> dict[str, Any]:
    """Make the contract's example of an element, wait for its end, and return its task."""
    fields = {
        "element_name": "Moss",
        "element_description": "small red fox with a teal collar",
        "reference_type": "image_refer",
        "element_image_list": {"frontal_image": f"{files}/f0.png", "refer_images": [{"image_url": f"{files}/f1.png"}]},
        "tag_list": [{"tag_id": "o_103"}],
        **changes,
    }
    task = data(client.post(ELEMENTS, json=fields))
    assert task["task_status"] == "submitted"
    until = time.monotonic() + 20
    while task["task_status"] in ("submitted", "processing"):
        assert time.monotonic() < until
        task = data(client.get(f"{ELEMENTS}/{task['task_id']}"))
    return dict(task)


def omni(*contents: dict[str, Any], **settings: Any) -> dict[str, Any]:
    chosen = {"resolution": "720p", "aspect_ratio": "16:9", "duration": 3, "multi_shot": False, **settings}
    kept = {name: value for name, value in chosen.items() if value is not None}
    return {"contents": [{"type": "prompt", "text": "A pine forest"}, *contents], "settings": kept}


def test_the_example_of_a_character_and_a_place(client: httpx.Client, files: str, tmp_path: Path) -> None:
    made = element(client, files)
    assert made["task_status"] == "succeed"
    (moss,) = made["task_result"]["elements"]
    assert isinstance(moss["element_id"], int)
    assert moss["element_id"] > 2**53
    example = {
        "contents": [
            {"type": "prompt", "text": "@Moss jumps over a stream in a pine @forest"},
            {"type": "element", "element_id": str(moss["element_id"]), "id": "Moss"},
            {"type": "refer_image", "url": f"{files}/f0.png", "id": "forest"},
        ],
        "settings": {
            "resolution": "720p",
            "aspect_ratio": "16:9",
            "duration": 5,
            "audio": "native",
            "multi_shot": False,
        },
        "options": {"external_task_id": "gw_01J"},
    }
    task = data(client.post(OMNI, json=example))
    assert (task["status"], task["external_id"], "outputs" in task) == ("submitted", "gw_01J", False)
    done = finish(client, task["id"])
    assert (done["status"], done["billing"]) == (
        "succeeded",
        [{"charge_type": "unit", "amount": "4", "package_type": "video"}],
    )
    (video,) = done["outputs"]
    assert (video["type"], video["duration"]) == ("video", "5.041")
    (tmp_path / "video.mp4").write_bytes(httpx.get(video["url"]).content)  # without a key
    found = footage.probe(tmp_path / "video.mp4")
    assert (found.width, found.height, round(found.duration)) == (1280, 720, 5)
    (again,) = data(client.get("/tasks", params={"external_task_ids": "gw_01J,other"}))
    assert again["id"] == task["id"]


def test_the_example_of_an_edit(client: httpx.Client, files: str, tmp_path: Path) -> None:
    example = {
        "contents": [
            {"type": "prompt", "text": "in @video_1 turn the street to a snowy night"},
            {"type": "base_video", "url": f"{files}/a.mp4", "id": "video_1"},
        ],
        "settings": {"resolution": "1080p", "multi_shot": False, "audio": "original"},
    }
    done = finish(client, data(client.post(OMNI, json=example))["id"])
    (tmp_path / "video.mp4").write_bytes(httpx.get(done["outputs"][0]["url"]).content)
    found = footage.probe(tmp_path / "video.mp4")
    assert (found.width, found.height, round(found.duration)) == (1920, 1080, 3)


def test_images_as_bare_base64(client: httpx.Client, kling: Simulator, files: str) -> None:
    bare = base64.b64encode(httpx.get(f"{files}/f0.png").content).decode()
    frame = {"type": "first_frame", "url": bare}
    assert data(client.post(OMNI, json=omni(frame, aspect_ratio=None)))["status"] == "submitted"
    answer = client.post(OMNI, json=omni({**frame, "url": f"data:image/png;base64,{bare}"}))
    assert refused(answer) == (400, 1201)
    assert kling.requests()[0]["json"]["contents"][1]["url"]["length"] == len(bare)


IMAGE: dict[str, Any] = {"type": "refer_image", "url": "FILES/f0.png"}
CLIP: dict[str, Any] = {"type": "base_video", "url": "FILES/a.mp4"}


@pytest.mark.parametrize(
    ("path", "document", "words"),
    [
        (OMNI, omni(duration=2), "duration"),
        (OMNI, omni(duration=16), "duration"),
        (OMNI, omni(duration="5"), "integer"),
        (OMNI, omni(duration=True), "integer"),
        (OMNI, omni(resolution="480p"), "resolution"),
        (OMNI, omni(aspect_ratio="21:9"), "aspect_ratio"),
        (OMNI, omni(aspect_ratio=None), "aspect_ratio is required"),
        (OMNI, omni(audio="on"), "audio"),
        (OMNI, omni(multi_shot="no"), "boolean"),
        (OMNI, omni(seed=1), "unknown field 'seed'"),
        (OMNI, {"prompt": "x"}, "unknown field 'prompt'"),
        (OMNI, {"contents": []}, "list"),
        (OMNI, {"contents": [IMAGE]}, "exactly one prompt"),
        (OMNI, omni({"type": "image", "url": "x"}), "not supported"),
        (OMNI, omni({**IMAGE, "size": 1}), "unknown field 'size'"),
        (OMNI, omni({**IMAGE, "url": "FILES/nothing.png"}), "downloaded"),
        (OMNI, omni({**IMAGE, "url": "FILES/page.html"}), "image"),
        (OMNI, omni({**IMAGE, "url": "FILES/small.png"}), "300 px"),
        (OMNI, omni({**IMAGE, "url": "http://files.example.com/a.png"}), "https"),
        (OMNI, omni({**IMAGE, "id": "one"}, {**IMAGE, "id": "one_more"}), "part of another"),
        (OMNI, omni(*[IMAGE] * 8), "too many"),
        (OMNI, omni({"type": "last_frame", "url": "FILES/f0.png"}), "last frame alone"),
        (OMNI, omni({"type": "element", "element_id": "1"}), "id must be a string"),
        (OMNI, omni({"type": "element", "element_id": 1, "id": "Moss"}), "element_id: expected a string"),
        (OMNI, omni({"type": "element", "element_id": "1", "id": "Moss"}), "does not mention @Moss"),
        (OMNI, omni(CLIP, multi_shot=True), "base_video excludes"),
        (OMNI, omni(CLIP, audio="native"), "base_video excludes"),
        (OMNI, omni(CLIP, {"type": "first_frame", "url": "FILES/f0.png"}), "base_video excludes"),
        (OMNI, omni(CLIP, CLIP), "at most one"),
        (OMNI, omni({**CLIP, "type": "feature_video"}), "multi_shot"),
        (OMNI, omni({**CLIP, "url": "QUJD"}), "https URL"),
        (OMNI, omni({**CLIP, "url": "FILES/short.mp4"}), "3 to"),
        (OMNI, omni({**CLIP, "url": "FILES/small.mp4"}), "700"),
        (OMNI, omni({**CLIP, "url": "FILES/f0.png"}), "only mp4 and mov"),
        ("/omni-video/kling-o1", omni(), "unknown field 'multi_shot'"),
        ("/text-to-video/kling-3.0-turbo", {"prompt": "x", "settings": {"audio": "native"}}, "unknown field 'audio'"),
        ("/text-to-video/kling-2.6", {"prompt": "x", "settings": {"duration": 4}}, "5, 10"),
        ("/text-to-video/kling-2.6", {"prompt": "x", "settings": {"audio": "native"}}, "Native audio"),
        ("/text-to-video/kling-3.0", {"prompt": "x" * 3073}, "3072"),
        ("/image-to-video/kling-3.0", {"contents": [{"type": "prompt", "text": "x"}]}, "first_frame is required"),
    ],
)
def test_what_is_refused(
    client: httpx.Client, kling: Simulator, files: str, path: str, document: dict[str, Any], words: str
) -> None:
    for content in document.get("contents", []):
        if isinstance(content.get("url"), str):
            content["url"] = content["url"].replace("FILES", files)
    answer = client.post(path, json=document)
    assert refused(answer) == (400, 1201)
    assert words in answer.json()["message"]
    assert kling.jobs() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"element_name": "M" * 21},
        {"element_description": ""},
        {"reference_type": "text_refer"},
        {"element_image_list": {"frontal_image": "FILES/f0.png", "refer_images": []}},
        {"element_image_list": {"frontal_image": "FILES/f0.png"}},
        {"element_video_list": {}, "reference_type": "video_refer"},
        {
            "element_video_list": {"refer_videos": [{"video_url": "FILES/a.mp4"}]},
            "reference_type": "video_refer",
        },
        {"tag_list": [{"tag_id": "o_109"}]},
        {"name": "Moss"},
    ],
)
def test_elements_that_are_refused(client: httpx.Client, files: str, changes: dict[str, Any]) -> None:
    fields = {
        "element_name": "Moss",
        "element_description": "a fox",
        "reference_type": "image_refer",
        "element_image_list": {"frontal_image": "FILES/f0.png", "refer_images": [{"image_url": "FILES/f1.png"}]},
        **changes,
    }
    body = json.dumps(fields).replace("FILES", files)
    answer = client.post(ELEMENTS, content=body, headers={"Content-Type": "application/json"})
    assert refused(answer) == (400, 1201)


def test_codes(client: httpx.Client, kling: Simulator) -> None:
    path, document = "/text-to-video/kling-3.0-turbo", {"prompt": "x"}
    assert refused(httpx.post(f"{kling.url}{path}", json=document)) == (401, 1001)
    assert refused(client.post(path, json=document, headers={"Authorization": "Bearer nonsense"})) == (401, 1002)
    assert refused(client.post(path, json={"prompt": "something forbidden"})) == (400, 1301)
    assert refused(client.post("/text-to-video/kling-3.0-omni", json=document)) == (404, 1203)
    assert refused(client.post("/nothing", json={})) == (404, 1203)
    assert refused(client.get(path)) == (405, 1202)
    kling.settings(arrears=["a"])
    assert refused(client.post(path, json=document)) == (429, 1102)
    kling.settings(arrears=[], concurrency=1, speed=0)
    data(client.post(path, json=document))
    assert refused(client.post(path, json=document)) == (429, 1303)
    callback = {**document, "options": {"callback_url": "https://example.com/cb"}}
    assert client.post(path, json=callback).status_code == 501


def test_external_ids_are_unique_in_an_account(client: httpx.Client, kling: Simulator, files: str) -> None:
    path = "/text-to-video/kling-3.0-turbo"
    document = {"prompt": "x", "options": {"external_task_id": "one"}}
    data(client.post(path, json=document))
    answer = client.post(path, json=document)
    assert refused(answer) == (400, 1201)
    assert "already exists" in answer.json()["message"]
    data(client.post(path, json=document, headers={"Authorization": "Bearer sim-b"}))
    assert len(kling.jobs()) == 2


def test_tasks(client: httpx.Client) -> None:
    path = "/text-to-video/kling-3.0-turbo"
    made = [data(client.post(path, json={"prompt": f"number {n}"}))["id"] for n in range(3)]
    listed = data(client.get("/tasks", params={"task_ids": ",".join([*made[:2], "800"])}))
    assert sorted(task["id"] for task in listed) == sorted(made[:2])  # and not a word of the third
    assert data(client.get("/tasks", params={"task_ids": made[0]}, headers={"Authorization": "Bearer sim-b"})) == []
    for query in ({}, {"task_ids": "1", "external_task_ids": "2"}, {"task_ids": ",".join(["1"] * 21)}):
        assert refused(client.get("/tasks", params=query)) == (400, 1201)
    page = data(client.post("/tasks", json={"limit": 2}))
    assert ([task["id"] for task in page["result"]], page["has_more"]) == (made[:0:-1], True)
    rest = data(client.post("/tasks", json={"cursor": page["next_cursor"]}))
    assert ([task["id"] for task in rest["result"]], rest["has_more"]) == (made[:1], False)
    failed = data(client.post("/tasks", json={"filters": [{"key": "status", "values": ["failed"]}]}))
    assert failed["result"] == []
    assert refused(client.post("/tasks", json={"limit": 501})) == (400, 1201)


def test_elements_live_until_they_are_deleted(client: httpx.Client, kling: Simulator, files: str) -> None:
    made = element(client, files, external_task_id="mine")
    moss = str(made["task_result"]["elements"][0]["element_id"])
    assert data(client.get(f"{ELEMENTS}/mine"))["task_id"] == made["task_id"]
    assert [entry["task_id"] for entry in data(client.get(ELEMENTS, params={"pageSize": 5}))] == [made["task_id"]]
    missing = client.get(f"{ELEMENTS}/900")
    assert refused(missing) == (400, 1201)
    assert "not found" in missing.json()["message"]
    kling.settings(delete_path="plain")
    assert refused(client.post("/v1/general/delete-advanced-elements", json={"element_id": moss})) == (404, 1202)
    data(client.post("/v1/general/delete-elements", json={"element_id": moss}))
    assert data(client.get(f"{ELEMENTS}/mine"))["task_result"]["elements"][0]["status"] == "deleted"
    use = omni({"type": "element", "element_id": moss, "id": "Moss"})
    use["contents"][0]["text"] = "@Moss"
    assert refused(client.post(OMNI, json=use)) == (400, 1201)


def test_failures_and_dead_addresses(client: httpx.Client, kling: Simulator, files: str) -> None:
    path = "/text-to-video/kling-3.0-turbo"
    later = finish(client, data(client.post(path, json={"prompt": "refused-later"}))["id"])
    assert (later["status"], "risk control" in later["message"]) == ("failed", True)
    assert element(client, files, element_name="refused-later")["task_status"] == "failed"
    done = finish(client, data(client.post(path, json={"prompt": "x", "settings": {"duration": 3}}))["id"])
    kling.settings(output_seconds=-1, success="succeed")
    assert httpx.get(done["outputs"][0]["url"]).status_code == 403
    assert finish(client, done["id"])["status"] == "succeed"


def test_faults_and_restarts(tmp_path: Path) -> None:
    with Simulator(tmp_path, speed=40, module="local.simulators.kling") as simulator:
        headers = {"Authorization": "Bearer sim-a"}
        url = f"{simulator.url}/text-to-video/kling-3.0-turbo"
        document = {"prompt": "x", "settings": {"duration": 3}, "options": {"external_task_id": "one"}}
        simulator.fault(method="POST", action="reset", when="after")
        with pytest.raises(httpx.ReadError):
            httpx.post(url, headers=headers, json=document)
        (job,) = simulator.jobs()
        assert simulator.requests()[0]["created"] == job["id"]
        simulator.restart()
        with httpx.Client(base_url=simulator.url, headers=headers) as client:
            (task,) = data(client.get("/tasks", params={"external_task_ids": "one"}))
            assert finish(client, task["id"])["status"] == "succeeded"

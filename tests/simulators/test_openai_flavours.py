"""Two OpenAI-shaped servers: Azure, and self-hosted servers like vLLM-Omni."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from local.simulators.process import Simulator
from local.simulators.shared import footage


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    state, arguments = tmp_path_factory.mktemp("azure"), ["--set", 'retired=["old"]']
    with (
        Simulator(state, flavour="azure", speed=40, arguments=arguments) as simulator,
        httpx.Client(base_url=f"{simulator.url}/openai/v1", headers={"api-key": "sim-a"}, timeout=20) as http,
    ):
        yield http


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        Simulator(tmp_path_factory.mktemp("vllm"), flavour="vllm", speed=40) as simulator,
        httpx.Client(base_url=simulator.base_url, timeout=20) as http,
    ):
        yield http


def finished(http: httpx.Client, video: str) -> httpx.Response:
    while (answer := http.get(f"/videos/{video}")).json()["status"] in ("queued", "in_progress"):
        time.sleep(0.02)
    return answer


def test_azure(azure: httpx.Client) -> None:
    body = {"model": "my-deployment", "prompt": "rain on a tin roof", "size": "1280x720", "seconds": "4"}
    made = azure.post("/videos?api-version=preview", json=body).json()
    assert made["model"] == "my-deployment"
    assert finished(azure, made["id"]).json()["status"] == "completed"
    assert azure.get(f"/videos/{made['id']}/content").content[4:8] == b"ftyp"
    assert azure.post("/videos/edits", json={"prompt": "y", "video": {"id": made["id"]}}).status_code == 200
    assert azure.get("/videos", headers={"api-key": "", "Authorization": "Bearer sim-a"}).status_code == 200
    extension = azure.post("/videos/extensions", json={"prompt": "y", "video": {"id": made["id"]}, "seconds": "4"})
    assert extension.status_code in (404, 405)
    retired = azure.post("/videos", json={**body, "model": "old"})
    assert retired.status_code == 410 and set(retired.json()["error"]) >= {"code", "message", "details", "debugInfo"}
    assert azure.get("/videos", headers={"api-key": "wrong"}).status_code == 401


def test_vllm(vllm: httpx.Client, tmp_path: Path) -> None:
    made = vllm.post("/videos", files={"prompt": (None, "a river"), "seconds": (None, "3"), "size": (None, "640x352")})
    assert made.status_code == 200 and made.json()["id"].startswith("video_gen_")
    video = finished(vllm, made.json()["id"]).json()
    assert (video["status"], video["model"], video["seconds"]) == ("completed", "wan-2.2", "3")
    content = vllm.get(f"/videos/{video['id']}/content?variant=thumbnail")
    assert content.headers["content-type"] == "video/mp4"  # it does not know variants
    (tmp_path / "video.mp4").write_bytes(content.content)
    facts = footage.probe(tmp_path / "video.mp4")
    assert (facts.width, facts.height) == (640, 352) and facts.duration == pytest.approx(3, abs=0.05)
    assert [each["id"] for each in vllm.get("/videos").json()["data"]] == [video["id"]]
    assert vllm.delete(f"/videos/{video['id']}").json()["deleted"] is True
    assert vllm.get(f"/videos/{video['id']}").status_code == 404


def test_vllm_failed_job_is_an_http_error(vllm: httpx.Client) -> None:
    for word, status in (("refused-later", 400), ("fails-later", 500)):
        made = vllm.post("/videos", files={"prompt": (None, f"a {word} river")}).json()
        answer = finished(vllm, made["id"])
        assert answer.status_code == status
        assert answer.json()["status"] == "failed" and answer.json()["error"]["code"] == status
        assert vllm.get(f"/videos/{made['id']}/content").status_code == 422


def test_vllm_references(vllm: httpx.Client, luna: Path, tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    image_url = "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
    video_url = "data:video/mp4;base64," + base64.b64encode(luna.read_bytes()).decode()
    files = {
        "prompt": (None, "as shown"),
        "seconds": (None, "1"),
        "image_reference": (None, json.dumps([{"image_url": image_url}])),
        "video_reference": (None, json.dumps({"video_url": video_url})),
    }
    made = vllm.post("/videos", files=files)
    assert made.status_code == 200, made.text
    assert finished(vllm, made.json()["id"]).json()["status"] == "completed"
    (tmp_path / "video.mp4").write_bytes(vllm.get(f"/videos/{made.json()['id']}/content").content)
    assert footage.probe(tmp_path / "video.mp4").duration == pytest.approx(1, abs=0.05)
    for bad in ("no json", json.dumps({"image_url": image_url}), json.dumps({"video_url": image_url})):
        assert vllm.post("/videos", files={**files, "video_reference": (None, bad)}).status_code == 400


def test_vllm_refusals(vllm: httpx.Client) -> None:
    assert vllm.post("/videos", json={"prompt": "x"}).status_code == 422
    for field, value, status in (("model", "other", 400), ("seconds", "0", 422), ("size", "big", 422)):
        answer = vllm.post("/videos", files={"prompt": (None, "x"), field: (None, value)})
        assert answer.status_code == status and answer.json()["error"]["code"] == status
    for path in ("/videos/edits", "/videos/extensions", "/videos/characters", "/videos/v/remix"):
        assert vllm.post(path, json={"prompt": "x"}).status_code in (404, 405)
    made = vllm.post("/videos", files={"prompt": (None, "this sticks-forever")}).json()["id"]
    assert vllm.get(f"/videos/{made}/content").status_code == 404
    assert vllm.delete(f"/videos/{made}").status_code == 200

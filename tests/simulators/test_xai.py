"""xAI's simulator: the wire format of its REST reference, and the AI SDK's xAI provider up to a file that plays."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from local.simulators.process import Simulator
from local.simulators.shared import footage
from local.simulators.shared.render import sample_clip

CLIENT = Path(__file__).parent / "xai_client"
ORDER = {"model": "grok-imagine-video", "prompt": "a tram crosses a rainy bridge"}
SPEED = 40.0


@pytest.fixture(scope="module")
def shared_xai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("xai"), speed=SPEED, module="local.simulators.xai") as simulator:
        yield simulator


@pytest.fixture
def xai(shared_xai: Simulator) -> Iterator[Simulator]:
    before = shared_xai.settings()
    shared_xai.reset()
    yield shared_xai
    shared_xai.settings(**before)


@pytest.fixture
def http(xai: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=xai.base_url, timeout=20, headers={"Authorization": "Bearer sim-a"}) as http:
        yield http


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    sizes = {"short": (3, (640, 360)), "tall": (2, (480, 864)), "long": (10, (320, 240))}
    return {name: sample_clip(folder / f"{name}.mp4", *shape) for name, shape in sizes.items()}


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def still(width: int = 640, height: int = 360) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def place(http: httpx.Client, path: str = "generations", **fields: Any) -> str:
    answer = http.post(f"/videos/{path}", json={**ORDER, **fields})
    assert answer.status_code == 200 and set(answer.json()) == {"request_id"}, answer.text
    return str(answer.json()["request_id"])


def end(http: httpx.Client, request_id: str) -> httpx.Response:
    """Wait for the first answer that is not a 202, and return it."""
    until = time.monotonic() + 20
    while (answer := http.get(f"/videos/{request_id}")).status_code == 202 and time.monotonic() < until:
        time.sleep(0.02)
    return answer


def file_of(http: httpx.Client, request_id: str, folder: Path) -> footage.VideoFacts:
    video = end(http, request_id).json()["video"]
    path = folder / "video.mp4"
    path.write_bytes(httpx.get(video["url"]).content)
    return footage.probe(path)


# The wire


def test_a_pending_job_answers_202_with_an_empty_body_first(http: httpx.Client, xai: Simulator) -> None:
    xai.settings(speed=0)
    request_id = place(http)
    waiting = http.get(f"/videos/{request_id}")
    assert (waiting.status_code, waiting.content) == (202, b"")
    xai.settings(speed=1, queued_seconds=0.0)
    running = http.get(f"/videos/{request_id}")
    assert running.status_code == 202 and running.json()["status"] == "pending"
    xai.settings(speed=SPEED)
    done = end(http, request_id)
    assert done.status_code == 200
    assert done.json() | {"video": None} == {
        "status": "done",
        "progress": 100,
        "model": "grok-imagine-video",
        "video": None,
        "usage": {"cost_in_usd_ticks": 4_000_000_000},
    }
    assert set(done.json()["video"]) == {"url", "duration", "respect_moderation"}


def test_the_address_of_a_video_takes_no_key_and_dies(http: httpx.Client, xai: Simulator) -> None:
    url = end(http, place(http, duration=1)).json()["video"]["url"]
    assert httpx.get(url).headers["content-type"] == "video/mp4"
    assert httpx.get(url, headers={"Authorization": "Bearer sim-a"}).status_code == 400
    xai.settings(output_seconds=-1)
    dead = end(http, place(http, duration=1)).json()["video"]["url"]
    assert httpx.get(dead).status_code == 403


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"aspect_ratio": "16:9"}, (848, 480)),
        ({"aspect_ratio": "9:16", "resolution": "720p"}, (720, 1280)),
        ({"aspect_ratio": "1:1", "resolution": "720p"}, (720, 720)),
        ({"model": "grok-imagine-video-1.5", "resolution": "1080p"}, (1920, 1080)),
        ({"image": {"url": data_url(still(400, 300))}}, (640, 480)),  # a first frame gives its shape
    ],
)
def test_sizes(http: httpx.Client, tmp_path: Path, fields: dict[str, Any], size: tuple[int, int]) -> None:
    facts = file_of(http, place(http, duration=1, **fields), tmp_path)
    assert (facts.width, facts.height) == size and facts.duration == pytest.approx(1, abs=0.1)


def test_seconds_is_an_alias(http: httpx.Client, xai: Simulator) -> None:
    place(http, seconds="3")
    place(http, seconds=4)
    place(http)
    assert [job["seconds"] for job in xai.jobs()] == [3, 4, 8]
    assert http.post("/videos/generations", json={**ORDER, "seconds": 4, "duration": 4}).status_code == 400


REFERENCE = {"url": data_url(still())}


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("generations", {"prompt": ""}, 400),
        ("generations", {"prompt": 7}, 422),
        ("generations", {"prompt": "x" * 4097}, 400),
        ("edits", {"prompt": "x" * 4097, "video": {"url": "https://ex.org/a.mp4"}}, 400),
        ("generations", {"model": "grok-imagine-image"}, 404),
        ("generations", {"duration": 16}, 400),
        ("generations", {"duration": 0}, 400),
        ("generations", {"duration": "5"}, 422),
        ("generations", {"duration": True}, 422),
        ("generations", {"aspect_ratio": "7:3"}, 422),
        ("generations", {"resolution": "1080p"}, 400),
        ("generations", {"size": "1280x720"}, 400),
        ("generations", {"image": "https://ex.org/a.png"}, 422),
        ("generations", {"image": {"url": "x", "file_id": "y"}}, 400),
        ("generations", {"image": {"file_id": "y"}}, 501),
        ("generations", {"storage_options": {"filename": "x"}}, 501),
        ("generations", {"reference_images": [REFERENCE] * 8}, 400),
        ("generations", {"reference_images": [REFERENCE], "duration": 11}, 400),
        ("generations", {"reference_images": [REFERENCE], "image": REFERENCE}, 400),
        ("generations", {"last_frame": REFERENCE}, 400),
        (
            "generations",
            {"model": "grok-imagine-video-1.5", "reference_images": [REFERENCE], "resolution": "1080p"},
            400,
        ),
        ("generations", {"model": "grok-imagine-video-1.5-lite", "reference_images": [REFERENCE]}, 400),
        ("edits", {"video": {"url": "https://ex.org/a.mp4"}, "duration": 5}, 400),
        ("edits", {"video": {"url": "https://ex.org/a.mp4"}, "resolution": "720p"}, 400),
        ("edits", {}, 422),
        ("extensions", {"video": {"url": "https://ex.org/a.mp4"}, "duration": 1}, 400),
        ("extensions", {"video": {"url": "https://ex.org/a.mp4"}, "duration": 11}, 400),
    ],
)
def test_what_is_refused_at_once(
    http: httpx.Client, xai: Simulator, path: str, fields: dict[str, Any], status: int
) -> None:
    answer = http.post(f"/videos/{path}", json={**ORDER, **fields})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] and xai.jobs() == []


def test_what_is_allowed_on_newer_models(http: httpx.Client) -> None:
    both = place(http, model="grok-imagine-video-1.5", image=REFERENCE, reference_images=[REFERENCE] * 14, duration=1)
    assert end(http, both).json()["usage"] == {"cost_in_usd_ticks": 800_000_000 + 15 * 100_000_000}


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("generations", {"image": {"url": data_url(b"not an image")}}, "invalid_argument"),
        ("generations", {"reference_images": [{"url": "http://127.0.0.1:9/a.png"}]}, "invalid_argument"),
        ("edits", {"clip": "long"}, "invalid_argument"),
        ("edits", {"clip": "short", "model": "grok-imagine-video-1.5"}, "failed_precondition"),
        ("extensions", {"clip": "short", "model": "grok-imagine-video-1.5-lite"}, "failed_precondition"),
    ],
)
def test_faults_of_content_show_in_the_finished_job(
    http: httpx.Client, clips: dict[str, Path], path: str, fields: dict[str, Any], code: str
) -> None:
    if clip := fields.pop("clip", None):
        fields["video"] = {"url": data_url(clips[clip].read_bytes(), "video/mp4")}
    answer = end(http, place(http, path, **fields))
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["error"]["code"]) == ("failed", code)


def test_edit_keeps_length_and_shape_and_an_extension_is_the_whole(
    http: httpx.Client, clips: dict[str, Path], tmp_path: Path
) -> None:
    video = {"url": data_url(clips["tall"].read_bytes(), "video/mp4")}
    edited = file_of(http, place(http, "edits", video=video), tmp_path)
    assert (edited.width, edited.height, round(edited.duration)) == (480, 864, 2)
    extended = file_of(http, place(http, "extensions", video=video, duration=3), tmp_path)
    assert (extended.width, extended.height, round(extended.duration)) == (480, 864, 5)


def test_errors_have_three_shapes(http: httpx.Client, xai: Simulator) -> None:
    def error(**fields: Any) -> Any:
        return http.post("/videos/generations", json={**ORDER, **fields}).json()

    assert set(error(duration=99)) == {"code", "error"}
    assert set(error(duration="x")) == {"error"}
    xai.settings(error_shape="nested")
    assert set(error(duration=99)["error"]) == {"message", "type", "param", "code"}
    xai.settings(error_shape="bare")
    assert set(error(duration=99)) == {"error"}


def test_keys_and_accounts(http: httpx.Client, xai: Simulator) -> None:
    request_id = place(http)
    other = {"Authorization": "Bearer sim-b"}
    assert http.get(f"/videos/{request_id}", headers=other).status_code == 404
    wrong = http.get(f"/videos/{request_id}", headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 400 and "API key" in wrong.json()["error"]  # theirs is no 401
    assert httpx.get(f"{xai.base_url}/videos/{request_id}").status_code == 401
    xai.revoke(account="a")
    assert http.get(f"/videos/{request_id}").status_code == 400
    assert http.delete(f"/videos/{request_id}", headers=other).status_code == 405
    assert http.post("/videos/generations", data={"prompt": "x"}, headers=other).status_code == 415


def test_moderation_in_each_form(http: httpx.Client, xai: Simulator) -> None:
    assert http.post("/videos/generations", json={**ORDER, "prompt": "forbidden"}).status_code == 403
    shown = {}
    for form in ("flag", "refusal", "failure", "bare"):
        xai.settings(moderation=form)
        answer = end(http, place(http, prompt="refused-later", duration=1))
        shown[form] = (answer.status_code, answer.json())
    assert shown["flag"][1]["video"] == {"url": "", "duration": 1, "respect_moderation": False}
    assert shown["refusal"] == (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Generated video rejected by content moderation.",
            "usage": {"cost_in_usd_ticks": 500_000_000},
        },
    )
    assert shown["failure"][1]["error"]["code"] == "internal_error"
    assert shown["bare"][1]["code"] == "imagine:content-moderated"


def test_faults_and_state_outlive_the_process(http: httpx.Client, tmp_path: Path) -> None:
    with Simulator(tmp_path / "own", speed=SPEED, module="local.simulators.xai") as own:
        with httpx.Client(base_url=own.base_url, headers=dict(http.headers)) as client:
            broken = place(client, image={"url": data_url(b"nothing")})
            own.fault(method="POST", path="/generations$", action="die")
            with pytest.raises(httpx.TransportError):
                place(client)
        assert own.wait_dead() == 70
        own.restart()
        assert [record["outcome"] for record in own.requests(method="POST")] == ["answered", "died"]
        with httpx.Client(base_url=own.base_url, headers=dict(http.headers)) as client:
            assert end(client, broken).json()["error"]["code"] == "invalid_argument"
            assert len(own.jobs()) == 2


# The vendor's client for JavaScript

needs_client = pytest.mark.skipif(
    shutil.which("node") is None or not (CLIENT / "node_modules").is_dir(),
    reason=f"xAI's client is not installed: run `npm ci` in {CLIENT}",
)


def generate(simulator: Simulator, /, key: str = "sim-a", **order: Any) -> dict[str, Any]:
    command = ["node", "client.mjs", json.dumps({"model": "grok-imagine-video", **order}, default=str)]
    environment = {"PATH": os.environ["PATH"], "XAI_BASE_URL": simulator.base_url, "XAI_KEY": key}
    done = subprocess.run(command, cwd=CLIENT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@needs_client
def test_sdk_from_text_to_a_file(xai: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    made = generate(xai, prompt="a heron", duration=2, aspectRatio="9:16", resolution="1280x720", file=path)
    facts = footage.probe(path)
    assert (facts.width, facts.height, facts.video_codec) == (720, 1280, "h264")
    assert facts.duration == pytest.approx(2, abs=0.1)
    assert (made["mediaType"], made["metadata"]["costInUsdTicks"]) == ("video/mp4", 1_400_000_000)
    (record,) = xai.requests(operation="create_video")
    fields = {"prompt": "a heron", "duration": 2, "aspect_ratio": "9:16", "resolution": "720p"}
    assert record["json"] == {"model": "grok-imagine-video", **fields}


@needs_client
def test_sdk_with_references_and_with_a_first_frame(xai: Simulator, tmp_path: Path) -> None:
    picture = tmp_path / "still.png"
    picture.write_bytes(still())
    prompt = "the fox from <IMAGE_1> and the owl from <IMAGE_2>"
    generate(xai, prompt=prompt, references=[picture, picture], duration=1)
    generate(xai, prompt="it turns", image=picture, duration=1)
    first, second = xai.requests(operation="create_video")
    assert len(first["json"]["reference_images"]) == 2 and "image" in second["json"]
    assert [len(job["references"]) for job in xai.jobs()] == [2, 0]


@needs_client
def test_sdk_edits_and_extends(xai: Simulator, tmp_path: Path) -> None:
    source = generate(xai, prompt="a cat on a sill", duration=2)["metadata"]["videoUrl"]
    edited, extended = tmp_path / "edited.mp4", tmp_path / "extended.mp4"
    generate(xai, prompt="make it snow", xai={"mode": "edit-video", "videoUrl": source}, file=edited)
    generate(xai, prompt="it leaps", duration=3, xai={"mode": "extend-video", "videoUrl": source}, file=extended)
    assert round(footage.probe(edited).duration) == 2 and round(footage.probe(extended).duration) == 5
    (edit,), (extend,) = xai.requests(operation="edit_video"), xai.requests(operation="extend_video")
    assert edit["json"] == {"model": "grok-imagine-video", "prompt": "make it snow", "video": {"url": source}}
    assert extend["json"]["duration"] == 3


@needs_client
def test_sdk_understands_each_refusal(xai: Simulator) -> None:
    def error(**order: Any) -> tuple[str, Any]:
        found = generate(xai, duration=1, **order)["error"]
        return found["name"], found.get("statusCode")

    assert error(prompt="forbidden") == ("AI_APICallError", 403)
    assert error(prompt="x", key="nonsense") == ("AI_APICallError", 400)
    assert error(prompt="refused-later")[0] == "XAI_VIDEO_MODERATION_ERROR"
    assert error(prompt="fails-later")[0] == "XAI_VIDEO_GENERATION_FAILED"
    xai.settings(moderation="refusal")
    assert error(prompt="refused-later") == ("AI_APICallError", 400)

"""Runway's simulator: the wire format of the contract, and Runway's own client up to a file that plays."""

from __future__ import annotations

import base64
import http.server
import io
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import httpx
import pytest
from PIL import Image

from local.simulators.process import Simulator
from local.simulators.runwayml.models import REQUESTS
from local.simulators.shared import footage
from local.simulators.shared.render import sample_clip

HEADERS = {"Authorization": "Bearer sim-a", "X-Runway-Version": "2024-11-06"}
TEXT = {"model": "gen4.5", "promptText": "a heron lifts off a misty pond", "ratio": "1280:720", "duration": 5}
CLIPS = {"model": "seedance2", "promptText": "Video 1 dances"}
EDIT = {"model": "aleph2", "promptText": "make it snow"}
SPEED = 40.0


@pytest.fixture(scope="module")
def shared_runway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("runway"), speed=SPEED, module="local.simulators.runwayml") as simulator:
        yield simulator


@pytest.fixture
def runway(shared_runway: Simulator) -> Iterator[Simulator]:
    before = shared_runway.settings()
    shared_runway.reset()
    yield shared_runway
    shared_runway.settings(**before)


@pytest.fixture
def http_(runway: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=runway.base_url, timeout=20, headers=HEADERS) as client:
        yield client


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    lengths = {"blink": 1, "short": 3, "middle": 9, "long": 16}
    return {name: sample_clip(folder / f"{name}.mp4", seconds, (320, 240)) for name, seconds in lengths.items()}


def data_uri(content: bytes, mime_type: str = "image/png") -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def picture(colour: tuple[int, int, int] = (200, 40, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 360), colour).save(buffer, "PNG")
    return buffer.getvalue()


def upload(client: httpx.Client, path: Path) -> str:
    place = client.post("/uploads", json={"filename": path.name, "type": "ephemeral"}).json()
    sent = httpx.post(place["uploadUrl"], data=place["fields"], files={"file": (path.name, path.read_bytes())})
    assert sent.status_code == 204, sent.text
    return str(place["runwayUri"])


def end(client: httpx.Client, task_id: str) -> dict[str, Any]:
    until = time.monotonic() + 20
    while (task := client.get(f"/tasks/{task_id}").json())["status"] not in {"SUCCEEDED", "FAILED"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    return dict(task)


def refused(answer: httpx.Response, path: list[str | int]) -> str:
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["error"], set(body)) == ("Validation of body failed", {"error", "issues", "docUrl"})
    (issue,) = body["issues"]
    assert issue["path"] == path
    return str(issue["message"])


# The wire


def test_a_task_from_order_to_file(http_: httpx.Client, runway: Simulator, tmp_path: Path) -> None:
    runway.settings(speed=0)
    made = http_.post("/text_to_video", json=TEXT)
    assert made.status_code == 200
    assert made.json() == {"id": made.json()["id"], "estimatedCost": {"credits": 60}}
    task_id = made.json()["id"]
    waiting = http_.get(f"/tasks/{task_id}").json()
    assert set(waiting) == {"id", "status", "createdAt", "estimatedCost"}
    assert waiting["status"] == "PENDING"
    runway.settings(queued_seconds=0.0, run_seconds=100.0, speed=100)
    time.sleep(0.1)
    runway.settings(speed=0)
    running = http_.get(f"/tasks/{task_id}").json()
    assert running["status"] == "RUNNING"
    assert 0 < running["progress"] < 1
    runway.settings(speed=SPEED, run_seconds=1.6)
    done = end(http_, task_id)
    assert set(done) == {"id", "status", "createdAt", "output", "cost"}
    assert done["cost"] == {"credits": 60}
    (url,) = done["output"]
    path = tmp_path / "video.mp4"
    path.write_bytes(httpx.get(url).content)
    facts = footage.probe(path)
    assert (facts.width, facts.height, round(facts.duration)) == (1280, 720, 5)
    assert httpx.get(url, headers=HEADERS).status_code == 400  # a key has no business there


def test_addresses_die_and_are_made_anew(http_: httpx.Client, runway: Simulator) -> None:
    task_id = http_.post("/text_to_video", json={**TEXT, "duration": 2}).json()["id"]
    runway.settings(output_seconds=-1)
    assert httpx.get(end(http_, task_id)["output"][0]).status_code == 403
    runway.settings(output_seconds=60)
    assert httpx.get(end(http_, task_id)["output"][0]).status_code == 200


def test_the_version_header_must_be_exact(http_: httpx.Client) -> None:
    for wrong in ("2024-11-07", "", "v1"):
        answer = http_.post("/text_to_video", json=TEXT, headers={"X-Runway-Version": wrong})
        assert answer.status_code == 400 and "X-Runway-Version" in answer.json()["error"]
    bare = httpx.post(f"{http_.base_url}text_to_video", json=TEXT, headers={"Authorization": "Bearer sim-a"})
    assert bare.status_code == 400


def test_keys_and_accounts(http_: httpx.Client, runway: Simulator) -> None:
    task_id = http_.post("/text_to_video", json=TEXT).json()["id"]
    assert http_.get(f"/tasks/{task_id}", headers={"Authorization": "Bearer sim-b"}).status_code == 404
    assert http_.get(f"/tasks/{task_id}", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert httpx.get(f"{http_.base_url}tasks/{task_id}").status_code == 401
    runway.revoke(account="a")
    answer = http_.get(f"/tasks/{task_id}")
    assert (answer.status_code, set(answer.json())) == (401, {"error", "docUrl"})


def test_delete(http_: httpx.Client) -> None:
    task_id = http_.post("/text_to_video", json=TEXT).json()["id"]
    assert http_.delete(f"/tasks/{task_id}").status_code == 204
    assert http_.get(f"/tasks/{task_id}").status_code == 404
    assert http_.delete(f"/tasks/{task_id}").status_code == 404


def test_one_task_too_many_is_throttled(http_: httpx.Client, runway: Simulator) -> None:
    runway.settings(speed=0, concurrency=1)
    first, second = (http_.post("/text_to_video", json=TEXT).json()["id"] for _ in range(2))
    runway.settings(speed=0.001)
    assert [http_.get(f"/tasks/{one}").json()["status"] for one in (first, second)] == ["PENDING", "PENDING"]
    third = http_.post("/text_to_video", json=TEXT).json()["id"]
    assert http_.get(f"/tasks/{third}").json()["status"] == "THROTTLED"


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("something forbidden", "SAFETY.INPUT.TEXT"),
        ("refused-later", "SAFETY.OUTPUT.VIDEO"),
        ("fails-later", "INTERNAL.BAD_OUTPUT.CODE01"),
    ],
)
def test_failures(http_: httpx.Client, prompt: str, code: str) -> None:
    task = end(http_, http_.post("/text_to_video", json={**TEXT, "promptText": prompt}).json()["id"])
    assert set(task) == {"id", "status", "createdAt", "failure", "failureCode", "cost"}
    assert (task["failureCode"], task["cost"]) == (code, {"credits": 0})


def test_an_account_without_credits(http_: httpx.Client, runway: Simulator) -> None:
    runway.settings(credits=59)
    answer = http_.post("/text_to_video", json=TEXT)
    assert (answer.status_code, answer.json()["error"]) == (400, "You do not have enough credits to run this task.")


@pytest.mark.parametrize(
    ("endpoint", "body", "path"),
    [
        ("text_to_video", {**TEXT, "model": "gen9"}, ["model"]),
        ("text_to_video", {**TEXT, "model": "aleph2"}, ["model"]),
        ("text_to_video", {**TEXT, "promptText": ""}, ["promptText"]),
        ("text_to_video", {**TEXT, "promptText": "x" * 1001}, ["promptText"]),
        ("text_to_video", {**TEXT, "promptText": "\U0001f98a" * 501}, ["promptText"]),
        ("text_to_video", {**TEXT, "ratio": "1280x720"}, ["ratio"]),
        ("text_to_video", {**TEXT, "ratio": "1104:832"}, ["ratio"]),
        ("text_to_video", {**TEXT, "duration": "5"}, ["duration"]),
        ("text_to_video", {**TEXT, "duration": 11}, ["duration"]),
        ("text_to_video", {**TEXT, "size": "1280x720"}, ["size"]),
        ("text_to_video", {"model": "gen4.5", "promptText": "x", "ratio": "1280:720"}, ["duration"]),
        ("text_to_video", {**TEXT, "model": "veo3.1", "duration": 5}, ["duration"]),
        ("text_to_video", {**TEXT, "references": [{"uri": "runway://x"}]}, ["references"]),
        ("text_to_video", {**CLIPS, "referenceVideos": [{"uri": "runway://x"}]}, ["referenceVideos"]),
        ("text_to_video", {**CLIPS, "duration": 3}, ["duration"]),
        ("image_to_video", TEXT, ["promptImage"]),
        ("image_to_video", {**TEXT, "promptImage": [{"uri": "x"}]}, ["promptImage"]),
        ("image_to_video", {**TEXT, "promptImage": [{"uri": "x", "position": "last"}]}, ["promptImage"]),
        ("image_to_video", {**TEXT, "promptImage": "runway://nothing"}, ["promptImage", 0, "uri"]),
        ("video_to_video", EDIT, ["videoUri"]),
        ("video_to_video", {**EDIT, "videoUri": "runway://nothing"}, ["videoUri"]),
        ("video_to_video", {**EDIT, "videoUri": "runway://nothing", "duration": 5}, ["duration"]),
        ("video_to_video", {"model": "seedance2_5", "promptVideo": "x", "mode": "edit"}, ["promptText"]),
        (
            "video_to_video",
            {"model": "seedance2_5", "promptVideo": "x", "mode": "edit", "promptText": "y", "duration": 5},
            ["duration"],
        ),
    ],
)
def test_what_is_refused(
    http_: httpx.Client, runway: Simulator, endpoint: str, body: dict[str, Any], path: list[str | int]
) -> None:
    assert refused(http_.post(f"/{endpoint}", json=body), path)
    assert runway.jobs() == []


def test_the_form_of_an_upload(http_: httpx.Client, clips: dict[str, Path]) -> None:
    def place() -> dict[str, Any]:
        return dict(http_.post("/uploads", json={"filename": "a.mp4", "type": "ephemeral"}).json())

    def send(to: dict[str, Any], *parts: tuple[str, Any], headers: dict[str, str] | None = None) -> int:
        return httpx.post(to["uploadUrl"], files=list(parts), headers=headers).status_code

    content = clips["short"].read_bytes()
    given = place()
    fields: list[tuple[str, Any]] = [(name, (None, value)) for name, value in given["fields"].items()]
    file = ("file", ("a.mp4", content))
    assert send(given, file, *fields) == 403  # the fields come first
    assert send(given, file) == 403
    assert send(given, *fields, ("file", ("a.mp4", b"x" * 511))) == 400
    assert send(given, *fields, file, headers=HEADERS) == 400
    assert send(given, *fields, file) == 204
    assert send(given, *fields, file) == 403  # once
    assert refused(http_.post("/uploads", json={"filename": "a", "type": "ephemeral"}), ["filename"])
    assert refused(http_.post("/uploads", json={"filename": "a.mp4", "type": "forever"}), ["type"])


def test_an_upload_belongs_to_an_account_and_expires(
    http_: httpx.Client, runway: Simulator, clips: dict[str, Path]
) -> None:
    body = {**EDIT, "videoUri": upload(http_, clips["short"])}
    other = http_.post("/video_to_video", json=body, headers={"Authorization": "Bearer sim-b"})
    assert "does not exist" in refused(other, ["videoUri"])
    assert http_.post("/video_to_video", json=body).status_code == 200
    runway.settings(upload_seconds=0)
    assert "expired" in refused(http_.post("/video_to_video", json=body), ["videoUri"])


def test_limits_of_clips(http_: httpx.Client, clips: dict[str, Path]) -> None:
    uris = {name: upload(http_, path) for name, path in clips.items()}

    def order(model: str, *names: str, **more: Any) -> httpx.Response:
        kind = {} if "omni" in model else {"type": "video"}
        videos = [{**kind, "uri": uris[name]} for name in names]
        body = {"model": model, "promptText": "x", "referenceVideos": videos}
        return http_.post("/text_to_video", json={**body, **more})

    assert order("seedance2", "middle", "short", "short").status_code == 200
    refused(order("seedance2", "middle", "middle"), ["referenceVideos", 1, "uri"])
    refused(order("seedance2", "long"), ["referenceVideos", 0, "uri"])
    refused(order("seedance2", "blink"), ["referenceVideos", 0, "uri"])
    assert order("seedance2_5", "long").status_code == 200
    assert order("gemini_omni_flash_1.1", "short", "blink").status_code == 200
    refused(order("gemini_omni_flash_1.1", "middle"), ["referenceVideos", 0, "uri"])
    refused(http_.post("/video_to_video", json={**EDIT, "videoUri": uris["blink"]}), ["videoUri"])


def test_edit_and_extend(http_: httpx.Client, clips: dict[str, Path], tmp_path: Path) -> None:
    uri = upload(http_, clips["short"])

    def seconds(**body: Any) -> float:
        task = end(http_, http_.post("/video_to_video", json=body).json()["id"])
        path = tmp_path / "video.mp4"
        path.write_bytes(httpx.get(task["output"][0]).content)
        facts = footage.probe(path)
        assert (facts.width, facts.height) == (320, 240)
        return round(facts.duration)

    assert seconds(**EDIT, videoUri=uri) == 3
    omni = {"model": "gemini_omni_flash_1.1", "promptText": "more", "videoUri": uri}
    assert seconds(**omni, mode="extend", duration=4) == 7
    assert seconds(**omni, mode="edit") == 3
    seedance = {"model": "seedance2_5", "promptText": "snow", "promptVideo": uri}
    assert seconds(**seedance, mode="edit", duration="auto") == 3


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as a bucket does; `presigned/` answers only GET, as a presigned URL for GET does."""

    def do_HEAD(self) -> None:
        if "presigned" in self.path:
            self.send_error(403)
        elif "moved" in self.path:
            self.send_response(302)
            self.send_header("Location", "/short.mp4")
            self.end_headers()
        else:
            super().do_HEAD()

    def guess_type(self, path: Any) -> str:
        return "application/octet-stream" if "odd" in str(path) else "video/mp4"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def bucket(clips: dict[str, Path]) -> Iterator[str]:
    folder = clips["short"].parent
    (folder / "presigned").mkdir()
    for name in ("presigned/short.mp4", "odd.mp4"):
        (folder / name).write_bytes(clips["short"].read_bytes())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_inputs_by_address(http_: httpx.Client, runway: Simulator, bucket: str) -> None:
    def order(uri: str) -> httpx.Response:
        return http_.post("/video_to_video", json={**EDIT, "videoUri": uri})

    assert order(f"{bucket}/short.mp4").status_code == 200
    assert '"403"' in refused(order(f"{bucket}/presigned/short.mp4"), ["videoUri"])  # the HEAD before the GET
    assert '"302"' in refused(order(f"{bucket}/moved.mp4"), ["videoUri"])
    assert '"404"' in refused(order(f"{bucket}/nothing.mp4"), ["videoUri"])
    assert "octet-stream" in refused(order(f"{bucket}/odd.mp4"), ["videoUri"])
    assert "2048" in refused(order(f"{bucket}/short.mp4?{'x' * 2048}"), ["videoUri"])
    runway.settings(local_inputs=False)
    assert "HTTPS" in refused(order(f"{bucket}/short.mp4"), ["videoUri"])
    assert "domain" in refused(order("https://127.0.0.1/short.mp4"), ["videoUri"])


def test_inputs_as_data(http_: httpx.Client) -> None:
    def order(uri: str) -> httpx.Response:
        return http_.post("/image_to_video", json={**TEXT, "promptImage": uri})

    assert order(data_uri(picture())).status_code == 200
    path: list[str | int] = ["promptImage", 0, "uri"]
    assert "type" in refused(order(data_uri(picture(), "application/octet-stream")), path)
    assert "Invalid asset" in refused(order(data_uri(b"nothing")), path)
    assert "Too big" in refused(order(data_uri(picture() + bytes(5 * 1024**2))), path)


def test_state_outlives_the_process(tmp_path: Path, clips: dict[str, Path]) -> None:
    with Simulator(tmp_path / "own", speed=SPEED, module="local.simulators.runwayml") as own:
        with httpx.Client(base_url=own.base_url, headers=HEADERS) as client:
            uri = upload(client, clips["short"])
            own.fault(method="POST", path="/video_to_video$", action="die")
            with pytest.raises(httpx.TransportError):
                client.post("/video_to_video", json={**EDIT, "videoUri": uri})
        assert own.wait_dead() == 70
        own.restart()
        (job,) = own.jobs()
        with httpx.Client(base_url=own.base_url, headers=HEADERS) as client:
            assert end(client, job["id"])["status"] == "SUCCEEDED"
            assert client.post("/video_to_video", json={**EDIT, "videoUri": uri}).status_code == 200


# The vendor's client


@pytest.fixture(scope="module")
def sdk() -> Any:
    return pytest.importorskip("runwayml", reason="Runway's client is not installed: runwayml 5.24.0")


@pytest.fixture
def connect(runway: Simulator, sdk: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function that makes a client with short pauses between its polls."""
    from importlib import import_module

    polling = import_module("runwayml.lib.polling")
    monkeypatch.setattr(polling, "POLL_TIME", 0.05)
    monkeypatch.setattr(polling, "POLL_JITTER", 0.0)
    return lambda key="sim-a": sdk.RunwayML(api_key=key, base_url=runway.url, max_retries=0)


def shape(hint: Any) -> tuple[bool, Any]:
    """Return whether a field is required, and its type without `Required`."""
    required = False
    while get_origin(hint) is not None and getattr(get_origin(hint), "_name", None) == "Required":
        hint, required = get_args(hint)[0], True
    return required, hint


def test_the_models_are_those_of_the_sdk(sdk: Any) -> None:
    """The simulator's requests have the SDK's field names, required fields and ratios."""
    from importlib import import_module

    from typing_extensions import get_type_hints

    for endpoint, requests in REQUESTS.items():
        module = import_module(f"runwayml.types.{endpoint}_create_params")
        union = next(getattr(module, name) for name in module.__all__ if name.endswith("CreateParams"))
        typed = {}
        for kind in get_args(union):
            hints = {name: shape(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}
            typed[get_args(hints.pop("model")[1])[0]] = hints
        for model, request in requests.items():
            required: set[str] = set()
            every: set[str] = set()
            ratios: tuple[str, ...] = ()
            for name, (obligatory, hint) in typed[model].items():
                alias = next((one.alias for one in getattr(hint, "__metadata__", ()) if one.alias), name)
                every.add(alias)
                required |= {alias} if obligatory else set()
                if alias == "ratio" and get_origin(hint) is Literal:
                    ratios = get_args(hint)
            assert every == set(request.required) | set(request.optional), (endpoint, model)
            assert required == set(request.required), (endpoint, model)
            check = (request.required | request.optional).get("ratio")
            assert all(check and check(ratio) is None for ratio in ratios), (endpoint, model)


def test_sdk_from_text_to_a_file(connect: Callable[..., Any], runway: Simulator, tmp_path: Path) -> None:
    made = connect().text_to_video.create(model="gen4.5", prompt_text="a heron", ratio="720:1280", duration=2)
    assert made.estimated_cost.credits == 24
    done = made.wait_for_task_output(timeout=20)
    assert (done.status, done.cost.credits) == ("SUCCEEDED", 24)
    path = tmp_path / "video.mp4"
    path.write_bytes(httpx.get(done.output[0]).content)
    facts = footage.probe(path)
    assert (facts.width, facts.height, round(facts.duration)) == (720, 1280, 2)
    (record,) = runway.requests(operation="text_to_video")
    assert record["json"] == {"model": "gen4.5", "promptText": "a heron", "ratio": "720:1280", "duration": 2}


def test_sdk_with_an_uploaded_clip(
    connect: Callable[..., Any], runway: Simulator, clips: dict[str, Path], tmp_path: Path
) -> None:
    client = connect()
    uri = client.uploads.create_ephemeral(file=clips["short"]).uri
    assert uri.startswith("runway://")
    videos = [{"type": "video", "uri": uri}]
    made = client.text_to_video.create(
        model="seedance2", prompt_text="Video 1 dances", ratio="864:496", duration=4, reference_videos=videos
    )
    path = tmp_path / "video.mp4"
    path.write_bytes(httpx.get(made.wait_for_task_output(timeout=20).output[0]).content)
    assert (footage.probe(path).width, round(footage.probe(path).duration)) == (864, 4)
    edited = client.video_to_video.create(model="aleph2", video_uri=uri, prompt_text="snow")
    assert edited.wait_for_task_output(timeout=20).status == "SUCCEEDED"
    extended = client.video_to_video.create(
        model="gemini_omni_flash_1.1", mode="extend", video_uri=uri, prompt_text="on", duration=3
    )
    path.write_bytes(httpx.get(extended.wait_for_task_output(timeout=20).output[0]).content)
    assert round(footage.probe(path).duration) == 6
    assert [len(job["references"]) for job in runway.jobs()] == [1, 0, 0]


def test_sdk_with_a_first_frame(connect: Callable[..., Any], tmp_path: Path) -> None:
    made = connect().image_to_video.create(
        model="gen4.5", prompt_text="it moves", prompt_image=data_uri(picture()), ratio="1280:720", duration=2
    )
    path = tmp_path / "video.mp4"
    path.write_bytes(httpx.get(made.wait_for_task_output(timeout=20).output[0]).content)
    pixel = footage.still(path, 0.0).getpixel((600, 300))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, (200, 40, 40), strict=True)) < 10


def test_sdk_understands_refusals_and_failures(connect: Callable[..., Any], sdk: Any) -> None:
    from importlib import import_module

    order = {"model": "gen4.5", "prompt_text": "refused-later", "ratio": "1280:720", "duration": 2}
    with pytest.raises(sdk.AuthenticationError):
        connect("nonsense").text_to_video.create(**order)
    with pytest.raises(sdk.BadRequestError) as caught:
        connect().text_to_video.create(**{**order, "duration": 99})
    assert caught.value.body["issues"][0]["path"] == ["duration"]
    with pytest.raises(import_module("runwayml.lib.polling").TaskFailedError) as failed:
        connect().text_to_video.create(**order).wait_for_task_output(timeout=20)
    assert failed.value.task_details.failure_code == "SAFETY.OUTPUT.VIDEO"
    made = connect().text_to_video.create(**order)
    connect().tasks.delete(made.id)
    with pytest.raises(sdk.NotFoundError):
        connect().tasks.retrieve(made.id)

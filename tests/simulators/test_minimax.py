"""MiniMax's simulator: the wire format of MiniMax's reference, and two clients up to a file that plays.

The clients are mmx, which is the vendor's own, and the AI SDK's MiniMax provider.
"""

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
from local.simulators.shared.writer import Mp4Writer

CLIENT = Path(__file__).parent / "minimax_client"
CREATE, QUERY, DELETE = "/v2/video_generation", "/v2/query/video_generation", "/v2/video_generation"
SPEED = 40.0


@pytest.fixture(scope="module")
def shared_minimax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("minimax"), speed=SPEED, module="local.simulators.minimax") as simulator:
        yield simulator


@pytest.fixture
def minimax(shared_minimax: Simulator) -> Iterator[Simulator]:
    before = shared_minimax.settings()
    shared_minimax.reset()
    yield shared_minimax
    shared_minimax.settings(**before)


@pytest.fixture
def http(minimax: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=minimax.url, timeout=20, headers={"Authorization": "Bearer sim-a"}) as http:
        yield http


def film(path: Path, seconds: int, fps: int = 24) -> Path:
    with Mp4Writer(path, 640, 360, fps=fps) as writer:
        writer.add(Image.new("RGB", (640, 360), (20, 90, 60)), seconds * fps)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data URIs of clips by their seconds; `drawn` has the twelve frames a second of this project's drawn clips."""
    folder = tmp_path_factory.mktemp("clips")
    paths = {str(seconds): film(folder / f"{seconds}.mp4", seconds) for seconds in (1, 2, 5, 6, 16)}
    paths["drawn"] = sample_clip(folder / "drawn.mp4", 2, (640, 360))
    return {name: data_url(path.read_bytes(), "video/mp4") for name, path in paths.items()}


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def still(width: int = 640, height: int = 360) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 40, 40)).save(buffer, "PNG")
    return data_url(buffer.getvalue())


def text(words: str = "a tram crosses a rainy bridge") -> dict[str, Any]:
    return {"type": "text", "text": words}


def picture(url: str, role: str | None = "first_frame") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}} | ({"role": role} if role else {})


def clip(url: str, role: str = "reference_video") -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, "role": role}


def order(*content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an order of the vendor's reference; a field that is None is left out."""
    usual = {"model": "MiniMax-H3", "resolution": "768P", "duration": 4, "ratio": "16:9"}
    given = {**usual, "content": list(content) or [text()], **fields}
    return {name: value for name, value in given.items() if value is not None}


def place(http: httpx.Client, *content: dict[str, Any], **fields: Any) -> str:
    answer = http.post(CREATE, json=order(*content, **fields))
    assert answer.status_code == 200 and set(answer.json()) == {"task_id"}, answer.text
    return str(answer.json()["task_id"])


def task(http: httpx.Client, task_id: str) -> dict[str, Any]:
    answer = http.get(f"{QUERY}/{task_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["task"])


def end(http: httpx.Client, task_id: str) -> dict[str, Any]:
    """Wait until the task has ended, and return it."""
    until = time.monotonic() + 20
    while (found := task(http, task_id))["status"] not in ("succeeded", "failed", "cancelled"):
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return found


def facts(http: httpx.Client, task_id: str, path: Path) -> footage.VideoFacts:
    path.write_bytes(httpx.get(end(http, task_id)["content"]["url"]).content)
    return footage.probe(path)


def refused(answer: httpx.Response) -> tuple[int, str, int]:
    """Return HTTP status, type and code of a refusal, and check the refusal's envelope."""
    body = answer.json()
    error = body["error"]
    assert set(body) == {"type", "error", "request_id"} and body["type"] == "error", body
    assert error["http_code"] == str(answer.status_code)
    return answer.status_code, error["type"], int(error["message"].rpartition("(")[2].rstrip(")"))


# The wire


def test_from_an_order_to_the_file(http: httpx.Client, minimax: Simulator, tmp_path: Path) -> None:
    minimax.settings(speed=0)
    task_id = place(http)
    assert task(http, task_id)["status"] == "queued"
    minimax.settings(speed=1, queued_seconds=0.0)
    assert task(http, task_id)["status"] == "running"
    minimax.settings(speed=SPEED)
    done = end(http, task_id)
    assert done | {"created_at": 0, "updated_at": 0, "content": {}} == {
        "id": task_id,
        "model": "MiniMax-H3",
        "status": "succeeded",
        "created_at": 0,
        "updated_at": 0,
        "resolution": "768P",
        "duration": 4,
        "ratio": "16:9",
        "task_type": "generation",
        "modality": "video",
        "content": {},
        "usage": {"total_seconds": 4, "input_seconds": 0, "output_seconds": 4, "input_image_count": 0},
    }
    found = facts(http, task_id, tmp_path / "video.mp4")
    assert (found.width, found.height, round(found.duration)) == (1344, 768, 4)


def test_the_address_of_a_video_takes_no_key_and_dies(http: httpx.Client, minimax: Simulator) -> None:
    url = end(http, place(http))["content"]["url"]
    assert httpx.get(url).headers["content-type"] == "video/mp4"
    assert httpx.get(url, headers={"Authorization": "Bearer sim-a"}).status_code == 400
    minimax.settings(output_seconds=-1)
    assert httpx.get(end(http, place(http))["content"]["url"]).status_code == 403


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"ratio": "9:16"}, "768x1344"),
        ({"ratio": "1:1"}, "768x768"),
        ({"resolution": "2K"}, "2560x1440"),
        ({"resolution": None}, "2560x1440"),
        ({"model": "MiniMax-H3-Max", "resolution": "480P", "duration": 5}, "832x480"),
        ({"model": "MiniMax-H3-Max", "resolution": None, "duration": 5}, "1344x768"),
        ({"content": [text(), picture(still(400, 300))]}, "1024x768"),  # a first frame gives its shape
        ({"content": [text(), picture(still(300, 400), None)], "ratio": "adaptive"}, "768x1024"),
        ({"content": [text(), picture(still(400, 300), "reference_image")]}, "1344x768"),
        ({"content": [text(), picture(still(400, 300), "reference_image")], "ratio": None}, "1024x768"),
    ],
)
def test_sizes(http: httpx.Client, minimax: Simulator, fields: dict[str, Any], size: str) -> None:
    place(http, **fields)
    assert [job["size"] for job in minimax.jobs()] == [size]


FRAME, REFERENCE = picture(still()), picture(still(), "reference_image")
CLIP = clip("https://files.example.com/fox.mp4")
MAX = "MiniMax-H3-Max"


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "MiniMax-H4"},
        {"model": None},
        {"content": None},
        {"content": []},
        {"content": ["a fox"]},
        {"content": [text(" ")]},
        {"content": [{"type": "text", "text": 5}]},
        {"content": [text("x" * 7001)]},
        {"content": [text(), {"type": "image", "url": "https://x"}]},
        {"content": [text(), {"type": "image_url", "image_url": "https://x", "role": "first_frame"}]},
        {"content": [text(), clip("https://x/fox.mp4", "reference")]},
        {"content": [text(), picture(still(), "subject")]},
        {"content": [text(), picture(still(), None), FRAME]},
        {"content": [text(), FRAME, FRAME]},
        {"content": [text(), FRAME, REFERENCE]},
        {"content": [text(), FRAME, CLIP]},
        {"content": [text(), *[REFERENCE] * 10]},
        {"content": [text(), *[CLIP] * 4]},
        {"content": [text(), REFERENCE], "model": MAX, "duration": 5},
        {"content": [text(), {"type": "audio_url", "audio_url": {"url": "https://x"}, "role": "reference_audio"}]},
        {"content": [text(), clip("mm_file://1")]},
        {"content": [text(), clip("http://files.example.com/fox.mp4")]},
        {"content": [text(), clip("/etc/passwd")]},
        {"content": [text(), picture(data_url(b"not a picture"))]},
        {"content": [text(), picture(still(255, 300))]},
        {"content": [text(), picture(still(1200, 300))]},
        {"duration": 3},
        {"duration": 16},
        {"duration": "4"},
        {"duration": 4.0},
        {"duration": True},
        {"duration": 4, "model": MAX},
        {"resolution": "1080P"},
        {"resolution": "480P"},
        {"resolution": "2K", "model": MAX, "duration": 5},
        {"ratio": "3:2"},
        {"ratio": "adaptive"},
        {"ratio": None},
        {"aigc_watermark": "yes"},
        {"callback_url": "https://example.com"},
        {"size": "1280x720"},
        {"prompt": "a fox"},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)
def test_what_is_refused_at_once(http: httpx.Client, minimax: Simulator, fields: dict[str, Any]) -> None:
    assert refused(http.post(CREATE, json=order(**fields))) == (400, "bad_request_error", 2013)
    assert minimax.jobs() == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1"], "1.0 s, must be 2 to 15 s"),
        (["16"], "16.0 s, must be 2 to 15 s"),
        (["5", "5", "6"], "16.0 s, at most 15 s in all"),
        (["drawn"], "12.000 fps, must be 23.976 to 60"),
    ],
)
def test_clips_that_are_refused(http: httpx.Client, clips: dict[str, str], names: list[str], words: str) -> None:
    answer = http.post(CREATE, json=order(text(), *(clip(clips[name]) for name in names)))
    assert refused(answer) == (400, "bad_request_error", 2013)
    assert words in answer.json()["error"]["message"]


def test_references(http: httpx.Client, minimax: Simulator, clips: dict[str, str]) -> None:
    """References are numbered by their kind, and the seconds of clips are charged."""
    sent = [clip(clips["2"]), REFERENCE, clip(clips["5"]), REFERENCE]
    usage = end(http, place(http, text("the fox of Video 1 in Image 1"), *sent))["usage"]
    assert usage == {"total_seconds": 11, "input_seconds": 7, "output_seconds": 4, "input_image_count": 2}
    (job,) = minimax.jobs()
    assert [name for name, _ in job["references"]] == ["Image 1", "Image 2", "Video 1", "Video 2"]


def test_moderation_and_failures(http: httpx.Client) -> None:
    answer = http.post(CREATE, json=order(text("something forbidden")))
    assert refused(answer) == (422, "unprocessable_entity_error", 1026)
    later = end(http, place(http, text("refused-later")))
    assert (later["status"], later["error"]["code"]) == ("failed", "1027")
    assert "content" not in later and "usage" not in later
    assert end(http, place(http, text("fails-later")))["error"] == {"code": "1000", "message": "internal error (1000)"}


def test_a_word_that_nobody_knows(http: httpx.Client, minimax: Simulator) -> None:
    minimax.settings(queued_seconds=0.0, run_seconds=1e6)
    assert task(http, place(http, text("odd-status")))["status"] == "post_processing"


def test_keys_money_and_room(http: httpx.Client, minimax: Simulator) -> None:
    task_id = place(http, text("sticks-forever"))
    assert refused(httpx.post(f"{minimax.url}{CREATE}", json=order())) == (401, "authorized_error", 1004)
    wrong = {"Authorization": "Bearer nonsense"}
    assert refused(http.get(f"{QUERY}/{task_id}", headers=wrong)) == (401, "authorized_error", 2049)
    minimax.settings(concurrency=1)
    assert refused(http.post(CREATE, json=order())) == (429, "rate_limit_error", 1002)
    minimax.settings(arrears=["a"])
    assert refused(http.post(CREATE, json=order())) == (402, "insufficient_balance_error", 1008)


def test_tasks_that_are_not_there(http: httpx.Client, minimax: Simulator) -> None:
    """A task of another account, a task that never existed and a task that is too old are refused."""
    task_id = place(http)
    others = http.get(f"{QUERY}/{task_id}", headers={"Authorization": "Bearer sim-b"})
    assert refused(others) == refused(http.get(f"{QUERY}/1")) == (500, "server_error", 1000)
    assert "record not found" in others.json()["error"]["message"]
    minimax.settings(known_seconds=0)
    old = http.get(f"{QUERY}/{task_id}")
    assert refused(old) == (400, "bad_request_error", 2013)
    assert "invalid task_id" in old.json()["error"]["message"]


def test_what_is_deleted(http: httpx.Client, minimax: Simulator) -> None:
    """A deleted task that was queued is cancelled and can still be read; a finished task is gone, with its file."""
    minimax.settings(speed=0)
    waiting = place(http)
    assert http.delete(f"{DELETE}/{waiting}").json() == {"task_id": waiting, "status": "cancelled"}
    assert task(http, waiting)["status"] == "cancelled"
    minimax.settings(speed=SPEED)
    done = place(http)
    url = end(http, done)["content"]["url"]
    assert http.delete(f"{DELETE}/{done}").json()["status"] == "deleted"
    assert (http.get(f"{QUERY}/{done}").status_code, httpx.get(url).status_code) == (500, 403)
    assert refused(http.delete(f"{DELETE}/{done}")) == (500, "server_error", 1000)
    listed = http.get(QUERY).json()
    assert ([one["id"] for one in listed["items"]], listed["total"]) == ([waiting], 1)


def test_a_list_is_newest_first(http: httpx.Client) -> None:
    made = [place(http) for _ in range(3)]
    page = http.get(QUERY, params={"page_num": 2, "page_size": 2}).json()
    assert ([one["id"] for one in page["items"]], page["total"]) == ([made[0]], 3)
    assert refused(http.get(QUERY, params={"page_size": 0})) == (400, "bad_request_error", 2013)


def test_the_older_shape_of_errors(http: httpx.Client, minimax: Simulator) -> None:
    minimax.settings(error_shape="base_resp")
    answer = http.post(CREATE, json=order(duration=99))
    assert answer.status_code == 200
    assert answer.json()["base_resp"]["status_code"] == 2013


def test_faults_and_state_outlive_the_process(tmp_path: Path) -> None:
    with Simulator(tmp_path / "own", speed=SPEED, module="local.simulators.minimax") as own:
        headers = {"Authorization": "Bearer sim-a"}
        with httpx.Client(base_url=own.url, headers=headers) as client:
            first = place(client)
            own.fault(method="POST", path="/video_generation$", action="die")
            with pytest.raises(httpx.TransportError):
                place(client)
        assert own.wait_dead() == 70
        own.restart()
        assert [record["outcome"] for record in own.requests(method="POST")] == ["answered", "died"]
        with httpx.Client(base_url=own.url, headers=headers) as client:
            assert end(client, first)["usage"]["output_seconds"] == 4
            assert len(own.jobs()) == 2


# The vendor's client, and the AI SDK's

NODE = Path(__file__).parents[2] / ".venvs" / "client-node" / "bin" / "node"
node = str(NODE) if NODE.exists() else shutil.which("node")
needs_clients = pytest.mark.skipif(
    node is None or not (CLIENT / "node_modules").is_dir(),
    reason="MiniMax's clients are not installed: run `make clients`",
)


def run(home: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the client's folder with Node, in a home folder of its own."""
    return subprocess.run(
        [str(node), *command],
        cwd=CLIENT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def mmx(minimax: Simulator, home: Path, *options: str | Path, key: str = "sim-a") -> tuple[int, dict[str, Any]]:
    """Run `mmx video generate`, and return its exit code and its JSON output."""
    program = ("--import", "./plain.mjs", "node_modules/mmx-cli/dist/mmx.mjs")
    where = ("--api-key", key, "--base-url", minimax.url, "--region", "global")
    how = ("--non-interactive", "--output", "json", "--poll-interval", "1")
    done = run(home, *program, "video", "generate", "--model", "MiniMax-H3", *where, *how, *options)
    said = done.stdout if done.returncode == 0 else done.stderr
    return done.returncode, dict(json.loads(said[said.index("{") :]))


@needs_clients
def test_mmx_from_text_to_a_file(minimax: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    options = ("--prompt", "a heron", "--duration", "4", "--ratio", "9:16", "--download", path)
    code, said = mmx(minimax, tmp_path, *options)
    assert (code, said["status"], said["saved"]) == (0, "succeeded", str(path))
    found = footage.probe(path)
    assert (found.width, found.height, found.video_codec, round(found.duration)) == (1440, 2560, "h264", 4)
    (record,) = minimax.requests(operation="create_video")
    assert record["json"] == order(text("a heron"), resolution="2K", ratio="9:16")


@needs_clients
def test_mmx_with_files(minimax: Simulator, tmp_path: Path) -> None:
    """The client sends files as data URIs; a character and a first frame arrive in this form."""
    frame, moving = tmp_path / "frame.png", film(tmp_path / "fox.mp4", 2)
    frame.write_bytes(base64.b64decode(still().partition(",")[2]))
    references = ("--reference-video", moving, "--reference-image", frame)
    for options in (("--image", frame), references):
        code, said = mmx(minimax, tmp_path, "--prompt", "it turns", "--duration", "4", "--no-wait", *options)
        assert (code, set(said)) == (0, {"taskId"})
    bodies = [record["json"] for record in minimax.requests(operation="create_video")]
    assert [[item.get("role") for item in body["content"]] for body in bodies] == [
        [None, "first_frame"],
        [None, "reference_image", "reference_video"],
    ]
    assert [body["ratio"] for body in bodies] == ["adaptive", "adaptive"]
    assert [len(job["references"]) for job in minimax.jobs()] == [0, 2]


@needs_clients
def test_mmx_understands_each_refusal(minimax: Simulator, tmp_path: Path) -> None:
    def message(prompt: str, key: str = "sim-a") -> str:
        code, said = mmx(minimax, tmp_path, "--prompt", prompt, "--duration", "4", key=key)
        assert code != 0
        return str(said["error"]["message"])

    assert "flagged by sensitivity filter" in message("forbidden")
    assert "API key rejected" in message("a heron", key="nonsense")
    assert message("refused-later") == "Task failed. (1027: output video contains sensitive content (1027))"
    minimax.settings(arrears=["a"])
    assert "balance exhausted" in message("a heron")
    minimax.settings(error_shape="base_resp")
    assert "API error: insufficient balance" in message("a heron")


def generate(minimax: Simulator, home: Path, /, **wish: Any) -> dict[str, Any]:
    given = json.dumps({"model": "MiniMax-H3", **wish}, default=str)
    done = run(home, "client.mjs", given, MINIMAX_URL=minimax.url, MINIMAX_KEY="sim-a")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@needs_clients
def test_sdk_from_text_to_a_file(minimax: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    chosen = {"minimax": {"resolution": "768P"}}
    made = generate(minimax, tmp_path, prompt="a heron", duration=4, aspectRatio="9:16", file=path, **chosen)
    found = footage.probe(path)
    assert (found.width, found.height, found.video_codec) == (768, 1344, "h264")
    assert found.duration == pytest.approx(4, abs=0.1)
    assert (made["mediaType"], made["warnings"]) == ("video/mp4", [])
    assert made["metadata"]["usage"] == {"totalSeconds": 4, "inputSeconds": 0, "outputSeconds": 4}
    (record,) = minimax.requests(operation="create_video")
    assert record["json"] == order(text("a heron"), ratio="9:16")


@needs_clients
def test_sdk_with_references_and_with_a_first_frame(minimax: Simulator, tmp_path: Path) -> None:
    frame, moving = tmp_path / "still.png", film(tmp_path / "fox.mp4", 2)
    frame.write_bytes(base64.b64decode(still().partition(",")[2]))
    common = {"duration": 5, "minimax": {"resolution": "768P"}}
    generate(minimax, tmp_path, prompt="the fox of Video 1 in Image 1", references=[frame, moving], **common)
    generate(minimax, tmp_path, model=MAX, prompt="it turns", image=frame, **common)
    first, second = (record["json"]["content"] for record in minimax.requests(operation="create_video"))
    assert [item.get("role") for item in first] == [None, "reference_image", "reference_video"]
    assert [item.get("role") for item in second] == [None, "first_frame"]


@needs_clients
def test_sdk_understands_each_refusal(minimax: Simulator, tmp_path: Path) -> None:
    def error(prompt: str) -> tuple[str, Any]:
        found = generate(minimax, tmp_path, prompt=prompt, duration=4)["error"]
        return found["name"], found.get("statusCode")

    assert error("forbidden") == ("AI_APICallError", 422)
    assert error("refused-later") == ("MINIMAX_VIDEO_GENERATION_FAILED", None)
    assert error("fails-later") == ("MINIMAX_VIDEO_GENERATION_FAILED", None)

"""The provider module alone: against the simulator over HTTP, and against answers that no simulator gives."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.simulators.process import Simulator
from local.simulators.shared import footage
from local.simulators.shared.body import _shortened as shortened
from local.simulators.shared.writer import Mp4Writer
from tests.fakes.account import BASE, KEY, Server, media
from understudy import settings
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.network import http_client
from understudy.network.http_client import Client
from understudy.providers.base import Account, CastMember, Media, Operation, Order, Progress, Source
from understudy.providers.minimax import CLIP_BYTES, IMAGE_BYTES, INLINE_BYTES, PROMPT, MiniMax
from understudy.providers.sizes import fit

MINIMAX = MiniMax()
H3, MAX = "MiniMax-H3", "MiniMax-H3-Max"
FOX = "A fox in the snow"


def order(operation: Operation = "create", prompt: str = FOX, model: str = H3, **more: Any) -> Order:
    return Order(operation, model, prompt, "our-reference", **{"seconds": 5, "size": "1344x768", **more})


# Against the simulator


@pytest.fixture(scope="module")
def shared_minimax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("minimax"), speed=40, module="local.simulators.minimax") as simulator:
        yield simulator


@pytest.fixture
def minimax(shared_minimax: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    before = shared_minimax.settings()
    shared_minimax.reset()
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORKS", "1")
    settings.settings.cache_clear()
    http_client._http.cache_clear()
    yield shared_minimax
    settings.settings.cache_clear()
    shared_minimax.settings(**before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and stills, as the bucket has them, with the frame rate that MiniMax requires."""
    folder = tmp_path_factory.mktemp("bucket")
    for name, seconds, shade in (("Luna", 3, 40), ("Moss", 5, 120), ("Film", 6, 200)):
        with Mp4Writer(folder / f"{name}.mp4", 640, 360, fps=24) as writer:
            writer.add(Image.new("RGB", (640, 360), (shade, 90, 60)), seconds * 24)
        footage.still(folder / f"{name}.mp4", 0.5).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture(scope="module")
def bucket(folder: Path) -> Iterator[str]:
    """The address of an HTTP server that serves the folder's files, only to GET."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(403)  # as a presigned GET says

    def log_message(self, *_: Any) -> None:
        pass


def file(folder: Path, bucket: str, name: str) -> Media:
    path, kind = folder / name, "video/mp4" if name.endswith("mp4") else "image/jpeg"
    return Media(name, kind, path.stat().st_size, lambda: path.open("rb"), lambda: f"{bucket}/{name}")


def cast(folder: Path, bucket: str, *names: str) -> tuple[CastMember, ...]:
    return tuple(CastMember(name, clip=file(folder, bucket, f"{name}.mp4")) for name in names)


def account(simulator: Simulator, key: str = "sim-a", seconds: float = 30, **options: Any) -> Account:
    return Account(simulator.url, key, Client(time.monotonic() + seconds), options)


def finish(simulator: Simulator, placed: Progress) -> Progress:
    until = time.monotonic() + 20
    while (progress := MINIMAX.poll(account(simulator), placed.upstream_id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    return progress


def facts(simulator: Simulator, progress: Progress, path: Path) -> footage.VideoFacts:
    with MINIMAX.open_content(account(simulator), progress) as content:
        path.write_bytes(b"".join(content.chunks))
        assert (content.mime_type, content.size) == ("video/mp4", path.stat().st_size)
    return footage.probe(path)


def refusal(simulator: Simulator, *, key: str = "sim-a", **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        MINIMAX.submit(account(simulator, key), order(**changes))
    return caught.value


def text(prompt: str) -> dict[str, str]:
    return {"type": "text", "text": prompt}


def clip(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, "role": "reference_video"}


def frame(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "role": "first_frame"}


class TestAgainstTheSimulator:
    def test_create(self, minimax: Simulator, tmp_path: Path) -> None:
        placed = MINIMAX.submit(account(minimax), order(seconds=4, size="768x1344"))
        assert placed.status == "queued"
        (record,) = minimax.requests()
        assert (record["path"], record["account"]) == ("/v2/video_generation", "a")
        fields = {"resolution": "768P", "duration": 4, "ratio": "9:16"}
        assert record["json"] == {"model": H3, "content": [text(FOX)], **fields}
        done = finish(minimax, placed)
        assert (done.status, done.progress, done.seconds, done.micro_dollars) == ("completed", 100, 4, 320_000)
        found = facts(minimax, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (768, 1344, 4)
        assert [record["key"] for record in minimax.requests(operation="get_content")] == [None]

    @pytest.mark.parametrize("model", [H3, MAX])
    def test_every_size_and_length_of_the_profile_is_made(self, minimax: Simulator, model: str) -> None:
        profile = MINIMAX.profile(model, {})
        for size in profile.sizes:
            MINIMAX.submit(account(minimax), order(model=model, size=size))
        for seconds in profile.seconds:
            MINIMAX.submit(account(minimax), order(model=model, seconds=seconds, size=profile.default_size))
        made = [(job["size"], job["seconds"]) for job in minimax.jobs()]
        assert made[: len(profile.sizes)] == [(size, 5) for size in profile.sizes]
        assert made[len(profile.sizes) :] == [(profile.default_size, seconds) for seconds in profile.seconds]

    def test_characters(self, minimax: Simulator, folder: Path, bucket: str) -> None:
        """A full cast of three clips is sent by address, and the seconds of the clips are billed."""
        stars = cast(folder, bucket, "Luna", "Moss")
        third = CastMember("Fern", clip=file(folder, bucket, "Moss.mp4"))
        placed = MINIMAX.submit(account(minimax), order(prompt="Luna dances", cast=(*stars, third)))
        (record,) = minimax.requests()
        assert record["json"]["content"] == [
            text(
                "Luna is the character in Video 1. Moss is the character in Video 2. Fern is the character in Video 3. "
                "Featuring Moss and Fern. Luna dances"
            ),
            *(clip(f"{bucket}/{name}.mp4") for name in ("Luna", "Moss", "Moss")),
        ]
        assert record["json"]["ratio"] == "16:9"
        (job,) = minimax.jobs()
        hashes = {name: hashlib.sha256((folder / f"{name}.mp4").read_bytes()).hexdigest() for name in ("Luna", "Moss")}
        assert job["references"] == [[f"Video {n}", hashes[name]] for n, name in enumerate(("Luna", "Moss", "Moss"), 1)]
        done = finish(minimax, placed)
        assert (done.status, done.micro_dollars) == ("completed", (5 + 3 + 5 + 5) * 80_000)  # their clips, too

    def test_a_character_of_the_quick_model_is_the_first_frame(
        self, minimax: Simulator, folder: Path, bucket: str
    ) -> None:
        still = file(folder, bucket, "Luna.jpg")
        MINIMAX.submit(account(minimax), order(model=MAX, cast=(CastMember("Luna", stills=(still,)),)))
        (record,) = minimax.requests()
        words = text(f"Luna is the character in the first frame. Featuring Luna. {FOX}")
        data = base64.b64encode((folder / "Luna.jpg").read_bytes()).decode()
        assert record["json"]["content"] == [words, frame(shortened(f"data:image/jpeg;base64,{data}"))]
        assert record["json"]["ratio"] == "adaptive"
        assert [job["size"] for job in minimax.jobs()] == ["1344x768"]

    def test_a_first_frame(self, minimax: Simulator, folder: Path, bucket: str) -> None:
        """A first frame is sent inside the request, or by its address if the picture is large."""
        (folder / "large.jpg").write_bytes((folder / "Luna.jpg").read_bytes() + bytes(INLINE_BYTES))
        for name in ("Luna.jpg", "large.jpg"):
            placed = MINIMAX.submit(account(minimax), order(image=file(folder, bucket, name)))
            assert finish(minimax, placed).status == "completed"
        assert minimax.requests(operation="create_video")[1]["json"]["content"][1] == frame(f"{bucket}/large.jpg")

    def test_an_edit(self, minimax: Simulator, folder: Path, bucket: str, tmp_path: Path) -> None:
        film = Source(clip=file(folder, bucket, "Film.mp4"), seconds=6)
        placed = MINIMAX.submit(account(minimax), order("edit", "Make it snow", source=film, seconds=None))
        (record,) = minimax.requests()
        fields = {"resolution": "768P", "duration": 6, "ratio": "adaptive"}
        content = [text("Edit Video 1: Make it snow"), clip(f"{bucket}/Film.mp4")]
        assert record["json"] == {"model": H3, "content": content, **fields}
        done = finish(minimax, placed)
        assert done.micro_dollars == (6 + 6) * 80_000
        found = facts(minimax, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (1344, 768, 6)

    def test_a_watermark(self, minimax: Simulator) -> None:
        for wanted in (True, False):
            MINIMAX.submit(account(minimax, watermark=wanted), order())
        assert [record["json"]["aigc_watermark"] for record in minimax.requests()] == [True, False]

    def test_states_over_time(self, minimax: Simulator) -> None:
        minimax.settings(speed=0)
        placed = MINIMAX.submit(account(minimax), order(prompt="odd-status"))
        assert MINIMAX.poll(account(minimax), placed.upstream_id) == Progress(placed.upstream_id, "queued")
        minimax.settings(queued_seconds=0.0, run_seconds=1e6, speed=40)
        assert MINIMAX.poll(account(minimax), placed.upstream_id) == Progress(placed.upstream_id, "in_progress")

    def test_moderation(self, minimax: Simulator) -> None:
        refused = refusal(minimax, prompt="forbidden")
        assert (refused.reason, refused.code) == (Reason.MODERATION, "moderation_blocked")
        later = finish(minimax, MINIMAX.submit(account(minimax), order(prompt="refused-later")))
        assert later.error == ("moderation_blocked", "output video contains sensitive content (1027)")
        minimax.settings(error_shape="base_resp")
        assert refusal(minimax, prompt="forbidden").reason is Reason.MODERATION

    def test_a_failure(self, minimax: Simulator) -> None:
        done = finish(minimax, MINIMAX.submit(account(minimax), order(prompt="fails-later")))
        assert (done.status, done.error) == ("failed", ("provider_failed", "internal error (1000)"))

    @pytest.mark.parametrize("shape", ["v2", "base_resp"])
    def test_refusals(self, minimax: Simulator, shape: str) -> None:
        minimax.settings(error_shape=shape)
        assert refusal(minimax, seconds=3).reason is Reason.INVALID
        assert refusal(minimax, model="MiniMax-H9").reason is Reason.GONE
        assert refusal(minimax, key="nonsense").reason is Reason.CREDENTIALS
        minimax.settings(concurrency=1)
        MINIMAX.submit(account(minimax), order(prompt="sticks-forever"))
        assert refusal(minimax).reason is Reason.BUSY
        minimax.settings(arrears=["a"])
        assert refusal(minimax).reason is Reason.ARREARS

    def test_a_clip_with_too_few_pictures(self, minimax: Simulator, folder: Path, bucket: str) -> None:
        with Mp4Writer(folder / "Slow.mp4", 640, 360, fps=12) as writer:
            writer.add(Image.new("RGB", (640, 360)), 36)
        refused = refusal(minimax, cast=cast(folder, bucket, "Slow"))
        assert refused.reason is Reason.INVALID
        assert "12.000 fps, must be 23.976 to 60" in refused.message

    def test_tasks_that_are_not_there(self, minimax: Simulator) -> None:
        """An unknown task, another account's task and a task that is too old are NOT_FOUND, not a temporary error."""
        placed = MINIMAX.submit(account(minimax), order())
        asked = [("1", "sim-a"), (placed.upstream_id, "sim-b"), (placed.upstream_id, "sim-a")]
        for task_id, key in asked:
            minimax.settings(known_seconds=0 if (task_id, key) == asked[-1] else 3600)
            with pytest.raises(Refused) as caught:
                MINIMAX.poll(account(minimax, key), task_id)
            assert caught.value.reason is Reason.NOT_FOUND

    def test_delete(self, minimax: Simulator) -> None:
        placed = MINIMAX.submit(account(minimax), order())
        finish(minimax, placed)
        MINIMAX.delete(account(minimax), placed.upstream_id)
        assert [job["deleted"] for job in minimax.jobs()] == [True]
        MINIMAX.delete(account(minimax), placed.upstream_id)  # it is gone already
        for shape in ("v2", "base_resp"):
            minimax.settings(error_shape=shape)
            with pytest.raises(Refused) as caught:
                MINIMAX.delete(account(minimax, "nonsense"), placed.upstream_id)
            assert caught.value.reason is Reason.CREDENTIALS

    def test_a_cancelled_task(self, minimax: Simulator) -> None:
        minimax.settings(speed=0)
        placed = MINIMAX.submit(account(minimax), order())
        MINIMAX.delete(account(minimax), placed.upstream_id)
        error = ("provider_failed", "The provider says that it was cancelled.")
        assert MINIMAX.poll(account(minimax), placed.upstream_id) == Progress(placed.upstream_id, "failed", error=error)

    @pytest.mark.parametrize("fault", [{"action": "reset", "when": "after"}, {"action": "half"}, {"delay": 3.0}])
    def test_a_lost_answer_is_not_asked_for_again(self, minimax: Simulator, fault: dict[str, Any]) -> None:
        minimax.fault(method="POST", **fault)
        with pytest.raises(OutcomeUnknown) as caught:
            MINIMAX.submit(account(minimax, seconds=1), order())
        assert caught.value.timed_out == ("delay" in fault)
        assert len(minimax.jobs(least=1)) == 1 == len(minimax.requests())

    def test_the_address_may_die(self, minimax: Simulator) -> None:
        placed = MINIMAX.submit(account(minimax), order())
        minimax.settings(output_seconds=-1)
        with pytest.raises(Refused) as caught, MINIMAX.open_content(account(minimax), finish(minimax, placed)):
            pass
        assert caught.value.reason is Reason.NOT_FOUND
        minimax.settings(output_seconds=60)
        with MINIMAX.open_content(account(minimax), finish(minimax, placed)) as content:  # asked again, a fresh one
            assert content.size


# Without a server: what is refused here, before anything is paid

LUNA = (CastMember("Luna", clip=media()),)
PICTURE = media("a.png", "image/png")


def large(mime_type: str, size: int) -> Media:
    return Media("file", mime_type, size, lambda: pytest.fail("opened"), lambda: pytest.fail("signed"))


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        (order(cast=LUNA, image=PICTURE), "input_reference"),
        (order(model=MAX, cast=(CastMember("Luna", stills=(PICTURE,)),), image=PICTURE), "input_reference"),
        (order(image=large("image/png", IMAGE_BYTES + 1)), "input_reference"),
        (order(cast=(CastMember("Luna", clip=media("luna.webm", "video/webm")),)), "characters"),
        (order(cast=(CastMember("Luna", clip=large("video/mp4", CLIP_BYTES + 1)),)), "characters"),
        (order("edit", source=Source(clip=media("a.webm", "video/webm"))), "video"),
        (order("edit", source=Source("424010985738629")), "video"),
        (order(prompt="x" * PROMPT, cast=LUNA), "prompt"),
    ],
)
def test_what_cannot_be_sent(server: Server, wrong: Order, param: str) -> None:
    with pytest.raises(Refused) as caught:
        MINIMAX.submit(server.account(), wrong)
    assert (caught.value.reason, caught.value.param) == (Reason.INVALID, param)
    assert server.requests == []


@pytest.mark.parametrize("prompt", ["Edit Video 1: dusk", "the street of video 1 at dusk"])
def test_an_instruction_that_names_the_clip_is_left_alone(server: Server, prompt: str) -> None:
    server.answer(200, {"task_id": "1"})
    MINIMAX.submit(server.account(), order("edit", prompt, source=Source(clip=media())))
    assert server.body["content"][0]["text"] == prompt


def test_an_image_is_sent_as_it_is(server: Server) -> None:
    server.answer(200, {"task_id": "1"})
    MINIMAX.submit(server.account(), order(image=media("a.webp", "image/webp", b"picture")))
    url = server.body["content"][1]["image_url"]["url"]
    assert url == "data:image/webp;base64," + base64.b64encode(b"picture").decode()


class TestProfile:
    def test_by_model(self) -> None:
        h3, quick = MINIMAX.profile(H3, {}), MINIMAX.profile(MAX, {})
        assert (h3.seconds, quick.seconds) == (tuple(range(4, 16)), tuple(range(5, 16)))
        assert (h3.characters.form, quick.characters.form) == ("reference_video", "start_frame")
        assert (h3.characters.most, h3.characters.clip_seconds, h3.characters.trim) == (3, (2.0, 5.0), True)
        assert (h3.edit, h3.edit_upload, quick.edit, quick.edit_upload) == (True, True, False, False)
        assert [profile.way("extend", own=True) for profile in (h3, quick)] == ["emulated", "emulated"]
        assert ("2560x1440" in h3.sizes, "2560x1440" in quick.sizes) == (True, False)
        assert ("832x480" in h3.sizes, "832x480" in quick.sizes) == (False, True)

    def test_prices(self) -> None:
        """A second of input costs as much as a second of output; the quick model has no inputs that cost."""
        h3, quick = MINIMAX.profile(H3, {}).prices, MINIMAX.profile(MAX, {}).prices
        assert h3.clips == h3.source == h3.create
        assert (h3.create["1344x768"], h3.create["1440x2560"]) == (80_000, 130_000)
        assert (quick.create["832x480"], quick.create["1344x768"], dict(quick.clips)) == (50_000, 80_000, {})

    @pytest.mark.parametrize(
        ("asked", "made"),
        [
            ("1280x720", "1344x768"),
            ("720x1280", "768x1344"),
            ("1024x1792", "1440x2560"),
            ("1920x1080", "2560x1440"),
            ("640x480", "1024x768"),
            ("3840x2160", None),
        ],
    )
    def test_what_code_for_sora_asks_for(self, asked: str, made: str | None) -> None:
        """A size of Sora becomes the next size of the same shape, and Sora's lengths are supported."""
        profile = MINIMAX.profile(H3, {})
        assert fit(asked, profile.sizes) == made
        assert {4, 8, 12} <= set(profile.seconds)

    def test_options(self) -> None:
        profile = MINIMAX.profile(H3, {"seconds": [6, 10], "edit": False, "characters": 2, "watermark": True})
        assert (profile.seconds, profile.default_seconds, profile.edit) == ((6, 10), 6, False)
        assert (profile.characters.native, profile.characters.most) == (0, 3)

    def test_only_the_one_with_references_edits_whatever_the_options_say(self) -> None:
        ways = [MINIMAX.profile(model, {"edit": True}).way("edit", own=False) for model in (H3, MAX)]
        assert ways == ["native", None]

    @pytest.mark.parametrize(("length", "ordered"), [(4, 4), (15, 15), (16, 15), (None, 4)])
    def test_an_edit_is_as_long_as_its_source(self, server: Server, length: int | None, ordered: int) -> None:
        """A clip of 15.08 s, rounded up to 16 s, can still be edited and is ordered as 15 s."""
        server.answer(200, {"task_id": "1"})
        source = Source(clip=media(), seconds=length)
        MINIMAX.submit(server.account(), order("edit", source=source, seconds=None, size=None))
        assert (server.body["duration"], server.body["resolution"]) == (ordered, "768P")

    @pytest.mark.parametrize(("name", "like"), [("MiniMax-H3.5", H3), ("MiniMax-H3.5-Max", MAX), ("Hailuo-4", H3)])
    def test_names_of_next_year(self, name: str, like: str) -> None:
        assert MINIMAX.profile(name, {}) == MINIMAX.profile(like, {})


# Against answers as told


def wrong(code: int, words: str = "no", kind: str = "x") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": f"{words} ({code})", "http_code": "0"}}


def base(code: int, words: str = "no") -> dict[str, Any]:
    return {"task_id": "", "base_resp": {"status_code": code, "status_msg": words}}


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (400, wrong(2013), Reason.INVALID),
            (400, wrong(2013, "invalid params, unsupported model MiniMax-H1"), Reason.GONE),
            (401, wrong(1004), Reason.CREDENTIALS),
            (401, wrong(2049), Reason.CREDENTIALS),
            (402, wrong(1008), Reason.ARREARS),
            (422, wrong(1026, "video description contains sensitive content"), Reason.MODERATION),
            (400, wrong(2013, "the image is sensitive"), Reason.MODERATION),
            (400, wrong(2013, "input new_sensitive"), Reason.MODERATION),
            (400, wrong(2013, "names are case-sensitive"), Reason.INVALID),
            (422, wrong(2013), Reason.INVALID),
            (429, wrong(1002), Reason.BUSY),
            (429, b"", Reason.BUSY),
            (200, base(1002), Reason.BUSY),
            (200, base(1004), Reason.CREDENTIALS),
            (200, base(1008), Reason.ARREARS),
            (200, base(1026), Reason.MODERATION),
            (200, base(1027), Reason.MODERATION),
            (200, base(1028), Reason.ARREARS),
            (200, base(1030), Reason.ARREARS),
            (200, base(1039), Reason.BUSY),
            (200, base(2013), Reason.INVALID),
            (200, base(2049), Reason.CREDENTIALS),
            (200, base(2061), Reason.CREDENTIALS),
            (404, {"error": {"message": "no such model"}}, Reason.GONE),
            (404, b"", Reason.UNAVAILABLE),
            (503, {"error": {"message": "overloaded"}}, Reason.UNAVAILABLE),
            (503, wrong(1000), Reason.UNAVAILABLE),
            (301, b"", Reason.UNAVAILABLE),
        ],
    )
    def test_definite(self, server: Server, status: int, body: Any, reason: Reason) -> None:
        server.answer(status, body, headers={"retry-after": "7"})
        with pytest.raises(Refused) as caught:
            MINIMAX.submit(server.account(), order())
        assert (caught.value.reason, caught.value.retry_after, len(server.requests)) == (reason, "7", 1)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, wrong(1000)),
            (200, base(1000)),
            (200, base(777)),
            (200, base(0)),
            (200, b"<html>gateway</html>"),
            (200, b""),
            (200, {"task_id": None}),
            (200, {"task_id": 424010985738629}),
            (200, {"task_id": "../files"}),
            (200, {"task_id": "x" * 201}),
            (500, wrong(1000, "record not found")),  # of an order that says nothing
            (502, b"<html>Bad gateway</html>"),
            (503, b"<html>Service Unavailable</html>"),
        ],
    )
    def test_unknown(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises(OutcomeUnknown):
            MINIMAX.submit(server.account(), order())
        assert len(server.requests) == 1

    def test_neither_our_key_nor_our_addresses_are_passed_on(self, server: Server) -> None:
        url = "https://bucket.example/clip?X-Amz-Signature=abc"
        server.answer(400, wrong(2013, f"could not fetch {url} for {KEY}"))
        with pytest.raises(Refused) as caught:
            MINIMAX.submit(server.account(), order())
        assert caught.value.message == "could not fetch (address) for *** (2013)"


URL = "https://cdn.example/v.mp4"
DONE = {"id": "1", "model": H3, "status": "succeeded", "content": {"url": URL}, "resolution": "768P", "duration": 5}


class TestPoll:
    @pytest.mark.parametrize(
        ("task", "expected"),
        [
            ({"status": "queued"}, Progress("1", "queued")),
            ({"status": "running"}, Progress("1", "in_progress")),
            ({"status": "pondering"}, Progress("1", "in_progress")),
            ({"status": None}, Progress("1", "in_progress")),
            (DONE, Progress("1", "completed", 100, 5, output_url=URL)),
            ({**DONE, "duration": "5"}, Progress("1", "completed", 100, output_url=URL)),
            (
                {**DONE, "content": {"prompt": "x"}},
                Progress("1", "failed", error=("provider_failed", "The provider finished without a video.")),
            ),
            (
                {"status": "expired"},
                Progress("1", "failed", error=("provider_failed", "The provider says that it was expired.")),
            ),
            (
                {"status": "failed", "error": {"code": 1026, "message": "no"}},
                Progress("1", "failed", error=("moderation_blocked", "no")),
            ),
            (
                {"status": "failed", "error": {"code": "x", "message": "blocked (1027)"}},
                Progress("1", "failed", error=("moderation_blocked", "blocked (1027)")),
            ),
            (
                {"status": "failed", "error": {"message": "Sensitive content"}},
                Progress("1", "failed", error=("moderation_blocked", "Sensitive content")),
            ),
            (
                {"status": "failed", "error": {"code": "1000", "message": f"{KEY} at https://in.side/x"}},
                Progress("1", "failed", error=("provider_failed", "*** at (address)")),
            ),
        ],
    )
    def test_status(self, server: Server, task: dict[str, Any], expected: Progress) -> None:
        server.answer(200, {"task": task})
        assert MINIMAX.poll(server.account(), "1") == expected

    @pytest.mark.parametrize(
        ("changes", "usage", "cost"),
        [
            ({}, {"total_seconds": 11, "input_seconds": 6, "output_seconds": 5, "input_image_count": 0}, 880_000),
            ({"resolution": "2K"}, {"total_seconds": 5}, 650_000),
            ({}, {"total_seconds": 5, "input_image_count": 7}, 400_000 + 2 * 40_000),
            ({"model": MAX}, {"total_seconds": 5, "input_image_count": 3}, 400_000 + 74_000),
            ({"model": "MiniMax-H4"}, {"total_seconds": 5}, None),
            ({"resolution": "8K"}, {"total_seconds": 5}, None),
            ({}, {"total_seconds": "5"}, None),
            ({}, {"total_seconds": 5, "input_image_count": []}, 400_000),
            ({}, {"total_seconds": -5}, None),
            ({}, {}, None),
            ({}, None, None),
        ],
    )
    def test_cost(self, server: Server, changes: dict[str, Any], usage: Any, cost: int | None) -> None:
        server.answer(200, {"task": {**DONE, **changes, "usage": usage}})
        assert MINIMAX.poll(server.account(), "1").micro_dollars == cost

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, wrong(1000, "record not found")),
            (400, wrong(2013, "invalid params, invalid task_id")),
            (200, base(2013, "invalid task_id")),
            (404, {"error": {"message": "no such task"}}),
        ],
    )
    def test_a_task_that_is_gone(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises(Refused) as caught:
            MINIMAX.poll(server.account(), "1")
        assert caught.value.reason is Reason.NOT_FOUND
        MINIMAX.delete(server.account(), "1")

    @pytest.mark.parametrize(
        ("status", "body"),
        [(500, wrong(1000)), (503, b"<html>"), (429, wrong(1002)), (200, b""), (200, {"task": {}}), (200, base(1002))],
    )
    def test_what_may_pass(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises((Refused, OutcomeUnknown)) as caught:
            MINIMAX.poll(server.account(), "1")
        assert getattr(caught.value, "reason", None) is not Reason.NOT_FOUND

    def test_an_id_is_not_a_path(self, server: Server) -> None:
        server.answer(200, {"task": {"status": "running"}})
        assert MINIMAX.poll(server.account(), "../a?b").status == "in_progress"
        assert str(server.request.url) == f"{BASE}/v2/query/video_generation/..%2Fa%3Fb"
        assert server.request.headers["authorization"] == f"Bearer {KEY}"


def test_no_address(server: Server) -> None:
    with pytest.raises(Refused), MINIMAX.open_content(server.account(), Progress("1", "completed")):
        pass

"""The provider module alone: against the simulator over HTTP, and against answers that no simulator gives."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.simulators.process import Simulator
from local.simulators.shared import footage
from local.simulators.shared.render import sample_clip
from tests.fakes.account import BASE, KEY, Server, media
from understudy import settings
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.network import http_client
from understudy.network.http_client import Client
from understudy.providers.base import Account, CastMember, Media, Operation, Order, Progress, Source
from understudy.providers.prices import Bill
from understudy.providers.xai import INLINE_BYTES, PROMPT, Xai

XAI = Xai()
CLASSIC, NEWER, LITE = "grok-imagine-video", "grok-imagine-video-1.5", "grok-imagine-video-1.5-lite"


def order(
    operation: Operation = "create", model: str = CLASSIC, prompt: str = "A fox in the snow", **more: Any
) -> Order:
    return Order(operation, model, prompt, "our-reference", **more)


# Against the simulator


@pytest.fixture(scope="module")
def shared_xai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("xai"), speed=40, module="local.simulators.xai") as simulator:
        yield simulator


@pytest.fixture
def xai(shared_xai: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    before = shared_xai.settings()
    shared_xai.reset()
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORKS", "1")
    settings.settings.cache_clear()
    http_client._http.cache_clear()
    yield shared_xai
    settings.settings.cache_clear()
    shared_xai.settings(**before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and stills, as the bucket has them."""
    folder = tmp_path_factory.mktemp("bucket")
    for name, seconds in (("Luna", 2), ("Moss", 3)):
        clip = sample_clip(folder / f"{name}.mp4", seconds, (640, 360), name)
        for number in range(3):
            footage.still(clip, number / 2).save(folder / f"{name}-{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def bucket(folder: Path) -> Iterator[str]:
    """The address of an HTTP server that serves the folder's files."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def file(folder: Path, bucket: str, name: str) -> Media:
    path, kind = folder / name, "video/mp4" if name.endswith("mp4") else "image/jpeg"
    return Media(name, kind, path.stat().st_size, lambda: path.open("rb"), lambda: f"{bucket}/{name}")


def stills(folder: Path, bucket: str, name: str) -> tuple[Media, ...]:
    return tuple(file(folder, bucket, f"{name}-{number}.jpg") for number in range(3))


def account(simulator: Simulator, key: str = "sim-a", seconds: float = 30) -> Account:
    return Account(simulator.base_url, key, Client(time.monotonic() + seconds))


def finish(simulator: Simulator, placed: Progress) -> Progress:
    until = time.monotonic() + 20
    while (progress := XAI.poll(account(simulator), placed.upstream_id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    return progress


def facts(simulator: Simulator, progress: Progress, path: Path) -> footage.VideoFacts:
    with XAI.open_content(account(simulator), progress) as content:
        path.write_bytes(b"".join(content.chunks))
        assert (content.mime_type, content.size) == ("video/mp4", path.stat().st_size)
    return footage.probe(path)


def recorded(media: Media) -> dict[str, Any]:
    """Return a data URI of the media, as the simulator records it."""
    with media.open() as file:
        url = f"data:{media.mime_type};base64," + base64.b64encode(file.read()).decode()
    return {"start": url[:80], "length": len(url), "sha256": hashlib.sha256(url.encode()).hexdigest()}


class TestAgainstTheSimulator:
    def test_create(self, xai: Simulator, tmp_path: Path) -> None:
        placed = XAI.submit(account(xai), order(seconds=4, size="720x1280"))
        assert placed.status == "queued"
        (record,) = xai.requests()
        assert record["path"] == "/v1/videos/generations"
        assert record["json"] == {
            "model": CLASSIC,
            "prompt": "A fox in the snow",
            "duration": 4,
            "aspect_ratio": "9:16",
            "resolution": "720p",
        }
        done = finish(xai, placed)
        assert (done.status, done.progress, done.seconds, done.micro_dollars) == ("completed", 100, 4, 280_000)
        found = facts(xai, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (720, 1280, 4)

    @pytest.mark.parametrize("model", [CLASSIC, NEWER, LITE])
    def test_every_size_of_the_profile_is_made(self, xai: Simulator, model: str) -> None:
        sizes = XAI.profile(model, {}).sizes
        for size in sizes:
            XAI.submit(account(xai), order(model=model, seconds=1, size=size))
        assert [job["size"] for job in xai.jobs()] == list(sizes)

    @pytest.mark.parametrize("model", [CLASSIC, NEWER, LITE])
    def test_every_length_of_the_profile_is_taken(self, xai: Simulator, model: str) -> None:
        lengths = XAI.profile(model, {}).seconds
        for seconds in lengths:
            XAI.submit(account(xai), order(model=model, seconds=seconds, size="848x480"))
        assert [job["seconds"] for job in xai.jobs()] == list(lengths)

    def test_two_characters(self, xai: Simulator, folder: Path, bucket: str) -> None:
        luna, moss = stills(folder, bucket, "Luna"), stills(folder, bucket, "Moss")
        cast = (CastMember("Luna", stills=luna), CastMember("Moss", stills=moss))
        placed = XAI.submit(account(xai), order(prompt="Luna dances in the rain", cast=cast, seconds=2, size="848x480"))
        (record,) = xai.requests()
        assert record["json"]["prompt"] == (
            "Luna is the character in <IMAGE_1> and <IMAGE_2> and <IMAGE_3>. "
            "Moss is the character in <IMAGE_4> and <IMAGE_5> and <IMAGE_6>. "
            "Featuring Moss. Luna dances in the rain"
        )
        assert record["json"]["reference_images"] == [{"url": recorded(still)} for still in (*luna, *moss)]
        assert "image" not in record["json"]
        assert finish(xai, placed).status == "completed"

    def test_a_full_cast_has_one_still_each(self, xai: Simulator, folder: Path, bucket: str) -> None:
        images = stills(folder, bucket, "Luna")
        cast = tuple(CastMember(f"N{n}", stills=images) for n in range(XAI.profile(CLASSIC, {}).characters.most))
        assert finish(xai, XAI.submit(account(xai), order(cast=cast, seconds=1, size="848x480"))).status == "completed"
        (record,) = xai.requests(operation="create_video")
        assert record["json"]["reference_images"] == [{"url": recorded(images[0])}] * 7
        assert "N6 is the character in <IMAGE_7>." in record["json"]["prompt"]

    def test_a_first_frame_beside_characters(self, xai: Simulator, folder: Path, bucket: str) -> None:
        image, cast = file(folder, bucket, "Moss-0.jpg"), (CastMember("Luna", stills=stills(folder, bucket, "Luna")),)
        placed = XAI.submit(account(xai), order(model=NEWER, image=image, cast=cast, seconds=1, size="1280x720"))
        (record,) = xai.requests()
        assert record["json"]["image"] == {"url": recorded(image)}
        assert len(record["json"]["reference_images"]) == 3
        done = finish(xai, placed)
        assert (done.status, done.micro_dollars) == ("completed", 140_000 + 4 * 10_000)

    def test_a_character_of_the_lite_model_is_the_first_frame(self, xai: Simulator, folder: Path, bucket: str) -> None:
        luna = stills(folder, bucket, "Luna")
        XAI.submit(account(xai), order(model=LITE, cast=(CastMember("Luna", stills=luna),), seconds=1, size="848x480"))
        (record,) = xai.requests()
        assert record["json"]["image"] == {"url": recorded(luna[0])}
        assert record["json"]["prompt"] == (
            "Luna is the character in the first frame. Featuring Luna. A fox in the snow"
        )

    def test_a_large_image_goes_by_its_address(self, xai: Simulator, folder: Path, bucket: str) -> None:
        (folder / "large.jpg").write_bytes((folder / "Luna-0.jpg").read_bytes() + bytes(INLINE_BYTES))
        placed = XAI.submit(account(xai), order(image=file(folder, bucket, "large.jpg"), seconds=1, size="848x480"))
        assert xai.requests()[0]["json"]["image"] == {"url": f"{bucket}/large.jpg"}
        assert finish(xai, placed).status == "completed"

    def test_edit(self, xai: Simulator, folder: Path, bucket: str, tmp_path: Path) -> None:
        clip = Source(clip=file(folder, bucket, "Moss.mp4"))
        placed = XAI.submit(account(xai), order("edit", prompt="Make it snow", source=clip, seconds=3, size="640x360"))
        (record,) = xai.requests()
        assert record["path"] == "/v1/videos/edits"
        assert record["json"] == {"model": CLASSIC, "prompt": "Make it snow", "video": {"url": f"{bucket}/Moss.mp4"}}
        done = finish(xai, placed)
        found = facts(xai, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (640, 360, 3)
        bill = Bill("edit", "640x360", 3, source_seconds=3)
        assert done.micro_dollars == XAI.profile(CLASSIC, {}).prices.cost(bill) == 3 * (50_000 + 10_000)

    def test_extend(self, xai: Simulator, folder: Path, bucket: str, tmp_path: Path) -> None:
        clip = Source(clip=file(folder, bucket, "Luna.mp4"))
        placed = XAI.submit(account(xai), order("extend", prompt="She leaps", source=clip, seconds=4))
        (record,) = xai.requests()
        assert record["path"] == "/v1/videos/extensions"
        video = {"url": f"{bucket}/Luna.mp4"}
        assert record["json"] == {"model": CLASSIC, "prompt": "She leaps", "video": video, "duration": 4}
        done = finish(xai, placed)
        found = facts(xai, done, tmp_path / "video.mp4")
        assert round(found.duration) == 6
        bill = Bill("extend", f"{found.width}x{found.height}", 4, source_seconds=2)
        assert done.micro_dollars == XAI.profile(CLASSIC, {}).prices.cost(bill)

    def test_states_over_time(self, xai: Simulator) -> None:
        xai.settings(speed=0)
        placed = XAI.submit(account(xai), order(prompt="odd-status", seconds=1, size="848x480"))
        assert XAI.poll(account(xai), placed.upstream_id) == Progress(placed.upstream_id, "queued")  # an empty 202
        xai.settings(queued_seconds=0.0, run_seconds=100.0, speed=100)
        time.sleep(0.1)
        xai.settings(speed=0)
        running = XAI.poll(account(xai), placed.upstream_id)
        assert (running.status, 0 < running.progress < 100) == ("in_progress", True)  # "post_processing"

    @pytest.mark.parametrize("form", ["flag", "refusal", "failure", "bare"])
    def test_moderation_of_the_video(self, xai: Simulator, form: str) -> None:
        xai.settings(moderation=form)
        done = finish(xai, XAI.submit(account(xai), order(prompt="refused-later", seconds=1, size="848x480")))
        code, message = done.error or ("", "")
        assert (done.status, code) == ("failed", "moderation_blocked")
        assert "moderation" in message
        assert done.micro_dollars == (50_000 if form == "refusal" else None)  # withheld and billed

    def test_moderation_of_the_prompt(self, xai: Simulator) -> None:
        refused = refusal(xai, prompt="forbidden")
        assert (refused.reason, refused.status) == (Reason.MODERATION, 400)
        assert refused.code == "moderation_blocked"

    def test_a_failure(self, xai: Simulator) -> None:
        done = finish(xai, XAI.submit(account(xai), order(prompt="fails-later", seconds=1, size="848x480")))
        assert done.error is not None
        assert done.error[0] == "internal_error"

    @pytest.mark.parametrize("shape", ["natural", "flat", "nested", "bare"])
    def test_errors_of_every_shape(self, xai: Simulator, shape: str) -> None:
        xai.settings(error_shape=shape)
        refused = refusal(xai, seconds=16)
        assert (refused.reason, refused.message) == (
            Reason.INVALID,
            "duration must be between 1 and 15 seconds, got 16",
        )
        assert refusal(xai, model="grok-imagine-image").reason is Reason.GONE
        wrong = refusal(xai, key="nonsense")  # a 400 there; as a 401 it makes the core look for a renewed key
        assert (wrong.reason, wrong.status) == (Reason.CREDENTIALS, 401)
        with pytest.raises(Refused) as caught:
            XAI.poll(account(xai), "no-such-job")
        assert caught.value.reason is Reason.NOT_FOUND

    def test_another_account_does_not_see_the_job(self, xai: Simulator) -> None:
        placed = XAI.submit(account(xai), order(seconds=1, size="848x480"))
        with pytest.raises(Refused) as caught:
            XAI.poll(account(xai, "sim-b"), placed.upstream_id)
        assert caught.value.reason is Reason.NOT_FOUND

    @pytest.mark.parametrize("fault", [{"action": "reset", "when": "after"}, {"action": "half"}, {"delay": 3.0}])
    def test_a_lost_answer_is_not_asked_for_again(self, xai: Simulator, fault: dict[str, Any]) -> None:
        xai.fault(method="POST", **fault)
        with pytest.raises(OutcomeUnknown) as caught:
            XAI.submit(account(xai, seconds=1), order(seconds=1, size="848x480"))
        assert caught.value.timed_out == ("delay" in fault)
        assert len(xai.jobs(least=1)) == 1 == len(xai.requests())

    def test_a_server_that_is_not_there(self, xai: Simulator) -> None:
        with pytest.raises(Refused) as caught:
            XAI.submit(Account("http://127.0.0.1:9/v1", "k", Client(time.monotonic() + 5)), order(size="848x480"))
        assert caught.value.reason is Reason.UNAVAILABLE

    def test_the_address_gets_no_key_and_may_die(self, xai: Simulator) -> None:
        placed = XAI.submit(account(xai), order(seconds=1, size="848x480"))
        done = finish(xai, placed)
        with XAI.open_content(account(xai), done) as content:
            assert next(content.chunks)[4:8] == b"ftyp"
        assert [record["key"] for record in xai.requests(operation="get_content")] == [None]
        xai.settings(output_seconds=-1)
        with pytest.raises(Refused) as caught, XAI.open_content(account(xai), finish(xai, placed)):
            pass
        assert caught.value.reason is Reason.NOT_FOUND
        xai.settings(output_seconds=60)
        with XAI.open_content(account(xai), finish(xai, placed)) as content:  # asked again, a fresh address
            assert content.size


def refusal(simulator: Simulator, *, key: str = "sim-a", **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        XAI.submit(account(simulator, key), order(**{"seconds": 1, "size": "848x480", **changes}))
    return caught.value


# Without a server: what is refused here, before anything is paid

LUNA = (CastMember("Luna", stills=(media("still.jpg", "image/jpeg"),)),)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        (order(model=NEWER, cast=LUNA, size="1920x1080"), "size"),
        (order(cast=LUNA, seconds=12, size="848x480"), "seconds"),
        (order(cast=LUNA, image=media("a.png", "image/png"), size="848x480"), "input_reference"),
        (order(model=LITE, cast=LUNA, image=media("a.png", "image/png"), size="848x480"), "input_reference"),
        (order("edit", source=Source(clip=media("a.mov", "video/quicktime"))), "video"),
        (order(prompt="x" * PROMPT, cast=LUNA, size="848x480"), "prompt"),  # what it says of Luna comes on top
    ],
)
def test_what_cannot_be_combined(server: Server, wrong: Order, param: str) -> None:
    with pytest.raises(Refused) as caught:
        XAI.submit(server.account(), wrong)
    assert (caught.value.reason, caught.value.param) == (Reason.INVALID, param)
    assert server.requests == []


def test_the_longest_prompt(xai: Simulator) -> None:
    """The server accepts 4096 characters, and the profiles have this limit."""
    assert XAI.submit(account(xai), order(prompt="x" * 4096, seconds=1, size="848x480")).status == "queued"
    assert {XAI.profile(model, {}).prompt_characters for model in XAI.models} == {4096}


class TestProfile:
    def test_by_model(self) -> None:
        classic, newer, lite = (XAI.profile(model, {}) for model in (CLASSIC, NEWER, LITE))
        assert (classic.edit, classic.extend_seconds) == (True, tuple(range(2, 11)))
        assert (newer.edit, newer.edit_upload, newer.extend_seconds) == (False, False, ())
        assert [profile.characters.most for profile in (classic, newer, lite)] == [7, 14, 1]
        assert "1920x1080" not in classic.sizes
        assert "1920x1080" in newer.sizes
        assert newer.prices.create["1080x1920"] == 250_000
        assert all(set(profile.prices.create) == set(profile.sizes) for profile in (classic, newer, lite))
        assert [profile.prices.character for profile in (classic, newer, lite)] == [6_000, 30_000, 0]
        assert [profile.prices.source for profile in (classic, newer, lite)] == [{"": 10_000}, {}, {}]

    def test_what_a_video_with_characters_may_be(self) -> None:
        classic, newer, lite = (XAI.profile(model, {}).playing(cast=True) for model in (CLASSIC, NEWER, LITE))
        assert [profile.seconds[-1] for profile in (classic, newer, lite)] == [10, 15, 15]
        assert ["1080x1920" in profile.sizes for profile in (newer, lite)] == [False, True]
        assert "720x1280" in newer.sizes
        assert [profile.characters.beside for profile in (classic, newer, lite)] == [0, 14, 0]

    @pytest.mark.parametrize("name", ["grok-imagine-video-1.5-preview", "grok-imagine-video-1.5-2026-05-30"])
    def test_dated_names(self, name: str) -> None:
        assert XAI.profile(name, {}) == XAI.profile(NEWER, {})

    def test_what_code_for_sora_asks_for(self) -> None:
        profile = XAI.profile(CLASSIC, {})
        assert {4, 8, 12} <= set(profile.seconds)
        assert {"720x1280", "1280x720"} <= set(profile.sizes)
        assert (profile.default_seconds, profile.default_size) == (4, "720x1280")


# Against answers as told


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (400, {"code": "invalid-argument", "error": "bad field"}, Reason.INVALID),
            (422, {"error": "Failed to deserialize the JSON body"}, Reason.INVALID),
            (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***"}, None),
            (401, {"code": "unauthenticated", "error": "no key"}, Reason.CREDENTIALS),
            (403, {"code": "permission-denied", "error": "not for this key"}, Reason.CREDENTIALS),
            (403, {"code": "x", "error": "Your newly created team doesn't have any credits yet."}, Reason.ARREARS),
            (429, {"code": "x", "error": "Your team has used all available credits"}, Reason.ARREARS),
            (403, {"code": "x", "error": "or reached its monthly spending limit"}, Reason.ARREARS),
            (402, {"error": {"message": "pay"}}, Reason.ARREARS),
            (403, {"code": "x", "error": "Content violates usage guidelines."}, Reason.MODERATION),
            (400, {"code": "imagine:content-moderated", "error": "no"}, Reason.MODERATION),
            (404, {"code": "not-found", "error": "no such model"}, Reason.GONE),
            (400, {"code": "invalid-argument", "error": "Model not found: grok-9"}, Reason.GONE),
            (410, {}, Reason.GONE),
            (429, {"error": {"message": "slow down", "type": "x", "param": None, "code": "rate_limit"}}, Reason.BUSY),
            (429, b"", Reason.BUSY),
            (503, {"error": "overloaded"}, Reason.UNAVAILABLE),
            (301, b"", Reason.UNAVAILABLE),
        ],
    )
    def test_definite(self, server: Server, status: int, body: Any, reason: Reason | None) -> None:
        server.answer(status, body, headers={"retry-after": "7"})
        with pytest.raises(Refused) as caught:
            XAI.submit(server.account(), order(size="848x480"))
        assert caught.value.reason is (reason or Reason.CREDENTIALS)
        assert caught.value.retry_after == "7"
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b"<html>gateway</html>"),
            (200, b""),
            (200, {"request_id": None}),
            (200, {"request_id": ""}),
            (200, {"request_id": "../../v1/files"}),
            (200, {"request_id": "x" * 201}),
            (200, [{"request_id": "a"}]),
            (500, {"error": "oops"}),
            (502, b"<html>Bad gateway</html>"),
            (503, b"<html>Service Unavailable</html>"),
            (504, b""),
        ],
    )
    def test_unknown(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises(OutcomeUnknown):
            XAI.submit(server.account(), order(size="848x480"))
        assert len(server.requests) == 1

    def test_neither_our_key_nor_our_addresses_are_passed_on(self, server: Server) -> None:
        url = "https://bucket.example/clip?X-Amz-Signature=abc"
        server.answer(400, {"code": "invalid-argument", "error": f"Could not fetch {url} for {KEY}"})
        with pytest.raises(Refused) as caught:
            XAI.submit(server.account(), order(size="848x480"))
        assert caught.value.message == "Could not fetch (address) for ***"


class TestPoll:
    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (202, b"", ("queued", 0)),
            (202, b"<html>", ("queued", 0)),
            (202, {"status": "pending"}, ("queued", 0)),
            (202, {"status": "pending", "progress": 37}, ("in_progress", 37)),
            (200, {"status": "pending", "progress": 37.9}, ("in_progress", 37)),
            (200, {"status": "rendering", "progress": 5}, ("in_progress", 5)),
            (200, {"status": 7}, ("in_progress", 0)),
            (200, {"status": "pending", "progress": 250}, ("queued", 0)),
            (200, b'{"status": "pending", "progress": NaN}', ("queued", 0)),
            (200, {"video": None}, ("in_progress", 0)),
        ],
    )
    def test_running(self, server: Server, status: int, body: Any, expected: tuple[str, int]) -> None:
        server.answer(status, body)
        progress = XAI.poll(server.account(), "r1")
        assert (progress.status, progress.progress) == expected
        assert str(server.request.url) == f"{BASE}/videos/r1"
        assert server.request.headers["authorization"] == f"Bearer {KEY}"

    def test_an_older_answer_has_no_status(self, server: Server) -> None:
        server.answer(
            200, {"video": {"url": "https://v/x.mp4", "duration": 8, "respect_moderation": True}, "model": "m"}
        )
        assert XAI.poll(server.account(), "r1") == Progress("r1", "completed", 100, 8, output_url="https://v/x.mp4")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"status": "done", "video": {"url": "", "respect_moderation": False}}, "moderation_blocked"),
            ({"status": "done", "video": {"url": "https://v/x", "respect_moderation": False}}, "moderation_blocked"),
            ({"status": "done", "video": {"url": None}}, "provider_failed"),
            ({"status": "done", "video": {"url": 5}}, "provider_failed"),
            ({"status": "done"}, "provider_failed"),
            ({"status": "failed", "error": {"code": "invalid_argument", "message": "no"}}, "invalid_argument"),
            ({"status": "failed", "error": {"code": "internal_error", "message": "Moderated"}}, "moderation_blocked"),
            ({"status": "failed", "error": "text"}, "provider_failed"),
            ({"status": "failed"}, "provider_failed"),
            ({"status": "expired"}, "provider_expired"),
        ],
    )
    def test_failed(self, server: Server, body: Any, code: str) -> None:
        server.answer(200, body)
        progress = XAI.poll(server.account(), "r1")
        assert progress.status == "failed"
        assert progress.error is not None
        assert progress.error[0] == code
        assert progress.error[1]

    @pytest.mark.parametrize("status", [400, 429, 500, 503])
    def test_troubles_pass(self, server: Server, status: int) -> None:
        server.answer(status, {"error": "not now"})
        with pytest.raises((Refused, OutcomeUnknown)) as caught:
            XAI.poll(server.account(), "r1")
        assert getattr(caught.value, "reason", None) is not Reason.NOT_FOUND

    @pytest.mark.parametrize("upstream_id", ["", ".", "..", "..."])
    def test_an_id_that_would_be_a_path_is_not_asked_for(self, server: Server, upstream_id: str) -> None:
        with pytest.raises(Refused) as caught:
            XAI.poll(server.account(), upstream_id)
        assert caught.value.reason is Reason.NOT_FOUND
        assert server.requests == []

    def test_an_id_cannot_leave_its_place_in_the_path(self, server: Server) -> None:
        server.answer(202)
        XAI.poll(server.account(), "../files?a=b#c")
        assert server.request.url.raw_path == b"/v1/videos/..%2Ffiles%3Fa%3Db%23c"


class TestContent:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [(403, Reason.NOT_FOUND), (404, Reason.NOT_FOUND), (410, Reason.NOT_FOUND), (500, Reason.UNAVAILABLE)],
    )
    def test_a_dead_address(self, server: Server, status: int, reason: Reason) -> None:
        server.answer(status, b"gone")
        with (
            pytest.raises(Refused) as caught,
            XAI.open_content(server.account(), Progress("r1", "completed", output_url="https://v.example/x.mp4")),
        ):
            pass
        assert caught.value.reason is reason
        assert "authorization" not in server.request.headers

    def test_no_address(self, server: Server) -> None:
        with pytest.raises(Refused), XAI.open_content(server.account(), Progress("r1", "completed")):
            pass
        assert server.requests == []


def test_the_body_is_json_with_a_length(server: Server) -> None:
    server.answer(200, {"request_id": "r1"})
    image = Media("a.png", "image/png", 3, lambda: io.BytesIO(b"png"), lambda: "https://s3/a.png")
    XAI.submit(server.account(), order(image=image, seconds=2, size="480x480"))
    assert server.request.headers["content-type"] == "application/json"
    assert int(server.request.headers["content-length"]) == len(server.request.content)
    assert json.loads(server.request.content)["image"] == {"url": "data:image/png;base64,cG5n"}

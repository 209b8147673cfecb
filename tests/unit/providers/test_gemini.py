"""The provider module alone: against the simulator over HTTP, and against answers that no simulator gives."""

from __future__ import annotations

import base64
import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.simulators.process import Simulator
from local.simulators.shared import footage
from local.simulators.shared.render import sample_clip
from tests.fakes.account import KEY, Server, media
from understudy import settings
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.network import http_client
from understudy.network.http_client import Client
from understudy.providers.base import Account, CastMember, Media, Operation, Order, Progress, Source
from understudy.providers.gemini import Gemini

GEMINI = Gemini()
OLDER, NEWER = "gemini-omni-1.1-flash", "gemini-omni-1.2-flash"
SMALL: dict[str, Any] = {"seconds": 3, "size": "640x360"}  # what the simulator draws quickest


def order(operation: Operation = "create", prompt: str = "A fox in the snow", model: str = OLDER, **more: Any) -> Order:
    return Order(operation, model, prompt, "our-reference", **more)


# Against the simulator


@pytest.fixture(scope="module")
def shared_gemini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("gemini"), speed=40, module="local.simulators.gemini") as simulator:
        yield simulator


@pytest.fixture
def gemini(shared_gemini: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    before = shared_gemini.settings()
    shared_gemini.reset()
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORKS", "1")
    settings.settings.cache_clear()
    http_client._http.cache_clear()
    yield shared_gemini
    settings.settings.cache_clear()
    shared_gemini.settings(**before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and stills, as the bucket has them."""
    folder = tmp_path_factory.mktemp("bucket")
    for name, seconds in (("Luna", 2), ("Moss", 3), ("Long", 11)):
        clip = sample_clip(folder / f"{name}.mp4", seconds, (640, 360), name)
        for number in range(4):
            footage.still(clip, number / 2).save(folder / f"{name}-{number}.jpg")
    return folder


def file(folder: Path, name: str) -> Media:
    path, kind = folder / name, "video/mp4" if name.endswith("mp4") else "image/jpeg"
    return Media(name, kind, path.stat().st_size, lambda: path.open("rb"), lambda: f"https://bucket.example/{name}")


def stills(folder: Path, name: str) -> tuple[Media, ...]:
    return tuple(file(folder, f"{name}-{number}.jpg") for number in range(4))


def account(simulator: Simulator, key: str = "sim-a", seconds: float = 30, **options: Any) -> Account:
    return Account(f"{simulator.url}/v1beta", key, Client(time.monotonic() + seconds), options)


def finish(simulator: Simulator, placed: Progress) -> Progress:
    until = time.monotonic() + 20
    while (progress := GEMINI.poll(account(simulator), placed.upstream_id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    return progress


def facts(simulator: Simulator, progress: Progress, path: Path) -> footage.VideoFacts:
    with GEMINI.open_content(account(simulator), progress) as content:
        path.write_bytes(b"".join(content.chunks))
        assert content.mime_type == "video/mp4"
        assert content.size in {None, path.stat().st_size}
    return footage.probe(path)


def sent(kind: str, media: Media) -> dict[str, Any]:
    """Return an input as the simulator records it."""
    with media.open() as opened:
        data = base64.b64encode(opened.read()).decode()
    digest = hashlib.sha256(data.encode()).hexdigest()
    shown = {"start": data[:80], "length": len(data), "sha256": digest} if len(data) > 2000 else data
    return {"type": kind, "mime_type": media.mime_type, "data": shown}


def created(simulator: Simulator) -> dict[str, Any]:
    """Return the fields of the last create."""
    fields: dict[str, Any] = simulator.requests(operation="create_interaction")[-1]["json"]
    return fields


class TestAgainstTheSimulator:
    def test_create(self, gemini: Simulator, tmp_path: Path) -> None:
        placed = GEMINI.submit(account(gemini), order(seconds=4, size="720x1280"))
        assert placed.status == "in_progress"
        assert created(gemini) == {
            "model": OLDER,
            "background": True,
            "store": True,
            "input": [{"type": "text", "text": "A fox in the snow"}],
            "generation_config": {"video_config": {"task": "text_to_video"}},
            "response_format": {
                "type": "video",
                "delivery": "uri",
                "aspect_ratio": "9:16",
                "resolution": "720p",
                "duration": "4s",
            },
        }
        done = finish(gemini, placed)
        assert (done.status, done.progress) == ("completed", 100)
        found = facts(gemini, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (720, 1280, 4)

    @pytest.mark.parametrize("model", [OLDER, NEWER])
    def test_everything_of_the_profile_is_taken(self, gemini: Simulator, model: str) -> None:
        profile = GEMINI.profile(model, {})
        for size in profile.sizes:
            GEMINI.submit(account(gemini), order(model=model, seconds=3, size=size))
        for seconds in profile.seconds:
            GEMINI.submit(account(gemini), order(model=model, seconds=seconds, size="640x360"))
        jobs = gemini.jobs()
        assert [job["size"] for job in jobs[: len(profile.sizes)]] == list(profile.sizes)
        assert [job["seconds"] for job in jobs[len(profile.sizes) :]] == list(profile.seconds)
        beyond = profile.seconds[-1] + 1
        assert refusal(gemini, model=model, seconds=beyond).reason is Reason.INVALID

    def test_two_characters_by_their_clips(self, gemini: Simulator, folder: Path) -> None:
        luna, moss = file(folder, "Luna.mp4"), file(folder, "Moss.mp4")
        cast = (CastMember("Luna", clip=luna), CastMember("Moss", clip=moss))
        wanted = order(prompt="Luna dances. Luna sings.", cast=cast, **SMALL)
        assert finish(gemini, GEMINI.submit(account(gemini), wanted)).status == "completed"
        text = (
            "[# References <VIDEO_REF_0>@Video1 <VIDEO_REF_1>@Video2] "
            "Featuring Moss (<VIDEO_REF_1>). Luna (<VIDEO_REF_0>) dances. Luna sings."
        )
        assert created(gemini)["input"] == [sent("video", luna), sent("video", moss), {"type": "text", "text": text}]
        assert created(gemini)["generation_config"] == {"video_config": {"task": "reference_to_video"}}
        assert [name for name, _ in gemini.jobs()[0]["references"]] == ["VIDEO_REF_0", "VIDEO_REF_1"]

    @pytest.mark.parametrize(("count", "each"), [(1, 4), (2, 3), (4, 1), (6, 1)])
    def test_characters_by_their_stills(self, gemini: Simulator, folder: Path, count: int, each: int) -> None:
        images = stills(folder, "Luna")
        cast = tuple(CastMember(f"N{n}", stills=images) for n in range(count))
        assert GEMINI.profile(OLDER, {"references": "image"}).characters.most >= count
        GEMINI.submit(account(gemini), order(prompt="N0 dances", cast=cast, **SMALL))
        assert created(gemini)["input"][:-1] == [sent("image", still) for still in images[:each]] * count
        tags = " ".join(f"<IMAGE_REF_{n}>" for n in range(each))
        assert f"N0 ({tags}) dances" in created(gemini)["input"][-1]["text"]

    def test_a_first_frame(self, gemini: Simulator, folder: Path, tmp_path: Path) -> None:
        image = file(folder, "Moss-0.jpg")
        placed = GEMINI.submit(account(gemini), order(image=image, **SMALL))
        assert created(gemini)["generation_config"] == {"video_config": {"task": "image_to_video"}}
        text = "[# Sources <FIRST_FRAME>@Image1] A fox in the snow"
        assert created(gemini)["input"] == [sent("image", image), {"type": "text", "text": text}]
        facts(gemini, finish(gemini, placed), tmp_path / "video.mp4")
        first, wanted = footage.still(tmp_path / "video.mp4", 0).resize((8, 8)), footage.still(folder / "Moss.mp4", 0)
        pairs = zip(first.tobytes(), wanted.resize((8, 8)).tobytes(), strict=True)
        assert max(abs(one - other) for one, other in pairs) < 24

    def test_a_first_frame_beside_a_character(self, gemini: Simulator, folder: Path) -> None:
        cast = (CastMember("Luna", stills=stills(folder, "Luna")),)
        GEMINI.submit(account(gemini), order(image=file(folder, "Moss-0.jpg"), cast=cast, **SMALL))
        assert "generation_config" not in created(gemini)
        text = created(gemini)["input"][-1]["text"]
        assert text.startswith("[# Sources <FIRST_FRAME>@Image1] [# References <IMAGE_REF_0>@Image2 <IMAGE_REF_1>@Im")
        assert [name for name, _ in gemini.jobs()[0]["references"]] == [f"IMAGE_REF_{n}" for n in range(4)]
        both = (*cast, CastMember("Moss", stills=stills(folder, "Moss")))
        GEMINI.submit(account(gemini), order(image=file(folder, "Moss-0.jpg"), cast=both, **SMALL))
        assert len(created(gemini)["input"]) == 1 + 2 * 2 + 1  # six pictures at most
        cast = (CastMember("Luna", clip=file(folder, "Luna.mp4")),)
        GEMINI.submit(account(gemini), order(image=file(folder, "Moss-0.jpg"), cast=cast, **SMALL))
        text = created(gemini)["input"][-1]["text"]
        assert text.startswith("[# Sources <FIRST_FRAME>@Image1] [# References <VIDEO_REF_0>@Video1] Featuring Luna")

    def test_remakes_of_its_own_video(self, gemini: Simulator, tmp_path: Path) -> None:
        first = finish(gemini, GEMINI.submit(account(gemini), order(**SMALL)))
        source = Source(upstream_id=first.upstream_id)
        longer = GEMINI.submit(account(gemini), order("extend", "she leaps", source=source, seconds=5, size="640x360"))
        assert created(gemini) == {
            "model": OLDER,
            "background": True,
            "store": True,
            "previous_interaction_id": first.upstream_id,
            "input": [{"type": "text", "text": "Extend this video: she leaps"}],
            "response_format": {"type": "video", "delivery": "uri", "resolution": "360p", "duration": "5s"},
        }
        assert round(facts(gemini, finish(gemini, longer), tmp_path / "longer.mp4").duration) == 8
        for operation in ("edit", "remix"):
            placed = GEMINI.submit(account(gemini), order(operation, "make it night", source=source, **SMALL))
            assert created(gemini)["response_format"] == {"type": "video", "delivery": "uri", "resolution": "360p"}
            assert created(gemini)["input"] == [{"type": "text", "text": "Edit this video: make it night"}]
            assert round(facts(gemini, finish(gemini, placed), tmp_path / "other.mp4").duration) == 3

    @pytest.mark.parametrize(("operation", "seconds", "total"), [("edit", 9, 2), ("extend", 4, 6)])
    def test_remakes_of_a_clip(
        self, gemini: Simulator, folder: Path, tmp_path: Path, operation: Operation, seconds: int, total: int
    ) -> None:
        clip = file(folder, "Luna.mp4")
        wanted = order(operation, "Make it snow", source=Source(clip=clip), seconds=seconds, size="640x360")
        placed = GEMINI.submit(account(gemini), wanted)
        text = "[# Sources <VIDEO_0>@Video1] Make it snow"
        assert created(gemini)["input"] == [sent("video", clip), {"type": "text", "text": text}]
        assert created(gemini)["generation_config"] == {"video_config": {"task": operation}}
        assert created(gemini)["response_format"].get("duration") == (f"{seconds}s" if operation == "extend" else None)
        assert "aspect_ratio" not in created(gemini)["response_format"]
        assert round(facts(gemini, finish(gemini, placed), tmp_path / "video.mp4").duration) == total

    def test_clips_out_of_its_limits(self, gemini: Simulator, folder: Path) -> None:
        long = file(folder, "Long.mp4")
        assert refusal(gemini, operation="edit", source=Source(clip=long)).reason is Reason.INVALID
        assert refusal(gemini, cast=(CastMember("Long", clip=long),)).reason is Reason.INVALID
        gemini.settings(uploads_edited=False)
        region = refusal(gemini, operation="edit", source=Source(clip=file(folder, "Luna.mp4")))
        assert (region.reason, region.code) == (Reason.MODERATION, "moderation_blocked")

    def test_a_video_inside_the_answer(self, gemini: Simulator, tmp_path: Path) -> None:
        gemini.settings(delivery="inline")
        done = finish(gemini, GEMINI.submit(account(gemini), order(**SMALL)))
        assert (done.status, done.output_url) == ("completed", None)
        assert round(facts(gemini, done, tmp_path / "video.mp4").duration) == 3

    @pytest.mark.parametrize("form", ["silent", "failed", "poll"])
    def test_moderation_of_the_video(self, gemini: Simulator, form: str) -> None:
        gemini.settings(moderation=form)
        done = finish(gemini, GEMINI.submit(account(gemini), order(prompt="refused-later", **SMALL)))
        assert done.error is not None
        assert (done.status, done.error[0]) == ("failed", "moderation_blocked")
        assert any(word in done.error[1] for word in ("unable", "SAFETY", "blocked"))

    def test_moderation_of_the_prompt(self, gemini: Simulator) -> None:
        refused = refusal(gemini, prompt="forbidden")
        assert (refused.reason, refused.status, refused.code) == (Reason.MODERATION, 400, "moderation_blocked")

    def test_a_failure(self, gemini: Simulator) -> None:
        done = finish(gemini, GEMINI.submit(account(gemini), order(prompt="fails-later", **SMALL)))
        assert done.error is not None
        assert done.error[0] == "internal"

    def test_a_word_that_nobody_knows(self, gemini: Simulator) -> None:
        gemini.settings(speed=0)
        placed = GEMINI.submit(account(gemini), order(prompt="odd-status", **SMALL))
        assert GEMINI.poll(account(gemini), placed.upstream_id).status == "in_progress"  # "post_processing"

    @pytest.mark.parametrize("array", [False, True])
    def test_refusals_in_every_shape(self, gemini: Simulator, array: bool) -> None:
        gemini.settings(array_errors=array)
        wrong = refusal(gemini, key="nonsense")  # a 400 there; as a 401 it makes the core look for a renewed key
        assert (wrong.reason, wrong.status, wrong.message) == (
            Reason.CREDENTIALS,
            401,
            "API key not valid. Please pass a valid API key.",
        )
        gemini.revoke("b")
        assert refusal(gemini, key="sim-b").reason is Reason.CREDENTIALS
        assert refusal(gemini, model="gemini-omni-flash-preview").reason is Reason.GONE
        assert refusal(gemini, operation="edit", source=Source("v1_gone")).reason is Reason.NOT_FOUND
        for call in (GEMINI.poll, lambda *args: GEMINI.submit(args[0], order("edit", source=Source(args[1])))):
            with pytest.raises(Refused) as caught:
                call(account(gemini), "v1_gone")
            assert caught.value.reason is Reason.NOT_FOUND

    def test_another_account_does_not_see_the_job(self, gemini: Simulator) -> None:
        placed = GEMINI.submit(account(gemini), order(**SMALL))
        with pytest.raises(Refused) as caught:
            GEMINI.poll(account(gemini, "sim-b"), placed.upstream_id)
        assert caught.value.reason is Reason.NOT_FOUND

    def test_delete(self, gemini: Simulator) -> None:
        done = finish(gemini, GEMINI.submit(account(gemini), order(**SMALL)))
        GEMINI.delete(account(gemini), done.upstream_id)
        GEMINI.delete(account(gemini), done.upstream_id)  # gone already
        with pytest.raises(Refused) as caught, GEMINI.open_content(account(gemini), done):
            pass
        assert caught.value.reason is Reason.NOT_FOUND

    def test_a_file_that_died(self, gemini: Simulator) -> None:
        done = finish(gemini, GEMINI.submit(account(gemini), order(**SMALL)))
        gemini.settings(file_seconds=-1)
        with pytest.raises(Refused) as caught, GEMINI.open_content(account(gemini), done):
            pass
        assert caught.value.reason is Reason.NOT_FOUND

    @pytest.mark.parametrize("fault", [{"action": "reset", "when": "after"}, {"action": "half"}, {"delay": 3.0}])
    def test_a_lost_answer_is_not_asked_for_again(self, gemini: Simulator, fault: dict[str, Any]) -> None:
        gemini.fault(method="POST", **fault)
        with pytest.raises(OutcomeUnknown) as caught:
            GEMINI.submit(account(gemini, seconds=1), order(**SMALL))
        assert caught.value.timed_out == ("delay" in fault)
        assert len(gemini.jobs(least=1)) == 1 == len(gemini.requests())


def refusal(simulator: Simulator, *, key: str = "sim-a", operation: Operation = "create", **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        GEMINI.submit(account(simulator, key), order(operation, **{"size": "640x360", **changes}))
    return caught.value


# Without a server


def test_too_many_bytes_are_refused_before_anything_is_sent(server: Server) -> None:
    cast = (CastMember("Luna", clip=media(data=b"x" * 2_000_001)),)
    with pytest.raises(Refused) as caught:
        GEMINI.submit(server.account(max_bytes=2_000_000), order(cast=cast))
    assert (caught.value.reason, server.requests) == (Reason.INVALID, [])


@pytest.mark.parametrize(
    ("prompt", "names", "expected"),
    [
        ("Luna and Luna Two meet", ("Luna", "Luna Two"), "Luna (<VIDEO_REF_0>) and Luna Two (<VIDEO_REF_1>) meet"),
        ("A lunatic at Luna's", ("Luna",), "A lunatic at Luna (<VIDEO_REF_0>)'s"),
        ("Lunar light", ("Luna",), "Featuring Luna (<VIDEO_REF_0>). Lunar light"),
        ("Señor (3.0) runs", ("Señor (3.0)",), "Señor (3.0) (<VIDEO_REF_0>) runs"),
        ("Luna and Luna", ("Luna", "Luna"), "Luna (<VIDEO_REF_0> <VIDEO_REF_1>) and Luna"),
        (r"\1 runs", (r"\1",), r"\1 (<VIDEO_REF_0>) runs"),
    ],
)
def test_names_in_the_prompt(server: Server, prompt: str, names: tuple[str, ...], expected: str) -> None:
    server.answer(200, {"id": "v1_a", "status": "in_progress"})
    GEMINI.submit(server.account(), order(prompt=prompt, cast=tuple(CastMember(name, clip=media()) for name in names)))
    assert server.body["input"][-1]["text"].partition("] ")[2] == expected


class TestProfile:
    def test_by_model(self) -> None:
        older, newer = GEMINI.profile(OLDER, {}), GEMINI.profile(NEWER, {})
        assert (older.seconds, newer.seconds) == (tuple(range(3, 11)), tuple(range(3, 16)))
        assert (older.prices.create["720x1280"], newer.prices.create["720x1280"]) == (101_360, 69_500)
        for profile in (older, newer):
            assert (profile.characters.most, profile.characters.clip_seconds, profile.characters.trim) == (
                3,
                (0.0, 3.0),
                True,
            )
            assert profile.extend_seconds == tuple(range(3, 11))
            assert set(profile.prices.create) == set(profile.sizes)
            assert {"720x1280", "1280x720", "1080x1920", "1920x1080"} < set(profile.sizes)

    def test_options(self) -> None:
        stills = GEMINI.profile(OLDER, {"references": "image"}).characters
        assert (stills.reference_images, stills.reference_videos, stills.trim) == (6, 0, False)
        elsewhere = GEMINI.profile(OLDER, {"uploads": False})
        assert (elsewhere.edit, elsewhere.edit_upload, elsewhere.extend_upload) == (True, False, False)
        assert GEMINI.profile(OLDER, {"sizes": ["1280x720"]}).default_size == "1280x720"


# Against answers as told


def google(code: int, status: str, message: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def layer(code: str, message: str = "no") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (400, layer("invalid_request", "Unknown parameter 'x'"), Reason.INVALID),
            (400, layer("invalid_request", "safety_settings is not supported"), Reason.INVALID),
            (400, google(400, "FAILED_PRECONDITION", "The File x is not in an ACTIVE state"), Reason.INVALID),
            (400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), None),
            (400, google(400, "FAILED_PRECONDITION", "Please enable billing on your project"), Reason.ARREARS),
            (400, [google(400, "INVALID_ARGUMENT", "x", {"reason": "API_KEY_INVALID"})], None),
            (403, google(403, "PERMISSION_DENIED", "x", {"reason": "API_KEY_SERVICE_BLOCKED"}), None),
            (401, google(401, "UNAUTHENTICATED"), None),
            (404, layer("not_found", "This model is no longer available"), Reason.GONE),
            (404, [google(404, "NOT_FOUND")], Reason.GONE),
            (410, b"", Reason.GONE),
            (429, google(429, "RESOURCE_EXHAUSTED", "check your plan and billing details"), Reason.BUSY),
            (429, google(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), Reason.ARREARS),
            (429, b"<html>", Reason.BUSY),
            (503, google(503, "UNAVAILABLE", "The model is overloaded."), Reason.UNAVAILABLE),
            (301, b"", Reason.UNAVAILABLE),
            (400, google(400, "SAFETY"), Reason.MODERATION),
            (400, google(400, "INVALID_ARGUMENT", "blocked: PROHIBITED_CONTENT"), Reason.MODERATION),
            (400, layer("content_blocked", "certain restricted individuals"), Reason.MODERATION),
            (400, layer("safety", "child safety"), Reason.MODERATION),
            (400, layer("invalid_request", "Input blocked: The prompt could not be processed."), Reason.MODERATION),
            (400, layer("invalid_request", "it violates the usage policies"), Reason.MODERATION),
        ],
    )
    def test_definite(self, server: Server, status: int, body: Any, reason: Reason | None) -> None:
        server.answer(status, body, headers={"retry-after": "7"})
        with pytest.raises(Refused) as caught:
            GEMINI.submit(server.account(), order())
        assert caught.value.reason is (reason or Reason.CREDENTIALS)
        assert caught.value.retry_after == "7"
        assert len(server.requests) == 1

    def test_how_long_to_wait(self, server: Server) -> None:
        server.answer(429, google(429, "RESOURCE_EXHAUSTED", "slow down", {"retryDelay": "34.07s"}))
        with pytest.raises(Refused) as caught:
            GEMINI.submit(server.account(), order())
        assert caught.value.retry_after == "34"

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b"<html>gateway</html>"),
            (200, b""),
            (200, "an id?"),
            (200, {"status": "in_progress"}),
            (200, {"id": "", "status": "in_progress"}),
            (200, {"id": "../models", "status": "in_progress"}),
            (200, [{"id": "v1_a"}]),
            (500, google(500, "INTERNAL")),
            (502, b"<html>Bad gateway</html>"),
            (503, b"<html>Service Unavailable</html>"),
            (504, google(504, "DEADLINE_EXCEEDED")),
        ],
    )
    def test_unknown(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises(OutcomeUnknown):
            GEMINI.submit(server.account(), order())
        assert len(server.requests) == 1

    def test_our_key_is_not_passed_on(self, server: Server) -> None:
        server.answer(400, layer("invalid_request", f"Bad request for key={KEY}"))
        with pytest.raises(Refused) as caught:
            GEMINI.submit(server.account(), order())
        assert caught.value.message == "Bad request for key=***"


def output(*contents: dict[str, Any]) -> list[dict[str, Any]]:
    given = [{"type": "video", "mime_type": "video/mp4", "uri": "https://provider.example/v1/files/input"}]
    return [
        {"type": "user_input", "content": given},
        {"type": "thought"},
        {"type": "model_output", "content": list(contents)},
    ]


VIDEO = {"type": "video", "mime_type": "video/mp4", "uri": "https://provider.example/v1/files/a:download?alt=media"}


class TestPoll:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"status": "queued"}, ("queued", None)),
            ({"status": "in_progress", "steps": []}, ("in_progress", None)),
            ({"status": "requires_continuation"}, ("in_progress", None)),
            ({"status": "daydreaming"}, ("in_progress", None)),
            ({"status": None}, ("in_progress", None)),
            ({"status": "completed", "steps": output(VIDEO)}, ("completed", None)),
            ({"status": "completed", "output_video": VIDEO}, ("completed", None)),
            ({"status": "completed", "steps": output()}, ("failed", "moderation_blocked")),
            ({"status": "completed", "steps": output({"type": "text", "text": "I can't."})}, ("failed", None)),
            ({"status": "completed", "steps": "?"}, ("failed", "moderation_blocked")),
            ({"status": "failed"}, ("failed", "provider_failed")),
            ({"status": "failed", "errors": [{"code": "internal", "message": "x"}]}, ("failed", "internal")),
            ({"status": "failed", "error": {"code": 13, "message": "x"}}, ("failed", "13")),
            ({"status": "failed", "errors": [{"code": "x", "message": "SAFETY"}]}, ("failed", "moderation_blocked")),
            ({"status": "failed", "steps": [{"error": {"message": "BLOCKLIST"}}]}, ("failed", "moderation_blocked")),
            ({"status": "incomplete"}, ("failed", "provider_failed")),
            ({"status": "cancelled"}, ("failed", "provider_failed")),
            ({"status": "budget_exceeded"}, ("failed", "provider_failed")),
            ({"status": "requires_action"}, ("failed", "provider_failed")),
        ],
    )
    def test_status(self, server: Server, body: dict[str, Any], expected: tuple[str, str | None]) -> None:
        server.answer(200, {"id": "v1_a", **body})
        progress = GEMINI.poll(server.account(), "v1_a")
        assert progress.upstream_id == "v1_a"
        assert progress.status == expected[0]
        if expected[1]:
            assert progress.error is not None
            assert progress.error[0] == expected[1]
        assert progress.output_url == (VIDEO["uri"] if progress.status == "completed" else None)

    def test_the_words_of_a_silent_refusal(self, server: Server) -> None:
        server.answer(200, {"status": "completed", "steps": output({"type": "text", "text": "I can't make this."})})
        assert GEMINI.poll(server.account(), "v1_a").error == ("moderation_blocked", "I can't make this.")

    def test_a_verdict_as_a_400(self, server: Server) -> None:
        server.answer(400, layer("invalid_request", "Unsupported file uri"))
        assert GEMINI.poll(server.account(), "v1_a").error == ("invalid_request", "Unsupported file uri")

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (400, google(400, "INVALID_ARGUMENT")),
            (400, b"<html>"),
            (429, b""),
            (500, b""),
            (503, b"<html>"),
            (200, b""),
        ],
    )
    def test_what_may_pass(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises((Refused, OutcomeUnknown)) as caught:
            GEMINI.poll(server.account(), "v1_a")
        assert getattr(caught.value, "reason", None) is not Reason.NOT_FOUND

    @pytest.mark.parametrize("body", [layer("invalid_request", "Invalid interaction name."), layer("not_found", "x")])
    def test_a_job_that_is_gone(self, server: Server, body: Any) -> None:
        server.answer(404 if body["error"]["code"] == "not_found" else 400, body)
        with pytest.raises(Refused) as caught:
            GEMINI.poll(server.account(), "v1_a")
        assert caught.value.reason is Reason.NOT_FOUND

    @pytest.mark.parametrize("upstream_id", ["../files/a", "a/b", "a?b=c", "ä #"])
    def test_an_id_is_not_a_path(self, server: Server, upstream_id: str) -> None:
        server.answer(200, {"status": "queued"})
        GEMINI.poll(server.account(), upstream_id)
        assert server.request.url.raw_path.startswith(b"/v1/interactions/")
        assert server.request.url.raw_path.count(b"/") == 3
        with pytest.raises(Refused):
            GEMINI.poll(server.account(), "..")


class TestContent:
    def test_the_key_stays_with_its_origin(self, server: Server) -> None:
        server.answers = [
            httpx.Response(302, headers={"location": "https://storage.example/a"}),
            httpx.Response(200, content=b"video", headers={"content-type": "video/mp4; x=y"}),
        ]
        with GEMINI.open_content(server.account(), Progress("v1_a", "completed", output_url=VIDEO["uri"])) as content:
            assert (content.mime_type, content.size, b"".join(content.chunks)) == ("video/mp4", 5, b"video")
        assert [request.headers.get("x-goog-api-key") for request in server.requests] == [KEY, None]

    @pytest.mark.parametrize("url", ["https://elsewhere.example/v1/files/a", "http://provider.example/v1/files/a"])
    def test_no_key_for_another_origin(self, server: Server, url: str) -> None:
        server.answer(200, b"video")
        with GEMINI.open_content(server.account(), Progress("v1_a", "completed", output_url=url)) as content:
            assert b"".join(content.chunks) == b"video"
        assert "x-goog-api-key" not in server.request.headers

    @pytest.mark.parametrize(
        ("status", "reason"), [(403, Reason.NOT_FOUND), (404, Reason.NOT_FOUND), (429, Reason.BUSY)]
    )
    def test_an_address_that_refuses(self, server: Server, status: int, reason: Reason) -> None:
        server.answer(status, google(status, "X"))
        progress = Progress("v1_a", "completed", output_url=VIDEO["uri"])
        with pytest.raises(Refused) as caught, GEMINI.open_content(server.account(), progress):
            pass
        assert caught.value.reason is reason

    def test_base64_in_pieces(self, server: Server) -> None:
        video = bytes(range(256)) * 3001
        data = base64.b64encode(video).decode()
        server.answer(200, {"status": "completed", "steps": output({"type": "video", "data": data})})
        progress = GEMINI.poll(server.account(), "v1_a")
        with GEMINI.open_content(server.account(), progress) as content:
            pieces = list(content.chunks)
        assert (len(pieces) > 3, b"".join(pieces)) == (True, video)

    @pytest.mark.parametrize("data", ["####", "QUJ", "ä"])
    def test_what_is_not_base64(self, server: Server, data: str) -> None:
        server.answer(200, {"status": "completed", "steps": output({"type": "video", "data": data})})
        with (
            pytest.raises(Refused) as caught,
            GEMINI.open_content(server.account(), Progress("v1_a", "completed")) as content,
        ):
            list(content.chunks)
        assert caught.value.reason is Reason.UNAVAILABLE

    def test_a_video_that_is_not_there_any_more(self, server: Server) -> None:
        server.answer(400, layer("invalid_request", "Invalid interaction name."))
        with pytest.raises(Refused) as caught, GEMINI.open_content(server.account(), Progress("v1_a", "completed")):
            pass
        assert caught.value.reason is Reason.NOT_FOUND


def test_a_clip_from_an_iphone(server: Server) -> None:
    server.answer(200, {"id": "v1_a", "status": "queued"})
    clip = Media("a.mov", "video/quicktime", 3, lambda: io.BytesIO(b"mov"), lambda: "https://bucket.example/a.mov")
    assert GEMINI.submit(server.account(), order("edit", source=Source(clip=clip))).status == "queued"
    assert server.body["input"][0] == {"type": "video", "mime_type": "video/mov", "data": "bW92"}
    assert server.request.headers["api-revision"] == "2026-05-20"

"""The provider module alone: against the simulator over HTTP, and against answers that no simulator gives."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.simulators.process import Simulator
from local.simulators.runwayml.models import REQUESTS
from local.simulators.shared import footage
from local.simulators.shared.render import sample_clip
from tests.fakes.account import BASE, KEY, Server, media
from understudy import settings
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.network import http_client
from understudy.network.http_client import Client
from understudy.providers.base import Account, CastMember, Media, Operation, Order, Progress, Source
from understudy.providers.runwayml import INLINE_BYTES, UPLOAD_BYTES, Runway

RUNWAY = Runway()
OMNI = "gemini_omni_flash_1.1"
MAKERS = ["gen4.5", "veo3.1", "veo3.1_fast", OMNI, "seedance2", "seedance2_fast", "seedance2_mini", "seedance2_5"]


def order(
    operation: Operation = "create", model: str = "gen4.5", prompt: str = "A fox in the snow", **more: Any
) -> Order:
    return Order(operation, model, prompt, "our-reference", **more)


def no_address() -> str:
    raise AssertionError("a presigned GET does not answer their HEAD")


# Against the simulator


@pytest.fixture(scope="module")
def shared_runway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("runway"), speed=40, module="local.simulators.runwayml") as simulator:
        yield simulator


@pytest.fixture
def runway(shared_runway: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    before = shared_runway.settings()
    shared_runway.reset()
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORKS", "1")
    settings.settings.cache_clear()
    http_client._http.cache_clear()
    yield shared_runway
    settings.settings.cache_clear()
    shared_runway.settings(**before)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and stills of characters."""
    folder = tmp_path_factory.mktemp("bucket")
    for name, seconds in (("Luna", 3), ("Moss", 2)):
        clip = sample_clip(folder / f"{name}.mp4", seconds, (640, 360), name)
        footage.still(clip, 0.5).save(folder / f"{name}.jpg")
    return folder


def file(bucket: Path, name: str) -> Media:
    path, kind = bucket / name, "video/mp4" if name.endswith("mp4") else "image/jpeg"
    return Media(name, kind, path.stat().st_size, lambda: path.open("rb"), no_address)


def cast(bucket: Path, *names: str) -> tuple[CastMember, ...]:
    return tuple(CastMember(name, clip=file(bucket, f"{name}.mp4")) for name in names)


def account(simulator: Simulator, key: str = "sim-a", seconds: float = 30) -> Account:
    return Account(simulator.base_url, key, Client(time.monotonic() + seconds))


def finish(simulator: Simulator, placed: Progress) -> Progress:
    until = time.monotonic() + 20
    while (progress := RUNWAY.poll(account(simulator), placed.upstream_id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    return progress


def facts(simulator: Simulator, progress: Progress, path: Path) -> footage.VideoFacts:
    with RUNWAY.open_content(account(simulator), progress) as content:
        path.write_bytes(b"".join(content.chunks))
        assert (content.mime_type, content.size) == ("video/mp4", path.stat().st_size)
    return footage.probe(path)


def uploads(simulator: Simulator) -> dict[str, str]:
    """Return the SHA-256 of each uploaded file, by its runway:// URI."""
    places = [record["created"] for record in simulator.requests(operation="create_upload")]
    sent = simulator.requests(operation="send_file")
    return {
        place: record["files"][0]["sha256"] for place in places for record in sent if record["path"].endswith(place[9:])
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestAgainstTheSimulator:
    def test_create(self, runway: Simulator, tmp_path: Path) -> None:
        placed = RUNWAY.submit(account(runway), order(seconds=4, size="720x1280"))
        assert placed.status == "queued"
        (record,) = runway.requests()
        assert (record["path"], record["account"]) == ("/v1/text_to_video", "a")
        assert record["json"] == {
            "model": "gen4.5",
            "promptText": "A fox in the snow",
            "ratio": "720:1280",
            "duration": 4,
        }
        done = finish(runway, placed)
        assert (done.status, done.progress, done.micro_dollars) == ("completed", 100, 480_000)
        found = facts(runway, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (720, 1280, 4)

    @pytest.mark.parametrize("model", MAKERS)
    def test_every_size_and_length_of_the_profile_is_taken(self, runway: Simulator, model: str) -> None:
        profile = RUNWAY.profile(model, {})
        assert profile.default_size in profile.sizes
        assert profile.default_seconds in profile.seconds
        for size in profile.sizes:
            RUNWAY.submit(account(runway), order(model=model, seconds=profile.default_seconds, size=size))
        for seconds in profile.seconds:
            RUNWAY.submit(account(runway), order(model=model, seconds=seconds, size=profile.default_size))
        sizes = [*profile.sizes, *[profile.default_size] * len(profile.seconds)]
        assert [job["size"] for job in runway.jobs()] == sizes
        assert [job["seconds"] for job in runway.jobs()][len(profile.sizes) :] == list(profile.seconds)
        for job in runway.jobs()[: len(profile.sizes)]:
            price = profile.prices.create.get(job["size"])
            credits_held = job["estimatedCost"]["credits"] if "estimatedCost" in job else job["cost"]["credits"]
            assert price in {None, credits_held * 10_000 // job["seconds"]}

    @pytest.mark.parametrize("model", [OMNI, "seedance2", "seedance2_5"])
    def test_two_characters_as_clips(self, runway: Simulator, bucket: Path, model: str) -> None:
        placed = RUNWAY.submit(
            account(runway),
            order(model=model, prompt="Luna dances", cast=cast(bucket, "Luna", "Moss"), seconds=4, size="1280x720"),
        )
        (record,) = runway.requests(path="/v1/text_to_video")
        assert record["json"]["promptText"] == (
            "Luna is the character in Video 1. Moss is the character in Video 2. Featuring Moss. Luna dances"
        )
        sent = record["json"]["referenceVideos"]
        assert [one.get("type") for one in sent] == ([None, None] if model == OMNI else ["video", "video"])
        there = uploads(runway)
        assert [there[one["uri"]] for one in sent] == [sha256(bucket / "Luna.mp4"), sha256(bucket / "Moss.mp4")]
        assert finish(runway, placed).status == "completed"

    def test_an_upload_has_its_length_and_no_key(self, runway: Simulator, bucket: Path) -> None:
        RUNWAY.submit(account(runway), order(model=OMNI, cast=cast(bucket, "Luna"), seconds=3, size="640x360"))
        (asked,), (sent,) = runway.requests(operation="create_upload"), runway.requests(operation="send_file")
        assert asked["json"] == {"filename": "Luna.mp4", "type": "ephemeral"}
        assert sent["key"] is None
        assert int(sent["headers"]["content-length"]) == sent["bytes"]
        assert "transfer-encoding" not in sent["headers"]
        assert [one["name"] for one in sent["files"]] == ["file"]
        assert sent["files"][0]["content_type"] == "video/mp4"

    def test_a_first_frame(self, runway: Simulator, bucket: Path) -> None:
        still = file(bucket, "Luna.jpg")
        placed = RUNWAY.submit(account(runway), order(image=still, seconds=2, size="1280x720"))
        (record,) = runway.requests()
        assert record["path"] == "/v1/image_to_video"
        (entry,) = record["json"]["promptImage"]
        url = "data:image/jpeg;base64," + base64.b64encode((bucket / "Luna.jpg").read_bytes()).decode()
        assert entry["position"] == "first"
        assert entry["uri"]["sha256"] == hashlib.sha256(url.encode()).hexdigest()
        assert finish(runway, placed).status == "completed"

    def test_a_large_image_is_uploaded(self, runway: Simulator, bucket: Path) -> None:
        (bucket / "large.jpg").write_bytes((bucket / "Luna.jpg").read_bytes() + bytes(INLINE_BYTES))
        RUNWAY.submit(account(runway), order(image=file(bucket, "large.jpg"), seconds=2, size="1280x720"))
        (entry,) = runway.requests(operation="image_to_video")[0]["json"]["promptImage"]
        assert uploads(runway) == {entry["uri"]: sha256(bucket / "large.jpg")}

    def test_a_character_as_the_first_frame(self, runway: Simulator, bucket: Path) -> None:
        luna = CastMember("Luna", stills=(file(bucket, "Luna.jpg"), file(bucket, "Moss.jpg")))
        RUNWAY.submit(account(runway), order(cast=(luna,), seconds=2, size="1280x720"))
        (record,) = runway.requests()
        assert record["json"]["promptText"] == (
            "Luna is the character in the first frame. Featuring Luna. A fox in the snow"
        )
        assert [entry["position"] for entry in record["json"]["promptImage"]] == ["first"]

    @pytest.mark.parametrize(
        ("model", "field", "more"),
        [
            ("gen4.5", "videoUri", {"model": "aleph2"}),
            ("seedance2", "videoUri", {"model": "aleph2"}),
            (OMNI, "videoUri", {"mode": "edit"}),
            ("seedance2_5", "promptVideo", {"mode": "edit", "duration": "auto"}),
        ],
    )
    def test_edit(
        self, runway: Simulator, bucket: Path, tmp_path: Path, model: str, field: str, more: dict[str, Any]
    ) -> None:
        clip = Source(clip=file(bucket, "Luna.mp4"))
        placed = RUNWAY.submit(
            account(runway), order("edit", model, "Make it snow", source=clip, seconds=3, size="1x1")
        )
        (record,) = runway.requests(path="/v1/video_to_video")
        uri = record["json"].pop(field)
        assert record["json"] == {"model": model, "promptText": "Make it snow"} | more
        assert uploads(runway) == {uri: sha256(bucket / "Luna.mp4")}
        found = facts(runway, finish(runway, placed), tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (640, 360, 3)

    def test_extend(self, runway: Simulator, bucket: Path, tmp_path: Path) -> None:
        clip = Source(clip=file(bucket, "Luna.mp4"))
        placed = RUNWAY.submit(account(runway), order("extend", OMNI, "She leaps", source=clip, seconds=4))
        (record,) = runway.requests(path="/v1/video_to_video")
        (uri,) = uploads(runway)
        fields = {"mode": "extend", "duration": 4, "videoUri": uri}
        assert record["json"] == {"model": OMNI, "promptText": "She leaps", **fields}
        assert round(facts(runway, finish(runway, placed), tmp_path / "video.mp4").duration) == 7

    def test_states_over_time(self, runway: Simulator) -> None:
        runway.settings(speed=0)
        placed = RUNWAY.submit(account(runway), order(prompt="odd-status", seconds=2))
        plain = RUNWAY.submit(account(runway), order(seconds=2))
        runway.settings(speed=0.001, concurrency=1)
        throttled = RUNWAY.submit(account(runway), order(seconds=2))
        for one in (placed, throttled):
            assert RUNWAY.poll(account(runway), one.upstream_id) == Progress(one.upstream_id, "queued")
        runway.settings(queued_seconds=0.0, run_seconds=100.0, speed=100)
        time.sleep(0.1)
        runway.settings(speed=0)
        assert RUNWAY.poll(account(runway), placed.upstream_id).status == "in_progress"  # "POST_PROCESSING"
        assert 0 < RUNWAY.poll(account(runway), plain.upstream_id).progress < 100

    @pytest.mark.parametrize(
        ("prompt", "code"),
        [
            ("something forbidden", "moderation_blocked"),
            ("refused-later", "moderation_blocked"),
            ("fails-later", "INTERNAL.BAD_OUTPUT.CODE01"),
        ],
    )
    def test_failures(self, runway: Simulator, prompt: str, code: str) -> None:
        done = finish(runway, RUNWAY.submit(account(runway), order(prompt=prompt, seconds=2)))
        assert done.error is not None
        assert (done.status, done.error[0], done.micro_dollars) == ("failed", code, 0)
        assert done.error[1].startswith("The provider could not make this video: ")

    def test_refusals(self, runway: Simulator) -> None:
        refused = refusal(runway, seconds=11)
        assert (refused.reason, refused.status) == (Reason.INVALID, 400)
        assert refused.message == "Validation of body failed: duration: Invalid input: expected a number from 2 to 10"
        assert refusal(runway, model="gen9").reason is Reason.GONE
        assert refusal(runway, key="nonsense").reason is Reason.CREDENTIALS
        runway.settings(credits=10)
        assert refusal(runway).reason is Reason.ARREARS
        with pytest.raises(Refused) as caught:
            RUNWAY.poll(account(runway), "no-such-task")
        assert caught.value.reason is Reason.NOT_FOUND

    @pytest.mark.parametrize("fault", [{"action": "reset", "when": "after"}, {"action": "half"}, {"delay": 3.0}])
    def test_a_lost_answer_is_not_asked_for_again(self, runway: Simulator, fault: dict[str, Any]) -> None:
        runway.fault(method="POST", **fault)
        with pytest.raises(OutcomeUnknown) as caught:
            RUNWAY.submit(account(runway, seconds=1), order(seconds=2))
        assert caught.value.timed_out == ("delay" in fault)
        assert len(runway.jobs(least=1)) == 1 == len(runway.requests())

    @pytest.mark.parametrize(
        "fault",
        [
            {"path": "/v1/uploads$", "action": "answer", "status": 500, "body": "<html>"},
            {"path": "/v1/uploads$", "action": "reset", "when": "after"},
            {"path": "/v1/uploads$", "action": "answer", "status": 200, "body": {"uploadUrl": 5}},
            {"path": "^/uploads/", "action": "answer", "status": 503, "body": "<html>"},
            {"path": "^/uploads/", "action": "reset", "when": "after"},
        ],
    )
    def test_a_file_that_does_not_arrive_leaves_nothing_in_doubt(
        self, runway: Simulator, bucket: Path, fault: dict[str, Any]
    ) -> None:
        runway.fault(method="POST", **fault)
        with pytest.raises(Refused) as caught:
            RUNWAY.submit(account(runway), order(model=OMNI, cast=cast(bucket, "Luna"), seconds=3, size="640x360"))
        assert caught.value.reason is Reason.UNAVAILABLE
        assert runway.jobs() == []

    def test_the_address_gets_no_key_and_may_die(self, runway: Simulator) -> None:
        placed = RUNWAY.submit(account(runway), order(seconds=2))
        with RUNWAY.open_content(account(runway), finish(runway, placed)) as content:
            assert next(content.chunks)[4:8] == b"ftyp"
        assert [record["key"] for record in runway.requests(operation="get_content")] == [None]
        runway.settings(output_seconds=-1)
        with pytest.raises(Refused) as caught, RUNWAY.open_content(account(runway), finish(runway, placed)):
            pass
        assert caught.value.reason is Reason.NOT_FOUND
        runway.settings(output_seconds=60)
        with RUNWAY.open_content(account(runway), finish(runway, placed)) as content:  # asked again, a fresh address
            assert content.size

    def test_delete(self, runway: Simulator) -> None:
        placed = RUNWAY.submit(account(runway), order(seconds=2))
        for _ in range(2):  # gone is gone
            RUNWAY.delete(account(runway), placed.upstream_id)
        assert [job["deleted"] for job in runway.jobs()] == [True]


def refusal(simulator: Simulator, *, key: str = "sim-a", **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        RUNWAY.submit(account(simulator, key), order(**{"seconds": 2, "size": "1280x720", **changes}))
    return caught.value


# Without a server: what is refused here, before anything is paid

CLIP = (CastMember("Luna", clip=media()),)
STILL = (CastMember("Luna", stills=(media("a.jpg", "image/jpeg"),)),)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        (order(model=OMNI, cast=CLIP, image=media("a.png", "image/png")), "input_reference"),
        (order(cast=STILL, image=media("a.png", "image/png")), "input_reference"),
        (order(prompt="x" * 990, cast=STILL), "prompt"),
        (order(prompt="\U0001f98a" * 501), "prompt"),
        (order("edit", source=Source("task_1")), "video"),
        (order(model=OMNI, cast=(CastMember("L", clip=Media("a", "video/mp4", UPLOAD_BYTES + 1, open, str)),)), None),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_sent(server: Server, wrong: Order, param: str | None) -> None:
    with pytest.raises(Refused) as caught:
        RUNWAY.submit(server.account(), wrong)
    assert (caught.value.reason, caught.value.param) == (Reason.INVALID, param)
    assert server.requests == []


class TestProfile:
    def test_every_model_is_one_that_is_served(self) -> None:
        served = {model for requests in REQUESTS.values() for model in requests}
        assert served == {*MAKERS, "aleph2"}

    def test_clips_fit_into_what_a_model_takes_of_all_of_them_together(self) -> None:
        for model, together in (("seedance2", 15.0), ("seedance2_5", 30.0), (OMNI, 9.0)):
            support = RUNWAY.profile(model, {}).characters
            assert support.trim
            assert support.reference_videos * support.clip_seconds[1] == together

    def test_edits_and_extensions(self) -> None:
        profiles = {model: RUNWAY.profile(model, {}) for model in MAKERS}
        assert all(profile.edit and profile.edit_upload for profile in profiles.values())
        assert [model for model, profile in profiles.items() if profile.extend_seconds] == [OMNI]
        assert not RUNWAY.profile("gen4.5", {"edit": False}).edit_upload

    def test_edits_have_a_price_of_their_own(self) -> None:
        for model in ("gen4.5", "seedance2", "wan9"):  # by aleph2, whatever the size
            assert RUNWAY.profile(model, {}).prices.rates("edit") == {"": 280_000}
        omni, own = RUNWAY.profile(OMNI, {}).prices, RUNWAY.profile("seedance2_5", {}).prices
        assert (omni.rates("edit"), own.rates("edit")) == ({}, own.create)
        assert own.source == own.clips
        assert (own.create["854x480"], own.clips["854x480"]) == (200_000, 100_000)

    def test_a_model_that_is_not_known_is_described_by_options(self) -> None:
        profile = RUNWAY.profile("wan9", {"seconds": [3, 6], "sizes": ["1280x720"], "micro_dollars": {"": 7}})
        assert (profile.seconds, profile.sizes, profile.default_seconds) == ((3, 6), ("1280x720",), 3)
        assert profile.characters.most == 0

    def test_files_make_an_order_slow(self) -> None:
        assert all(RUNWAY.profile(model, {}).slow_inputs for model in MAKERS)


# Against answers as told


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (400, {"error": "Validation of body failed", "issues": [{"path": ["ratio"], "message": "no"}]}, "invalid"),
            (400, {"error": "Validation of body failed", "issues": [{"path": ["model"], "message": "no"}]}, "gone"),
            (400, {"error": "text", "issues": []}, "invalid"),
            (400, {"error": "text", "issues": "odd"}, "invalid"),
            (400, {"error": "text", "issues": [5]}, "invalid"),
            (400, {"error": "You do not have enough credits to run this task."}, "arrears"),
            (400, {"error": "The input was rejected by content moderation"}, "moderation"),
            (400, b"<html>", "invalid"),
            (401, {"error": "key"}, "credentials"),
            (403, {"error": "not yours"}, "credentials"),
            (402, {"error": "pay"}, "arrears"),
            (404, {"error": "not found"}, "gone"),
            (410, {"error": "switched off"}, "gone"),
            (429, {"error": "You have reached your limit of generations"}, "busy"),
            (503, {"error": "overloaded"}, "unavailable"),
            (307, b"", "unavailable"),
        ],
    )
    def test_definite(self, server: Server, status: int, body: Any, reason: str) -> None:
        server.answer(status, body, headers={"retry-after": "7"})
        with pytest.raises(Refused) as caught:
            RUNWAY.submit(server.account(), order(seconds=4))
        assert (caught.value.reason, caught.value.retry_after) == (Reason(reason), "7")
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b"<html>gateway</html>"),
            (200, b""),
            (200, {"id": None}),
            (200, {"id": ""}),
            (200, {"id": "../organization"}),
            (200, {"id": "x" * 201}),
            (200, [{"id": "a"}]),
            (500, {"error": "oops"}),
            (502, b"<html>Bad gateway</html>"),
            (503, b"<html>Service Unavailable</html>"),
            (504, b""),
        ],
    )
    def test_unknown(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises(OutcomeUnknown):
            RUNWAY.submit(server.account(), order(seconds=4))
        assert len(server.requests) == 1

    def test_neither_our_key_nor_our_files_are_passed_on(self, server: Server) -> None:
        issue = {"path": ["videoUri"], "message": f"Failed to fetch runway://abc with {KEY}"}
        server.answer(400, {"error": "Validation of body failed", "issues": [issue]})
        with pytest.raises(Refused) as caught:
            RUNWAY.submit(server.account(), order(seconds=4))
        assert caught.value.message == "Validation of body failed: videoUri: Failed to fetch (address) with ***"


class TestUploads:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [(401, Reason.CREDENTIALS), (429, Reason.BUSY), (500, Reason.UNAVAILABLE), (200, Reason.UNAVAILABLE)],
    )
    def test_a_refusal(self, server: Server, status: int, reason: Reason) -> None:
        server.answer(status, {"error": "no"})
        with pytest.raises(Refused) as caught:
            RUNWAY.submit(server.account(), order(model=OMNI, cast=CLIP, seconds=4))
        assert caught.value.reason is reason
        assert [request.url.path for request in server.requests] == ["/v1/uploads"]

    def test_the_fields_go_before_the_file_and_the_key_stays(self, server: Server) -> None:
        place = {
            "uploadUrl": "https://files.example/up",
            "fields": {"key": "k", "policy": "p"},
            "runwayUri": "runway://1",
        }
        server.answer(200, place)
        server.answer(204)
        server.answer(200, {"id": "task-1"})
        assert RUNWAY.submit(server.account(), order(model=OMNI, cast=CLIP, seconds=4)).upstream_id == "task-1"
        asked, sent, ordered = server.requests
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert (str(sent.url), "authorization" in sent.headers) == ("https://files.example/up", False)
        names = [name for name in (b'name="key"', b'name="policy"', b'name="file"') if name in sent.content]
        assert [sent.content.index(name) for name in names] == sorted(sent.content.index(name) for name in names)
        assert len(names) == 3
        assert int(sent.headers["content-length"]) == len(sent.content)
        assert json.loads(ordered.content)["referenceVideos"] == [{"uri": "runway://1"}]


class TestPoll:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"status": "PENDING"}, ("queued", 0)),
            ({"status": "THROTTLED"}, ("queued", 0)),
            ({"status": "RUNNING", "progress": 0.42}, ("in_progress", 42)),
            ({"status": "RUNNING", "progress": 7}, ("in_progress", 0)),
            ({"status": "RUNNING", "progress": None}, ("in_progress", 0)),
            ({"status": "POLISHING", "progress": 0.5}, ("in_progress", 50)),
            ({"status": None}, ("in_progress", 0)),
            (b'{"status": "RUNNING", "progress": NaN}', ("in_progress", 0)),
        ],
    )
    def test_running(self, server: Server, body: Any, expected: tuple[str, int]) -> None:
        server.answer(200, body)
        progress = RUNWAY.poll(server.account(), "t1")
        assert (progress.status, progress.progress) == expected
        assert str(server.request.url) == f"{BASE}/tasks/t1"
        assert server.request.headers["x-runway-version"] == "2024-11-06"
        assert server.request.headers["authorization"] == f"Bearer {KEY}"

    @pytest.mark.parametrize(
        ("body", "code", "spent"),
        [
            ({"status": "FAILED", "failure": "no", "failureCode": "SAFETY.INPUT.TEXT"}, "moderation_blocked", None),
            (
                {"status": "FAILED", "failureCode": "INPUT_PREPROCESSING.SAFETY.TEXT", "cost": {"credits": 60}},
                "moderation_blocked",
                600_000,
            ),
            ({"status": "FAILED", "failureCode": "ASSET.INVALID", "cost": {"credits": 0}}, "ASSET.INVALID", 0),
            ({"status": "FAILED", "failureCode": None}, "provider_failed", None),
            ({"status": "FAILED", "failureCode": 5, "cost": "odd"}, "5", None),
            ({"status": "CANCELLED", "cost": {"credits": 1.5}}, "provider_failed", 15_000),
            ({"status": "SUCCEEDED", "output": []}, "provider_failed", None),
            ({"status": "SUCCEEDED"}, "provider_failed", None),
            ({"status": "SUCCEEDED", "output": [5]}, "provider_failed", None),
        ],
    )
    def test_failed(self, server: Server, body: Any, code: str, spent: int | None) -> None:
        server.answer(200, body)
        progress = RUNWAY.poll(server.account(), "t1")
        assert progress.status == "failed"
        assert progress.error is not None
        assert progress.error[0] == code
        assert progress.error[1]
        assert progress.micro_dollars == spent

    def test_completed(self, server: Server) -> None:
        url = "https://out.example/a.mp4?sig=1"
        server.answer(200, {"status": "SUCCEEDED", "output": [url], "cost": {"credits": 60}})
        assert RUNWAY.poll(server.account(), "t1") == Progress(
            "t1", "completed", 100, output_url=url, micro_dollars=600_000
        )

    @pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, {}), (429, {"error": "slow"}), (502, b"")])
    def test_troubles_pass(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises((Refused, OutcomeUnknown)) as caught:
            RUNWAY.poll(server.account(), "t1")
        assert getattr(caught.value, "reason", None) is not Reason.NOT_FOUND

    def test_a_task_that_is_gone(self, server: Server) -> None:
        server.answer(404, {"error": "not found"})
        with pytest.raises(Refused) as caught:
            RUNWAY.poll(server.account(), "t1")
        assert caught.value.reason is Reason.NOT_FOUND

    @pytest.mark.parametrize("upstream_id", ["", ".", "..", "..."])
    def test_an_id_that_would_be_a_path_is_not_asked_for(self, server: Server, upstream_id: str) -> None:
        for ask in (RUNWAY.poll, RUNWAY.delete):
            with pytest.raises(Refused) as caught:
                ask(server.account(), upstream_id)
            assert caught.value.reason is Reason.NOT_FOUND
        assert server.requests == []

    def test_an_id_cannot_leave_its_place_in_the_path(self, server: Server) -> None:
        server.answer(200, {"status": "PENDING"})
        RUNWAY.poll(server.account(), "../uploads?a=b#c")
        assert server.request.url.raw_path == b"/v1/tasks/..%2Fuploads%3Fa%3Db%23c"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_delete_that_fails_raises(server: Server, status: int) -> None:
    server.answer(status, {"error": "no"})
    with pytest.raises((Refused, OutcomeUnknown)):
        RUNWAY.delete(server.account(), "t1")


@pytest.mark.parametrize("url", [None, "https://out.example/a.mp4"])
def test_an_output_that_is_gone(server: Server, url: str | None) -> None:
    server.answer(403, b"expired")
    progress = Progress("t1", "completed", output_url=url)
    with pytest.raises(Refused) as caught, RUNWAY.open_content(server.account(), progress):
        pass
    assert caught.value.reason is Reason.NOT_FOUND
    assert all("authorization" not in request.headers for request in server.requests)

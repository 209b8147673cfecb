"""The provider module alone: against the simulator over HTTP, and against answers that no simulator gives."""

from __future__ import annotations

import http.server
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
from understudy.providers.base import Account, CastMember, Media, NativeCharacter, Operation, Order, Progress, Source
from understudy.providers.kling import ELEMENTS, Kling

KLING = Kling()
OMNI, O1, PLAIN, TURBO = "kling-3.0-omni", "kling-o1", "kling-3.0", "kling-3.0-turbo"
SMALL: dict[str, Any] = {"seconds": 3, "size": "1280x720"}


def order(operation: Operation = "create", prompt: str = "A fox in the snow", model: str = OMNI, **more: Any) -> Order:
    return Order(operation, model, prompt, **{"reference": f"job-{time.monotonic_ns()}", **more})


# Against the simulator


@pytest.fixture(scope="module")
def shared_kling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("kling"), speed=40, module="local.simulators.kling") as simulator:
        yield simulator


@pytest.fixture
def kling(shared_kling: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    before = shared_kling.settings()
    shared_kling.reset()
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORKS", "1")
    settings.settings.cache_clear()
    http_client._http.cache_clear()
    yield shared_kling
    settings.settings.cache_clear()
    shared_kling.settings(**before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and stills, as the bucket has them."""
    folder = tmp_path_factory.mktemp("bucket")
    for name, seconds, size in (("Luna", 3, (1280, 720)), ("Moss", 2, (1280, 720)), ("Tall", 4, (1080, 1920))):
        clip = sample_clip(folder / f"{name}.mp4", seconds, size, name)
        for number in range(4):
            footage.still(clip, number / 2).save(folder / f"{name}-{number}.jpg")
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


def stills(folder: Path, bucket: str, name: str) -> tuple[Media, ...]:
    return tuple(file(folder, bucket, f"{name}-{number}.jpg") for number in range(4))


def account(simulator: Simulator, key: str = "sim-a", seconds: float = 30, **options: Any) -> Account:
    return Account(simulator.url, key, Client(time.monotonic() + seconds), options)


def finish(simulator: Simulator, placed: Progress) -> Progress:
    until = time.monotonic() + 20
    while (progress := KLING.poll(account(simulator), placed.upstream_id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    return progress


def facts(simulator: Simulator, progress: Progress, path: Path) -> footage.VideoFacts:
    with KLING.open_content(account(simulator), progress) as content:
        path.write_bytes(b"".join(content.chunks))
        assert (content.mime_type, content.size) == ("video/mp4", path.stat().st_size)
    return footage.probe(path)


def element(simulator: Simulator, name: str, clip: Media, pictures: tuple[Media, ...], **options: Any) -> str:
    """Make a character, wait until it is ready, and return its reference."""
    made = KLING.make_character(account(simulator, **options), name, clip, pictures)
    assert not made.ready
    until = time.monotonic() + 20
    while not (handle := KLING.poll_character(account(simulator), made.reference)).ready:
        assert handle == made
        assert time.monotonic() < until
        time.sleep(0.01)
    return handle.reference


def refusal(simulator: Simulator, *, key: str = "sim-a", operation: Operation = "create", **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        KLING.submit(account(simulator, key), order(operation, **{"seconds": 3, "size": "1280x720", **changes}))
    return caught.value


class TestVideos:
    def test_create(self, kling: Simulator, tmp_path: Path) -> None:
        placed = KLING.submit(account(kling), order(seconds=4, size="720x1280", reference="our-job"))
        assert placed.status == "queued"
        (record,) = kling.requests()
        assert record["path"] == "/omni-video/kling-3.0-omni"
        assert record["json"] == {
            "contents": [{"type": "prompt", "text": "A fox in the snow"}],
            "settings": {
                "resolution": "720p",
                "aspect_ratio": "9:16",
                "duration": 4,
                "audio": "native",
                "multi_shot": False,
            },
            "options": {"external_task_id": "our-job"},
        }
        done = finish(kling, placed)
        assert (done.status, done.progress, done.seconds, done.micro_dollars) == ("completed", 100, 4, 448_000)
        found = facts(kling, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (720, 1280, 4)
        assert [record["key"] for record in kling.requests(operation="get_content")] == [None]

    @pytest.mark.parametrize("model", [OMNI, O1, PLAIN, TURBO, "kling-2.6", "kling-2.5-turbo"])
    @pytest.mark.parametrize("audio", ["native", "off"])
    def test_everything_of_the_profile_is_taken(self, kling: Simulator, model: str, audio: str) -> None:
        profile = KLING.profile(model, {"audio": audio})
        where = account(kling, audio=audio)
        for size in profile.sizes:
            KLING.submit(where, order(model=model, seconds=profile.default_seconds, size=size))
        for seconds in profile.seconds:
            KLING.submit(where, order(model=model, seconds=seconds, size=profile.default_size))
        jobs = kling.jobs()
        assert [job["size"] for job in jobs[: len(profile.sizes)]] == list(profile.sizes)
        assert [job["seconds"] for job in jobs[len(profile.sizes) :]] == list(profile.seconds)
        time.sleep(0.06)
        for size, job in zip(profile.sizes, jobs, strict=False):  # what it costs is what the profile says
            billed = KLING.poll(where, job["id"]).micro_dollars
            assert billed == pytest.approx(profile.prices.create[size] * profile.default_seconds)

    def test_models_that_are_not_omni(self, kling: Simulator, folder: Path, bucket: str) -> None:
        KLING.submit(account(kling), order(model=TURBO, **SMALL))
        settings = {"resolution": "720p", "aspect_ratio": "16:9", "duration": 3}
        first = kling.requests()[-1]
        assert first["path"] == "/text-to-video/kling-3.0-turbo"
        assert (first["json"]["prompt"], first["json"]["settings"]) == ("A fox in the snow", settings)
        KLING.submit(account(kling), order(model=PLAIN, image=file(folder, bucket, "Luna-0.jpg"), **SMALL))
        second = kling.requests()[-1]
        assert second["path"] == "/image-to-video/kling-3.0"
        assert second["json"]["contents"][1] == {"type": "first_frame", "url": f"{bucket}/Luna-0.jpg"}
        assert second["json"]["settings"] == {
            "resolution": "720p",
            "duration": 3,
            "audio": "native",
            "multi_shot": False,
        }

    def test_a_first_frame_gives_the_shape(self, kling: Simulator, folder: Path, bucket: str) -> None:
        KLING.submit(account(kling), order(image=file(folder, bucket, "Tall-0.jpg"), **SMALL))
        assert "aspect_ratio" not in kling.requests()[0]["json"]["settings"]
        assert kling.jobs()[0]["size"] == "720x1280"

    def test_edit(self, kling: Simulator, folder: Path, bucket: str, tmp_path: Path) -> None:
        clip = Source(clip=file(folder, bucket, "Luna.mp4"))
        placed = KLING.submit(account(kling), order("edit", "Make it snow", source=clip, seconds=9, size="1280x720"))
        (record,) = kling.requests()
        assert record["json"]["contents"] == [
            {"type": "prompt", "text": "Edit @video_1: Make it snow"},
            {"type": "base_video", "url": f"{bucket}/Luna.mp4", "id": "video_1"},
        ]
        assert record["json"]["settings"] == {"resolution": "720p", "audio": "original", "multi_shot": False}
        done = finish(kling, placed)
        assert done.micro_dollars == 3 * KLING.profile(OMNI, {}).prices.rates("edit")["1280x720"]
        assert done.micro_dollars == 3 * 126_000  # a video that goes in costs more
        found = facts(kling, done, tmp_path / "video.mp4")
        assert (found.width, found.height, round(found.duration)) == (1280, 720, 3)

    def test_an_edit_that_cites_its_video_itself(self, kling: Simulator, folder: Path, bucket: str) -> None:
        clip = Source(clip=file(folder, bucket, "Luna.mp4"))
        KLING.submit(account(kling), order("edit", "In @video_1 it snows", model=O1, source=clip))
        (record,) = kling.requests()
        assert record["json"]["contents"][0]["text"] == "In @video_1 it snows"
        assert record["json"]["settings"] == {"audio": "original"}

    def test_the_word_of_the_older_paths(self, kling: Simulator) -> None:
        kling.settings(success="succeed", charged="cash")
        done = finish(kling, KLING.submit(account(kling), order(**SMALL)))
        assert (done.status, done.micro_dollars) == ("completed", 336_000)

    def test_states_over_time(self, kling: Simulator) -> None:
        kling.settings(speed=0)
        placed = KLING.submit(account(kling), order(prompt="odd-status", **SMALL))
        assert KLING.poll(account(kling), placed.upstream_id).status == "queued"
        kling.settings(queued_seconds=0.0, run_seconds=100.0, speed=100)
        time.sleep(0.1)
        kling.settings(speed=0)
        assert KLING.poll(account(kling), placed.upstream_id).status == "in_progress"  # "post_processing"

    @pytest.mark.parametrize(
        ("word", "code"), [("refused-later", "moderation_blocked"), ("fails-later", "provider_failed")]
    )
    def test_a_failure(self, kling: Simulator, word: str, code: str) -> None:
        done = finish(kling, KLING.submit(account(kling), order(prompt=word, **SMALL)))
        assert done.error is not None
        assert (done.status, done.error[0]) == ("failed", code)

    def test_refusals(self, kling: Simulator) -> None:
        moderated = refusal(kling, prompt="forbidden")
        assert (moderated.reason, moderated.code) == (Reason.MODERATION, "moderation_blocked")
        assert refusal(kling, seconds=16).reason is Reason.INVALID
        assert refusal(kling, key="nonsense").status == 401
        kling.revoke("c")
        assert refusal(kling, key="sim-c").reason is Reason.ARREARS  # code 1100 as a 429
        kling.settings(arrears=["a"])
        assert refusal(kling).reason is Reason.ARREARS  # code 1102 as a 429
        kling.settings(arrears=[], concurrency=1, speed=0)
        KLING.submit(account(kling), order(**SMALL))
        assert refusal(kling).reason is Reason.BUSY  # code 1303 as a 429
        kling.settings(concurrency=0, retired=["kling-2.6"])
        assert refusal(kling, model="kling-2.6", seconds=5).reason is Reason.GONE
        assert refusal(kling, model="kling-9").reason is Reason.GONE

    def test_clips_out_of_its_limits(self, kling: Simulator, folder: Path, bucket: str) -> None:
        short = Source(clip=file(folder, bucket, "Moss.mp4"))
        refused = refusal(kling, operation="edit", source=short)
        assert (refused.reason, "3 to 16 s are allowed" in refused.message) == (Reason.INVALID, True)
        assert bucket not in refused.message

    @pytest.mark.parametrize("fault", [{"action": "reset", "when": "after"}, {"action": "half"}, {"delay": 3.0}])
    def test_a_lost_answer_is_found_again(self, kling: Simulator, fault: dict[str, Any]) -> None:
        kling.fault(method="POST", **fault)
        with pytest.raises(OutcomeUnknown) as caught:
            KLING.submit(account(kling, seconds=1), order(reference="our-job", **SMALL))
        assert caught.value.timed_out == ("delay" in fault)
        (job,) = kling.jobs(least=1)
        found = KLING.find(account(kling), "our-job")
        assert found is not None
        assert found.upstream_id == job["id"]
        with pytest.raises(OutcomeUnknown):  # sent again it is not made again, and is no caller's mistake
            KLING.submit(account(kling), order(reference="our-job", **SMALL))
        assert len(kling.jobs()) == 1

    def test_what_was_never_sent_is_not_found(self, kling: Simulator) -> None:
        assert KLING.find(account(kling), "another-job") is None
        KLING.submit(account(kling), order(reference="our-job", **SMALL))
        assert KLING.find(account(kling, "sim-b"), "our-job") is None
        with pytest.raises(Refused) as caught:
            KLING.poll(account(kling), "800000000000000000")
        assert caught.value.reason is Reason.NOT_FOUND

    def test_an_address_that_died(self, kling: Simulator) -> None:
        placed = KLING.submit(account(kling), order(**SMALL))
        done = finish(kling, placed)
        kling.settings(output_seconds=-1)
        with pytest.raises(Refused) as caught, KLING.open_content(account(kling), done):
            pass
        assert caught.value.reason is Reason.NOT_FOUND


class TestCharacters:
    def test_of_pictures(self, kling: Simulator, folder: Path, bucket: str) -> None:
        luna = element(kling, "Luna", file(folder, bucket, "Luna.mp4"), stills(folder, bucket, "Luna"))
        record = kling.requests(operation="create_element")[0]
        assert record["json"] == {
            "element_name": "Luna",
            "element_description": "The character Luna",
            "reference_type": "image_refer",
            "element_image_list": {
                "frontal_image": f"{bucket}/Luna-0.jpg",
                "refer_images": [{"image_url": f"{bucket}/Luna-{number}.jpg"} for number in (1, 2, 3)],
            },
            "tag_list": [{"tag_id": "o_102"}],
        }
        assert int(luna) > 2**53  # every digit counts
        moss = element(kling, "Moss", file(folder, bucket, "Moss.mp4"), stills(folder, bucket, "Moss")[:1])
        views = kling.requests(operation="create_element")[1]["json"]["element_image_list"]["refer_images"]
        assert views == [{"image_url": f"{bucket}/Moss-0.jpg"}]

        cast = (CastMember("Luna", handle=luna), CastMember("Moss", handle=moss))
        placed = KLING.submit(account(kling), order(prompt="Luna dances. Luna sings.", cast=cast, **SMALL))
        assert kling.requests(operation="create_video")[0]["json"]["contents"] == [
            {"type": "prompt", "text": "Featuring @Moss. @Luna dances. @Luna sings."},
            {"type": "element", "element_id": luna, "id": "Luna"},
            {"type": "element", "element_id": moss, "id": "Moss"},
        ]
        assert finish(kling, placed).status == "completed"
        assert [name for name, _ in kling.jobs()[0]["references"]] == ["Luna", "Moss"]

    def test_of_a_clip(self, kling: Simulator, folder: Path, bucket: str) -> None:
        clip, pictures = file(folder, bucket, "Tall.mp4"), stills(folder, bucket, "Tall")
        element(kling, "Tall", clip, pictures, elements="video")
        fields = kling.requests(operation="create_element")[0]["json"]
        assert fields["reference_type"] == "video_refer"
        assert fields["element_video_list"] == {"refer_videos": [{"video_url": f"{bucket}/Tall.mp4"}]}
        assert "element_image_list" not in fields
        with pytest.raises(Refused) as caught:  # 720p
            element(kling, "Luna", file(folder, bucket, "Luna.mp4"), pictures, elements="video")
        assert caught.value.reason is Reason.INVALID

    def test_a_clip_of_another_kind_goes_by_its_pictures(self, server: Server) -> None:
        server.answer(200, ok({"task_id": "t", "task_status": "submitted"}))
        still = media("still.jpg", "image/jpeg")
        where = server.account(elements="video")
        assert KLING.make_character(where, "L" * 30, media("a.webm", "video/webm"), (still,)) == NativeCharacter(
            "t", False
        )
        assert (server.body["reference_type"], server.body["element_name"]) == ("image_refer", "L" * 20)

    def test_beside_a_first_frame_and_in_an_edit(self, kling: Simulator, folder: Path, bucket: str) -> None:
        luna = element(kling, "Luna", file(folder, bucket, "Luna.mp4"), stills(folder, bucket, "Luna"))
        cast = (CastMember("Luna", handle=luna),)
        KLING.submit(account(kling), order(image=file(folder, bucket, "Moss-0.jpg"), cast=cast, **SMALL))
        KLING.submit(account(kling), order("edit", cast=cast, source=Source(clip=file(folder, bucket, "Luna.mp4"))))
        first, second = kling.requests(operation="create_video")
        assert [one["type"] for one in first["json"]["contents"]] == ["prompt", "first_frame", "element"]
        assert [one["type"] for one in second["json"]["contents"]] == ["prompt", "base_video", "element"]
        assert second["json"]["contents"][0]["text"] == "Edit @video_1: Featuring @Luna. A fox in the snow"

    def test_a_full_cast(self, kling: Simulator, folder: Path, bucket: str) -> None:
        luna = element(kling, "Luna", file(folder, bucket, "Luna.mp4"), stills(folder, bucket, "Luna"))
        most = KLING.profile(OMNI, {}).characters.most
        cast = tuple(CastMember(f"Fox {n}", handle=luna) for n in range(most))
        assert KLING.submit(account(kling), order(cast=cast, **SMALL)).status == "queued"

    def test_moderation(self, kling: Simulator, folder: Path, bucket: str) -> None:
        clip, pictures = file(folder, bucket, "Luna.mp4"), stills(folder, bucket, "Luna")
        for name in ("forbidden fox", "refused-later"):
            with pytest.raises(Refused) as caught:
                element(kling, name, clip, pictures)
            assert caught.value.reason is Reason.MODERATION

    @pytest.mark.parametrize("path", ["both", "advanced", "plain"])
    def test_delete(self, kling: Simulator, folder: Path, bucket: str, path: str) -> None:
        kling.settings(delete_path=path)
        luna = element(kling, "Luna", file(folder, bucket, "Luna.mp4"), stills(folder, bucket, "Luna"))
        KLING.delete_character(account(kling), luna)
        KLING.delete_character(account(kling), luna)  # gone already
        assert refusal(kling, cast=(CastMember("Luna", handle=luna),)).reason in {Reason.INVALID, Reason.GONE}
        tried = 2 if path == "plain" else 1
        assert len(kling.requests(operation="delete_element")) == 2 * tried

    def test_one_that_was_deleted_while_it_was_made(self, kling: Simulator, folder: Path, bucket: str) -> None:
        clip, pictures = file(folder, bucket, "Luna.mp4"), stills(folder, bucket, "Luna")
        task = KLING.make_character(account(kling), "Luna", clip, pictures).reference
        time.sleep(0.05)
        KLING.delete_character(account(kling), KLING.poll_character(account(kling), task).reference)
        for reference in (task, "900000000000000000"):
            with pytest.raises(Refused) as caught:
                KLING.poll_character(account(kling), reference)
            assert caught.value.reason is Reason.NOT_FOUND


# Without a server


LUNA = CastMember("Luna", handle="1")


@pytest.mark.parametrize(
    ("wrong", "options", "param"),
    [
        (order(cast=(LUNA,) * 8), {}, "characters"),
        (order(cast=(LUNA,) * 4, image=media("a.png", "image/png")), {}, "characters"),
        (order("edit", cast=(LUNA,) * 5, source=Source(clip=media())), {}, "characters"),
        (order(cast=(LUNA,) * 4), {"elements": "video"}, "characters"),
        (order("edit", cast=(LUNA,) * 2, source=Source(clip=media())), {"elements": "video"}, "characters"),
        (order("edit", source=Source(clip=media("a.webm", "video/webm"))), {}, "video"),
        (order("edit", source=Source("upstream")), {}, "video"),
        (order(prompt="x" * 3072, cast=(LUNA,)), {}, "prompt"),
    ],
)
def test_what_cannot_be_combined(server: Server, wrong: Order, options: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        KLING.submit(server.account(**options), wrong)
    assert (caught.value.reason, caught.value.param, server.requests) == (Reason.INVALID, param, [])


@pytest.mark.parametrize(
    ("prompt", "names", "expected", "ids"),
    [
        ("Luna runs, Luna rests", ["Luna"], "@Luna runs, @Luna rests", ["Luna"]),
        ("@Luna runs", ["Luna"], "@Luna runs", ["Luna"]),
        ("Write to me@Luna.com", ["Luna"], "Featuring @Luna. Write to me@Luna.com", ["Luna"]),
        ("Lunar light", ["Luna"], "Featuring @Luna. Lunar light", ["Luna"]),
        ("Luna's house", ["Luna"], "@Luna's house", ["Luna"]),
        (
            "Zhang meets ZhangSan",
            ["Zhang", "ZhangSan"],
            "Zhang (@element_1) meets ZhangSan (@element_2)",
            ["element_1", "element_2"],
        ),
        ("Señor Fuzz and Moss", ["Señor Fuzz", "Moss"], "Señor Fuzz (@element_1) and @Moss", ["element_1", "Moss"]),
        ("image runs. image sits", ["image"], "image (@element_1) runs. image sits", ["element_1"]),
        ("Luna", ["Luna", "Luna"], "Luna (@element_1 @element_2)", ["element_1", "element_2"]),
        ("It rains", ["Max", "R2-D2"], "Featuring @Max and R2-D2 (@element_2). It rains", ["Max", "element_2"]),
        (r"\g<1> runs", [r"\g<1>"], r"\g<1> (@element_1) runs", ["element_1"]),
    ],
)
def test_names_in_the_prompt(server: Server, prompt: str, names: list[str], expected: str, ids: list[str]) -> None:
    server.answer(200, ok({"id": "1", "status": "submitted"}))
    KLING.submit(server.account(), order(prompt=prompt, cast=tuple(CastMember(name, handle="1") for name in names)))
    text, *elements = server.body["contents"]
    assert text["text"] == expected
    assert [one["id"] for one in elements] == ids


class TestProfile:
    def test_by_model(self) -> None:
        omni, o1, plain, turbo = (KLING.profile(model, {}) for model in (OMNI, O1, PLAIN, TURBO))
        assert (omni.seconds, o1.seconds) == (tuple(range(3, 16)), tuple(range(3, 11)))
        assert [profile.characters.native for profile in (omni, o1, plain, turbo)] == [7, 7, 0, 0]
        assert [profile.edit_upload for profile in (omni, o1, plain, turbo)] == [True, True, False, False]
        assert all(profile.characters.native_slow and profile.characters.deletable for profile in (omni, o1))
        assert all(profile.findable and profile.source_by_clip and not profile.extend_seconds for profile in (omni, o1))
        assert ("2160x3840" in omni.sizes, "2160x3840" in o1.sizes) == (True, False)
        assert (omni.prices.create["720x1280"], turbo.prices.create["1920x1080"]) == (112_000, 140_000)
        assert KLING.profile("kling-2.6", {}).prices.create == {
            "720x1280": 42_000,
            "1280x720": 42_000,
            "1080x1920": 140_000,
            "1920x1080": 140_000,
        }

    def test_options(self) -> None:
        assert KLING.profile(OMNI, {"audio": "off"}).prices.create["720x1280"] == 84_000
        prices = KLING.profile(OMNI, {"elements": "video"}).prices
        assert (prices.rates("create")["720x1280"], prices.rates("create", cast=True)["720x1280"]) == (112_000, 126_000)
        clips = KLING.profile(OMNI, {"elements": "video"}).characters
        assert (clips.native, clips.clip_seconds) == (3, (3.0, 8.0))
        assert KLING.profile("kling-4.0-omni", {"seconds": [5, 30]}).characters.native == 7
        assert KLING.profile(OMNI, {"characters": 2}).characters.native == 7


# Against answers as told


def ok(data: Any) -> dict[str, Any]:
    return {"code": 0, "message": "SUCCEED", "request_id": "r", "data": data}


def wrong(code: int, message: str = "no") -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": "r"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "reason"),
        [
            *((401, code, Reason.CREDENTIALS) for code in (1000, 1001, 1002, 1003, 1004)),
            *((429, code, Reason.ARREARS) for code in (1100, 1101, 1102)),
            (403, 1103, Reason.CREDENTIALS),
            (400, 1200, Reason.INVALID),
            (400, 1201, Reason.INVALID),
            (404, 1202, Reason.GONE),
            (404, 1203, Reason.GONE),
            (400, 1300, Reason.MODERATION),
            (400, 1301, Reason.MODERATION),
            (429, 1302, Reason.BUSY),
            (429, 1303, Reason.BUSY),
            (429, 1304, Reason.CREDENTIALS),  # the whitelist of addresses: waiting does not help
            (503, 5001, Reason.UNAVAILABLE),
            (200, 1102, Reason.ARREARS),  # whatever the status says
            (429, 9999, Reason.BUSY),
        ],
    )
    def test_definite(self, server: Server, status: int, code: int, reason: Reason) -> None:
        server.answer(status, wrong(code), headers={"retry-after": "7"})
        with pytest.raises(Refused) as caught:
            KLING.submit(server.account(), order())
        assert (caught.value.reason, caught.value.retry_after, len(server.requests)) == (reason, "7", 1)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, wrong(5000)),
            (504, wrong(5002)),
            (200, wrong(5000)),
            (200, wrong(777)),
            (200, b"<html>gateway</html>"),
            (200, b""),
            (200, ok(None)),
            (200, ok({"status": "submitted"})),
            (200, ok({"id": "../tasks"})),
            (200, {"id": "1", "status": "submitted"}),
            (400, wrong(1201, "external_task_id job already exists")),
            (502, b"<html>Bad gateway</html>"),
            (503, b"<html>Service Unavailable</html>"),
        ],
    )
    def test_unknown(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        with pytest.raises(OutcomeUnknown):
            KLING.submit(server.account(), order())
        assert len(server.requests) == 1
        if b"exists" not in server.answers[0].content:
            with pytest.raises(OutcomeUnknown):
                KLING.make_character(server.account(), "Luna", media(), (media("a.jpg", "image/jpeg"),))

    def test_html_with_a_definite_status(self, server: Server) -> None:
        server.answer(401, b"<html>")
        with pytest.raises(Refused) as caught:
            KLING.submit(server.account(), order())
        assert caught.value.reason is Reason.CREDENTIALS

    def test_neither_our_key_nor_our_addresses_are_passed_on(self, server: Server) -> None:
        url = "https://bucket.example/clip?X-Amz-Signature=abc"
        server.answer(400, wrong(1201, f"Could not fetch {url} for {KEY}"))
        with pytest.raises(Refused) as caught:
            KLING.submit(server.account(), order())
        assert caught.value.message == "Could not fetch (address) for ***"


VIDEO = {"type": "video", "id": "v", "url": "https://cdn.example/v.mp4", "duration": "5.041"}


class TestPoll:
    @pytest.mark.parametrize(
        ("task", "expected"),
        [
            ({"status": "submitted"}, Progress("1", "queued")),
            ({"status": "processing"}, Progress("1", "in_progress")),
            ({"status": "pondering"}, Progress("1", "in_progress")),
            ({}, Progress("1", "in_progress")),
            (
                {"status": "succeeded", "outputs": [{"type": "image", "url": "x"}, VIDEO]},
                Progress("1", "completed", 100, 5, output_url=VIDEO["url"]),
            ),
            (
                {"status": "succeed", "outputs": [{**VIDEO, "duration": None}]},
                Progress("1", "completed", 100, output_url=VIDEO["url"]),
            ),
            (
                {"status": "succeeded", "outputs": []},
                Progress("1", "failed", error=("provider_failed", "The provider returned no video.")),
            ),
            ({"status": "failed", "message": "busy"}, Progress("1", "failed", error=("provider_failed", "busy"))),
            (
                {"status": "failed", "message": "Failure to pass the risk control system"},
                Progress("1", "failed", error=("moderation_blocked", "Failure to pass the risk control system")),
            ),
        ],
    )
    def test_status(self, server: Server, task: dict[str, Any], expected: Progress) -> None:
        server.answer(200, ok([{"id": "2"}, {"id": "1", **task}]))
        assert KLING.poll(server.account(), "1") == expected

    @pytest.mark.parametrize(
        ("billing", "cost"),
        [
            ([{"charge_type": "unit", "amount": "2.4", "package_type": "video"}], 336_000),
            ([{"charge_type": "cash", "amount": "0.336", "currency": "USD"}], 336_000),
            ([{"charge_type": "cash", "amount": "2.4", "currency": "CNY"}], None),
            (
                [{"charge_type": "unit", "amount": "1"}, {"charge_type": "cash", "amount": "1", "currency": "USD"}],
                1_140_000,
            ),
            ([{"charge_type": "unit", "amount": "much"}], None),
            ([], None),
            ("?", None),
        ],
    )
    def test_cost(self, server: Server, billing: Any, cost: int | None) -> None:
        server.answer(200, ok([{"id": "1", "status": "succeeded", "outputs": [VIDEO], "billing": billing}]))
        assert KLING.poll(server.account(), "1").micro_dollars == cost

    @pytest.mark.parametrize("body", [ok([]), ok([{"id": "2"}]), ok({"id": "1"}), ok(None)])
    def test_a_task_that_is_gone(self, server: Server, body: Any) -> None:
        server.answer(200, body)
        with pytest.raises(Refused) as caught:
            KLING.poll(server.account(), "1")
        assert caught.value.reason is Reason.NOT_FOUND
        assert KLING.find(server.account(), "1") is None

    @pytest.mark.parametrize(("status", "body"), [(500, wrong(5000)), (503, b"<html>"), (429, wrong(1302)), (200, b"")])
    def test_what_may_pass(self, server: Server, status: int, body: Any) -> None:
        server.answer(status, body)
        for ask in (KLING.poll, KLING.find, KLING.poll_character):
            with pytest.raises((Refused, OutcomeUnknown)) as caught:
                ask(server.account(), "1")
            assert getattr(caught.value, "reason", None) is not Reason.NOT_FOUND

    @pytest.mark.parametrize("identity", ["1&task_ids=2", "../x", "a/b", "a,b", "ä #"])
    def test_an_id_is_not_a_part_of_the_url(self, server: Server, identity: str) -> None:
        server.answer(200, ok([{"id": identity, "status": "processing"}]))
        assert KLING.poll(server.account(), identity).status == "in_progress"
        assert server.request.url.raw_path.startswith(b"/v1/tasks?task_ids=")
        assert dict(server.request.url.params) == {"task_ids": identity}
        assert server.request.headers["authorization"] == f"Bearer {KEY}"

    def test_an_id_of_a_character_is_not_a_path(self, server: Server) -> None:
        server.answer(200, ok({"task_status": "processing"}))
        assert KLING.poll_character(server.account(), "../a?b") == NativeCharacter("../a?b", ready=False)
        assert str(server.request.url) == f"{BASE}/{ELEMENTS}/..%2Fa%3Fb"
        with pytest.raises(Refused):
            KLING.poll_character(server.account(), "..")


class TestContent:
    @pytest.mark.parametrize(
        ("status", "reason"), [(403, Reason.NOT_FOUND), (404, Reason.NOT_FOUND), (500, Reason.UNAVAILABLE)]
    )
    def test_an_address_that_refuses(self, server: Server, status: int, reason: Reason) -> None:
        server.answer(status, b"<Error/>")
        progress = Progress("1", "completed", output_url=VIDEO["url"])
        with pytest.raises(Refused) as caught, KLING.open_content(server.account(), progress):
            pass
        assert caught.value.reason is reason
        assert "authorization" not in server.request.headers

    def test_no_address(self, server: Server) -> None:
        with pytest.raises(Refused), KLING.open_content(server.account(), Progress("1", "completed")):
            pass

"""Uploads through the deployed stack, which enforces policies, signatures and rights as AWS does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.live import Heard, answered, refused

if TYPE_CHECKING:
    from local.simulators.process import Simulator
    from tests.integration.live import Api, Json, Stack

MEBIBYTE = 1024 * 1024
PATIENCE = 120.0


def padded(clip: Path, target: Path, size: int) -> Path:
    """Write the clip as a valid MP4 of exactly `size` bytes: a `free` box at its end fills the rest."""
    data = clip.read_bytes()
    missing = size - len(data)
    assert missing >= 16
    with target.open("wb") as file:
        file.write(data)
        file.write((1).to_bytes(4, "big") + b"free" + missing.to_bytes(8, "big"))
        file.truncate(size)
    return target


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def begin(api: Api, size: int, **changes: Any) -> Json:
    wanted = {"purpose": "character", "name": "Luna", "filename": "luna.mp4", "bytes": size, "mime_type": "video/mp4"}
    body = {name: value for name, value in (wanted | changes).items() if value is not None}
    return answered(api.post("/videos/uploads", body))


def send(upload: Json, data: bytes, **fields: str) -> httpx.Response:
    how = upload["upload"]
    return httpx.post(how["url"], data=how["fields"] | fields, files={"file": ("clip", data)}, timeout=60)


def finished(api: Api, upload_id: str) -> Json:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        upload = answered(api.get(f"/videos/uploads/{upload_id}"))
        if upload["status"] in {"completed", "failed"}:
            return upload
        time.sleep(0.25)
    raise AssertionError(f"not finished after {PATIENCE} s: {upload}")


@pytest.fixture
def heard(upstream: Simulator) -> Heard:
    """The requests of the account where characters without a model are made."""
    return Heard(upstream, "a")


@pytest.mark.parametrize("mebibytes", [1, 20])
def test_every_byte_reaches_the_provider_once(
    api: Api, luna_clip: Path, tmp_path: Path, heard: Heard, mebibytes: int
) -> None:
    clip = padded(luna_clip, tmp_path / "luna.mp4", mebibytes * MEBIBYTE)
    upload = begin(api, clip.stat().st_size)
    assert send(upload, clip.read_bytes()).status_code == 204
    done = finished(api, upload["id"])
    assert done["status"] == "completed"
    requests = heard.requests("create_character")
    assert len(requests) == 1
    [file] = requests[0]["files"]
    assert (file["bytes"], file["sha256"]) == (clip.stat().st_size, digest(clip))
    assert int(requests[0]["headers"]["content-length"]) > clip.stat().st_size
    assert "transfer-encoding" not in requests[0]["headers"]
    assert api.get(f"/videos/characters/{done['character']['id']}").json() == done["character"]


class TestParts:
    """An upload of more than 100 MB is sent in parts."""

    SIZE = 101 * MEBIBYTE

    @pytest.fixture(scope="class")
    def clip(self, luna_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        clip = padded(luna_clip, tmp_path_factory.mktemp("large") / "luna.mp4", self.SIZE)
        yield clip
        clip.unlink()

    def put(self, clip: Path, part_size: int, part: Json, data: bytes | None = None) -> httpx.Response:
        if data is None:
            with clip.open("rb") as opened:
                opened.seek((part["part_number"] - 1) * part_size)
                data = opened.read(part["bytes"])
        return httpx.put(part["url"], content=data, timeout=60)

    def test_a_broken_upload_goes_on_where_it_stopped(self, api: Api, clip: Path, heard: Heard) -> None:
        upload = begin(api, self.SIZE)
        how = upload["upload"]
        assert how["part_count"] == len(how["parts"]) == 7
        for part in how["parts"][:4]:
            self.put(clip, how["part_size"], part).raise_for_status()
        path = f"/videos/uploads/{upload['id']}"
        error = refused(api.post(f"{path}/complete"), 400, "parts_incomplete", "parts")
        assert "5, 6, 7" in error["message"]
        plan = answered(api.post(f"{path}/parts", {}))
        assert [part["part_number"] for part in plan["arrived"]] == [1, 2, 3, 4]
        assert [part["part_number"] for part in plan["parts"]] == [5, 6, 7]
        for part in plan["parts"]:
            self.put(clip, plan["part_size"], part).raise_for_status()
        answered(api.post(f"{path}/complete"))
        assert finished(api, upload["id"])["status"] == "completed"
        [request] = heard.requests("create_character")
        assert request["files"][0]["sha256"] == digest(clip)
        refused(api.post(f"{path}/complete"), 400, "video_not_ready", "upload_id")

    def test_a_part_of_another_length_is_refused(self, api: Api, clip: Path) -> None:
        upload = begin(api, self.SIZE)
        how = upload["upload"]
        assert self.put(clip, how["part_size"], how["parts"][0], b"short").status_code == 403
        answered(api.delete(f"/videos/uploads/{upload['id']}"))
        refused(api.get(f"/videos/uploads/{upload['id']}"), 404, "upload_not_found")
        assert self.put(clip, how["part_size"], how["parts"][1]).status_code == 404

    def test_more_parts_than_there_are(self, api: Api) -> None:
        upload = begin(api, self.SIZE)
        path = f"/videos/uploads/{upload['id']}/parts"
        refused(api.post(path, {"part_numbers": [8]}), 400, "invalid_value", "part_numbers")


class TestPolicies:
    """A presigned POST is valid for one key, one size, one type and one hour."""

    @pytest.fixture
    def data(self, luna_clip: Path) -> bytes:
        return luna_clip.read_bytes()

    def test_another_size(self, api: Api, data: bytes) -> None:
        assert send(begin(api, len(data)), data + b"x").status_code in {400, 403}
        assert send(begin(api, len(data)), data[:-1]).status_code in {400, 403}

    def test_another_key(self, api: Api, data: bytes) -> None:
        upload = begin(api, len(data))
        upload["upload"]["fields"]["key"] = "uploads/others/mine"
        assert send(upload, data).status_code == 403

    def test_another_type(self, api: Api, data: bytes) -> None:
        upload = begin(api, len(data))
        upload["upload"]["fields"]["Content-Type"] = "text/html"
        assert send(upload, data).status_code == 403

    def test_an_expired_one(self, stack: Stack, api: Api, data: bytes) -> None:
        """A policy that expired is refused; the test signs a policy for one second instead of an hour."""
        post = stack.settings.client("s3").generate_presigned_post(
            stack.outputs["BucketName"], "uploads/local/expired", ExpiresIn=1
        )
        time.sleep(2)
        assert send({"upload": post}, data).status_code == 403

    def test_another_team_s_upload(self, api: Api, others: Api, data: bytes) -> None:
        upload = begin(api, len(data), purpose="video", name=None)
        refused(others.get(f"/videos/uploads/{upload['id']}"), 404, "upload_not_found")
        body = {"name": "Luna", "video": {"upload_id": upload["id"]}}
        refused(others.post("/videos/characters", body), 404, "upload_not_found")

    def test_one_that_was_never_sent(self, api: Api, data: bytes) -> None:
        upload = begin(api, len(data), purpose="video", name=None)
        body = {"prompt": "Gold", "video": {"upload_id": upload["id"]}}
        refused(api.post("/videos/edits", body), 400, "upload_pending", "video.upload_id")


def test_the_same_policy_twice_makes_one_character(api: Api, luna_clip: Path, heard: Heard) -> None:
    data = luna_clip.read_bytes()
    upload = begin(api, len(data))
    for _ in range(2):
        assert send(upload, data).status_code == 204
    assert finished(api, upload["id"])["status"] == "completed"
    assert send(upload, data).status_code == 204
    time.sleep(3)
    assert finished(api, upload["id"])["status"] == "completed"
    assert heard.count("create_character") == 1


def test_a_file_that_is_no_video(api: Api, heard: Heard) -> None:
    data = b"not a video " * 100
    upload = begin(api, len(data))
    assert send(upload, data).status_code == 204
    done = finished(api, upload["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "not_a_video")
    assert heard.count("create_character") == 0


def test_an_uploaded_clip_is_edited_and_an_uploaded_image_begins_a_video(
    api: Api, luna_clip: Path, tmp_path: Path
) -> None:
    from PIL import Image

    clip = begin(api, luna_clip.stat().st_size, purpose="video", name=None)
    assert send(clip, luna_clip.read_bytes()).status_code == 204
    picture = tmp_path / "first.png"
    Image.new("RGB", (1280, 720), "teal").save(picture)
    image = begin(api, picture.stat().st_size, purpose="image", name=None, mime_type="image/png", filename="first.png")
    assert send(image, picture.read_bytes()).status_code == 204
    assert finished(api, clip["id"])["status"] == finished(api, image["id"])["status"] == "completed"
    edit = api.make("/videos/edits", prompt="Make it gold", video={"upload_id": clip["id"]})
    video = api.video(size="1280x720", input_reference={"upload_id": image["id"]})
    api.wait_all([edit["id"], video["id"]])


def test_the_drop_folder(stack: Stack, api: Api, luna_clip: Path, heard: Heard) -> None:
    s3, bucket = stack.settings.client("s3"), stack.outputs["BucketName"]
    key = "drop/local/sora-2/Böse Luna +1.mp4"
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key=key, Body=luna_clip.read_bytes())
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = [one for one in answered(api.get("/videos/characters"))["data"] if one["name"] == "Böse Luna +1"]
        if found and s3.list_objects_v2(Bucket=bucket, Prefix="drop-results/").get("KeyCount"):
            break
        time.sleep(0.5)
    time.sleep(2)
    found = [one for one in answered(api.get("/videos/characters"))["data"] if one["name"] == "Böse Luna +1"]
    assert len(found) == 1


def test_the_command(stack: Stack, luna_clip: Path, tmp_path: Path) -> None:
    """`understudy upload` sends a small file with one POST, as a person runs the command."""
    import os
    import subprocess
    import sys

    environment = {**os.environ, "UNDERSTUDY_BASE_URL": stack.base_url, "UNDERSTUDY_API_KEY": stack.key}
    ran = subprocess.run(
        [Path(sys.executable).with_name("understudy"), "upload", str(luna_clip), "--name", "Luna"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("character_")
    assert "100%" in ran.stderr


def test_a_body_too_large_for_the_gateway_names_the_upload_route(api: Api) -> None:
    files = {"video": ("luna.mp4", b"\0" * (11 * MEBIBYTE), "video/mp4")}
    answer = api.post("/videos/characters", data={"name": "Luna"}, files=files)
    error = refused(answer, 413, answer.json()["error"]["code"])
    assert "/v1/videos/uploads" in error["message"]

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.media.clips import Shot, frames, grey_at, grey_of, make_clip, number_of
from tests.unit.media.fake_s3 import FakeS3
from understudy_media.limits import Deadline
from understudy_media.previews import last_frame, previews
from understudy_media.refusal import Refusal
from understudy_media.storage import MediaStore

KEYS = {"thumbnail_key": "media/videos/t/1/thumbnail.webp", "spritesheet_key": "media/videos/t/1/spritesheet.jpg"}


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_thumbnail_and_spritesheet(
    s3: FakeS3, store: MediaStore, deadline: Deadline, container: str, codec: str
) -> None:
    s3.store("media/v", make_clip(container=container, codec=codec, seconds=2, gop=7))
    written: Any = previews(store, deadline, key="media/v", **KEYS)
    thumbnail, sheet = (s3.read(key) for key in KEYS.values())
    assert [s3.content_type(key) for key in KEYS.values()] == ["image/webp", "image/jpeg"]
    assert (thumbnail[:4], thumbnail[8:12]) == (b"RIFF", b"WEBP")
    assert written["thumbnail"] == {"key": KEYS["thumbnail_key"], "width": 160, "height": 96, "bytes": len(thumbnail)}
    assert number_of(frames(thumbnail)[0]) <= 12
    assert (written["duration"], written["width"], written["height"]) == (pytest.approx(2.0, abs=0.01), 160, 96)

    assert written["spritesheet"]["tiles"] == 25
    assert written["spritesheet"]["columns"] == 5
    (picture,) = frames(sheet)
    assert (picture.width, picture.height) == (5 * 160, 5 * 96)
    numbers = [
        (grey_at(picture, column * 160 + 140, row * 96 + 80) - 16) / 4 for row in range(5) for column in range(5)
    ]
    assert numbers == sorted(numbers)
    assert all(abs(number - 48 * (tile + 0.5) / 25) <= 1.5 for tile, number in enumerate(numbers))


def test_a_clip_with_few_frames(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/v", make_clip(seconds=7 / 24))
    written: Any = previews(store, deadline, key="media/v", **KEYS)
    assert written["spritesheet"]["tiles"] == 7
    (picture,) = frames(s3.read(KEYS["spritesheet_key"]))
    assert (picture.width, picture.height) == (5 * 160, 2 * 96)


def test_pictures_of_a_large_video_are_small(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/v", make_clip(size=(1280, 720), seconds=0.5, rotation=90, shot=lambda _: Shot(90, 0.05)))
    written: Any = previews(store, deadline, key="media/v", **KEYS)
    assert (written["thumbnail"]["width"], written["thumbnail"]["height"]) == (405, 720)
    assert (written["spritesheet"]["width"], written["spritesheet"]["height"]) == (5 * 180, 3 * 320)
    assert (written["width"], written["height"]) == (720, 1280)


def test_a_black_beginning_makes_no_thumbnail(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/v", make_clip(seconds=4, shot=lambda n: Shot(16, 0.0) if n < 12 else Shot(160, 0.4)))
    previews(store, deadline, key="media/v", **KEYS)
    assert grey_of(frames(s3.read(KEYS["thumbnail_key"]))[0]) > 120


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "PNG"])
def test_last_frame(s3: FakeS3, store: MediaStore, deadline: Deadline, ending: str) -> None:
    s3.store("media/v", make_clip(seconds=2, sound="aac"))
    key = f"media/last.{ending}"
    written = last_frame(store, deadline, key="media/v", output_key=key)
    assert written["seconds"] == pytest.approx(47 / 24, abs=0.001)
    assert (written["width"], written["height"]) == (160, 96)
    assert number_of(frames(s3.read(key))[0]) == 47
    assert s3.content_type(key) == {"png": "image/png", "webp": "image/webp"}.get(ending.lower(), "image/jpeg")


def test_last_frame_in_the_size_of_the_next_video(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/v", make_clip(seconds=1))
    written = last_frame(store, deadline, key="media/v", output_key="media/l.jpg", size=(320, 192))
    (frame,) = frames(s3.read("media/l.jpg"))
    assert (written["width"], written["height"]) == (frame.width, frame.height) == (320, 192)
    assert number_of(frame.reformat(width=160, height=96)) == 23


@pytest.mark.parametrize(("container", "codec"), [("webm", "libvpx-vp9"), ("mov", "libx264"), ("matroska", "libx264")])
def test_last_frame_of_other_containers(
    s3: FakeS3, store: MediaStore, deadline: Deadline, container: str, codec: str
) -> None:
    s3.store("media/v", make_clip(container=container, codec=codec, gop=500))
    last_frame(store, deadline, key="media/v", output_key="media/l.png")
    assert number_of(frames(s3.read("media/l.png"))[0]) == 47


def test_last_frame_of_a_long_clip_reads_its_end(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    from tests.unit.media.clips import spread_out

    spread_out(make_clip(seconds=8), 1 << 30, s3.path("media/v"))
    written = last_frame(store, deadline, key="media/v", output_key="media/l.png")
    assert written["seconds"] == pytest.approx(191 / 24, abs=0.001)
    assert s3.bytes_read < 4 << 20


@pytest.mark.parametrize("key", ["media/last", "media/last.gif", "media/last.mp4", "elsewhere/l.png"])
def test_where_the_last_frame_may_go(s3: FakeS3, store: MediaStore, deadline: Deadline, key: str) -> None:
    with pytest.raises(Refusal) as caught:
        last_frame(store, deadline, key="media/v", output_key=key)
    assert caught.value.code == "invalid_request"
    assert not s3.ranges


@pytest.mark.parametrize("outside", ["thumbnail_key", "spritesheet_key"])
def test_previews_elsewhere(s3: FakeS3, store: MediaStore, deadline: Deadline, outside: str) -> None:
    s3.store("media/v", make_clip(seconds=0.5))
    with pytest.raises(Refusal) as caught:
        previews(store, deadline, key="media/v", **{**KEYS, outside: "elsewhere/x"})
    assert caught.value.code == "invalid_request"
    assert not s3.ranges

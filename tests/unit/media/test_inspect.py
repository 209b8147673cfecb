from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest

from tests.unit.media import clips
from tests.unit.media.clips import FRAGMENTED, INDEX_FIRST, Shot, frames, make_clip, make_sound, opened
from tests.unit.media.fake_s3 import FakeS3
from understudy_media import inspect, limits
from understudy_media.inspect import inspect_clip
from understudy_media.limits import MIB, Deadline
from understudy_media.ranges import BLOCK_BYTES, CACHE_BLOCKS
from understudy_media.refusal import Refusal
from understudy_media.storage import MediaStore

PREFIX = "media/characters/team/luna/"


def look(store: MediaStore, data: bytes | None = None, stills: int = 4, seconds: float = 60) -> dict[str, Any]:
    if data is not None:
        store.client.store("media/clip", data)  # type: ignore[attr-defined]
    return inspect_clip(store, Deadline(seconds), key="media/clip", stills_prefix=PREFIX, stills=stills)


def refusal(store: MediaStore, data: bytes, stills: int = 4) -> Refusal:
    with pytest.raises(Refusal) as caught:
        look(store, data, stills)
    client: Any = store.client
    assert client.keys() == {"media/clip"}, "nothing is written for a clip that is refused"
    return caught.value


@pytest.mark.parametrize(
    ("container", "codec", "sound", "expected"),
    [
        ("mp4", "libx264", None, ("mp4", "video/mp4", "h264", None)),
        ("mp4", "libx264", "aac", ("mp4", "video/mp4", "h264", "aac")),
        ("mp4", "libx265", None, ("mp4", "video/mp4", "hevc", None)),
        ("mov", "libx264", "pcm_s16le", ("mov", "video/quicktime", "h264", "pcm_s16le")),
        ("mov", "mpeg4", None, ("mov", "video/quicktime", "mpeg4", None)),
        ("webm", "libvpx", None, ("webm", "video/webm", "vp8", None)),
        ("webm", "libvpx-vp9", "libopus", ("webm", "video/webm", "vp9", "opus")),
        ("matroska", "libx264", "aac", ("mkv", "video/x-matroska", "h264", "aac")),
    ],
)
def test_facts_and_stills(
    s3: FakeS3, store: MediaStore, container: str, codec: str, sound: str | None, expected: tuple[str, ...]
) -> None:
    data = make_clip(container=container, codec=codec, sound=sound)
    facts = look(store, data)
    assert (facts["container"], facts["mime_type"], facts["video_codec"], facts["audio_codec"]) == expected
    assert (facts["bytes"], facts["width"], facts["height"], facts["fps"]) == (len(data), 160, 96, 24.0)
    assert facts["duration"] == pytest.approx(2.0, abs=0.05)
    stills: Any = facts["stills"]
    assert [still["key"] for still in stills] == [f"{PREFIX}still-{n}.jpg" for n in (1, 2, 3, 4)]
    moments = [still["seconds"] for still in stills]
    assert moments[0] <= 0.5
    assert all(abs(moment - near) <= 0.26 for moment, near in zip(moments[1:], (0.5, 1.0, 1.5), strict=True))
    for still in stills:
        data = s3.read(still["key"])
        assert s3.content_type(still["key"]) == "image/jpeg"
        assert data[:2] == b"\xff\xd8"
        (picture,) = frames(data)
        assert (
            (picture.width, picture.height, len(data))
            == (160, 96, still["bytes"])
            == (
                still["width"],
                still["height"],
                still["bytes"],
            )
        )
        assert clips.number_of(picture) == pytest.approx(still["seconds"] * 24, abs=1.1)


def test_colours_survive(s3: FakeS3, store: MediaStore) -> None:
    """White in the video (235) becomes white in the picture (255), and black (16) becomes 0."""
    for grey, level in ((235, 255), (16, 0), (126, 128)):
        look(store, make_clip(seconds=0.2, shot=lambda _, grey=grey: Shot(grey, 0.0)), stills=1)  # type: ignore[misc]
        (picture,) = frames(s3.read(f"{PREFIX}still-1.jpg"))
        rgb = bytes(picture.reformat(format="rgb24").planes[0])[:3]
        assert all(abs(value - level) <= 3 for value in rgb)


def test_colours_of_hd_survive(s3: FakeS3, store: MediaStore) -> None:
    """HD video uses BT.709 and JPEG uses BT.601; if they are confused, red becomes orange."""
    y, u, v = 81, 90, 220
    data = make_clip(seconds=0.2, colour_matrix=1, shot=lambda _: Shot(y, 0.0, (u, v)))
    assert frames(data)[0].colorspace == 1
    look(store, data, stills=1)
    (picture,) = frames(s3.read(f"{PREFIX}still-1.jpg"))
    rgb = bytes(picture.reformat(format="rgb24", src_colorspace="ITU601").planes[0])[:3]
    luma = 1.164 * (y - 16)
    wanted = [luma + 1.793 * (v - 128), luma - 0.213 * (u - 128) - 0.533 * (v - 128), luma + 2.112 * (u - 128)]
    assert list(rgb) == pytest.approx([min(255, max(0, value)) for value in wanted], abs=5)


def test_probe_only_writes_nothing(s3: FakeS3, store: MediaStore) -> None:
    facts = inspect_clip(
        store, Deadline(60), key=s3.store("media/clip", make_clip()), stills_prefix="elsewhere/", stills=0
    )
    assert facts["stills"] == []
    assert s3.keys() == {"media/clip"}


def test_the_sharp_frame_is_chosen(store: MediaStore) -> None:
    """The stills are the few frames with detail: the first frames are black, most others are flat."""
    sharp = {5, 13, 22, 38}
    data = make_clip(shot=lambda number: Shot(16 if number < 4 else 120, 0.9 if number in sharp else 0.05))
    stills: Any = look(store, data)["stills"]
    chosen = [round(still["seconds"] * 24) for still in stills]
    assert chosen[0] == 5
    assert set(chosen) <= sharp


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_is_honoured(s3: FakeS3, store: MediaStore, rotation: int) -> None:
    """The noise at the stored frame's top is where the rotation puts it.

    After 90 degrees counter-clockwise the noise is at the left.
    """
    facts = look(store, make_clip(rotation=rotation, seconds=0.3, shot=lambda _: Shot(120, 0.3)), stills=1)
    size = (160, 96) if rotation == 180 else (96, 160)
    assert (facts["width"], facts["height"]) == size
    (picture,) = frames(s3.read(f"{PREFIX}still-1.jpg"))
    assert (picture.width, picture.height) == size
    luma = picture.planes[0]
    rows = [bytes(luma)[y * luma.line_size : y * luma.line_size + size[0]] for y in range(size[1])]
    edges = {
        90: [row[2] for row in rows],
        -90: [row[-3] for row in rows],
        180: list(rows[-3]),
    }
    quiet = {90: [row[-3] for row in rows], -90: [row[2] for row in rows], 180: list(rows[2])}
    assert max(edges[rotation]) - min(edges[rotation]) > 100
    assert max(quiet[rotation]) - min(quiet[rotation]) < 20


@pytest.mark.parametrize("size", [(161, 97), (35, 201)])
def test_odd_sizes(store: MediaStore, size: tuple[int, int]) -> None:
    facts = look(store, make_clip(container="webm", codec="libvpx-vp9", size=size, seconds=0.5))
    stills: Any = facts["stills"]
    assert (facts["width"], facts["height"]) == size
    assert {(still["width"], still["height"]) for still in stills} == {size}


def test_large_pictures_are_scaled_down(store: MediaStore) -> None:
    facts = look(store, make_clip(size=(2560, 1440), seconds=0.1, shot=lambda _: Shot(90, 0.01)), stills=1)
    stills: Any = facts["stills"]
    assert (facts["width"], facts["height"]) == (2560, 1440)
    assert (stills[0]["width"], stills[0]["height"]) == (1920, 1080)


def test_a_single_frame(store: MediaStore) -> None:
    facts = look(store, make_clip(seconds=1 / 24))
    assert len(facts["stills"]) == 1


@pytest.mark.parametrize("options", [FRAGMENTED, {"movflags": "frag_keyframe"}, INDEX_FIRST])
def test_layouts_of_mp4(store: MediaStore, options: dict[str, str]) -> None:
    facts = look(store, make_clip(seconds=6, sound="aac", options=options))
    stills: Any = facts["stills"]
    assert facts["duration"] == pytest.approx(6.0, abs=0.05)
    assert [round(still["seconds"] / 1.5) for still in stills[1:]] == [1, 2, 3]


class Unseekable:
    """The output of a browser's recorder, which cannot seek back to write the duration."""

    def __init__(self) -> None:
        self.data = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self.data.write(data)


def test_a_recording_without_duration(store: MediaStore) -> None:
    target = Unseekable()
    make_clip(container="webm", codec="libvpx-vp9", sound="libopus", seconds=3, target=target)
    data = target.data.getvalue()
    assert opened(data).duration is None
    facts = look(store, data)
    assert facts["duration"] == pytest.approx(3.0, abs=0.05)
    assert len(facts["stills"]) == 4


def test_one_gigabyte_with_the_index_at_the_end(s3: FakeS3, store: MediaStore) -> None:
    clips.spread_out(make_clip(seconds=8, sound="aac"), 1 << 30, s3.path("media/clip"))
    facts = look(store)
    stills: Any = facts["stills"]
    assert facts["bytes"] > 1 << 30
    assert facts["duration"] == pytest.approx(8.0)
    for still in stills:
        (picture,) = frames(s3.read(still["key"]))
        assert still["seconds"] < 8
        assert picture.width == 160
    # Pictures come from both ends of the file, and next to nothing of what lies between was read.
    assert stills[-1]["seconds"] > 5
    assert s3.bytes_read < 4 * MIB
    assert {start for _, start, _ in s3.ranges if start > 900 * MIB}
    (reader,) = store.readers
    assert reader.fetched_bytes == s3.bytes_read
    assert reader.peak_bytes <= BLOCK_BYTES * CACHE_BLOCKS


def test_memory_is_the_same_for_small_and_large_media(s3: FakeS3, store: MediaStore) -> None:
    """Reading more media than the cache holds needs no more memory than the cache."""
    assert len(clips.large_clip()) > BLOCK_BYTES * CACHE_BLOCKS
    look(store, clips.large_clip())
    assert s3.bytes_read > BLOCK_BYTES * CACHE_BLOCKS
    assert store.readers[-1].peak_bytes == BLOCK_BYTES * CACHE_BLOCKS


# ---- What is refused


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"just text, renamed to clip.mp4",
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"#EXTM3U\n#EXTINF:9,\nfile:///etc/hosts\n",
    ],
    ids=["empty", "text", "png", "playlist"],
)
def test_other_files(store: MediaStore, data: bytes) -> None:
    assert refusal(store, data).code == "not_a_video"


@pytest.mark.parametrize("playlist", [b"#EXTM3U\n#EXTINF:9,\n%s\n", b"ffconcat version 1.0\nfile '%s'\n"])
def test_a_playlist_with_the_first_bytes_of_an_mp4(store: MediaStore, tmp_path: Path, playlist: bytes) -> None:
    good = make_clip()
    (tmp_path / "good.mp4").write_bytes(good)
    assert refusal(store, good[:32] + playlist % bytes(tmp_path / "good.mp4")).code == "unreadable"


def test_pictures_in_another_file_are_not_fetched(store: MediaStore, tmp_path: Path) -> None:
    """The other file exists and has the pictures; the guards prevent that it is opened."""
    good = make_clip()
    other = tmp_path / "good.mp4"
    other.write_bytes(good)
    media = good.index(b"mdat")
    trap = clips.with_reference_to(
        good[: media + 4] + b"\0" * (good.rindex(b"moov") - 4 - media - 4) + good[good.rindex(b"moov") - 4 :],
        str(other),
    )
    unguarded = av.open(io.BytesIO(trap), "r", format="mov", options={"enable_drefs": "1", "use_absolute_path": "1"})
    assert next(unguarded.decode(video=0)).width == 160, "the trap works where nobody guards"
    assert refusal(store, trap).code == "unreadable"


@pytest.mark.parametrize("options", [INDEX_FIRST, {}, FRAGMENTED], ids=["index-first", "index-last", "fragmented"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_cut_off_mp4(store: MediaStore, options: dict[str, str], part: float) -> None:
    data = make_clip(seconds=3, sound="aac", options=options)
    assert refusal(store, data[: int(len(data) * part)]).code == "unreadable"


def test_fragments_are_usable_as_far_as_they_go(store: MediaStore) -> None:
    data = make_clip(seconds=3, options=FRAGMENTED)
    assert look(store, data[: data.rindex(b"moof") - 4])["duration"] == pytest.approx(2.5)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.95])
def test_cut_off_webm(store: MediaStore, part: float) -> None:
    data = make_clip(container="webm", codec="libvpx-vp9")
    assert refusal(store, data[: int(len(data) * part)]).code == "unreadable"


def test_media_that_is_garbage(store: MediaStore) -> None:
    data = make_clip(options=INDEX_FIRST)
    start = data.index(b"mdat") + 4
    assert refusal(store, data[:start] + b"\x55" * (len(data) - start)).code == "unreadable"


def test_some_garbage_is_passed_over(store: MediaStore) -> None:
    """A clip with a damaged part is still a clip."""
    data = bytearray(make_clip(options=INDEX_FIRST, gop=6))
    middle = (data.index(b"mdat") + len(data)) // 2
    data[middle : middle + 300] = bytes(300)
    assert len(look(store, bytes(data))["stills"]) >= 2


@pytest.mark.parametrize(("container", "encoder"), [("mp4", "aac"), ("webm", "libopus"), ("mov", "pcm_s16le")])
def test_sound_without_pictures(store: MediaStore, container: str, encoder: str) -> None:
    assert refusal(store, make_sound(container, encoder)).code == "no_video_stream"


def test_too_long(store: MediaStore) -> None:
    caught = refusal(store, make_clip(seconds=601, rate=1, size=(32, 32), shot=lambda _: Shot(99, 0.0)))
    assert caught.code == "too_long"
    assert "600" in caught.message


def test_too_long_without_saying_so(store: MediaStore) -> None:
    target = Unseekable()
    make_clip(
        container="webm",
        codec="libvpx-vp9",
        seconds=700,
        rate=1,
        size=(32, 32),
        shot=lambda _: Shot(99, 0.0),
        target=target,
    )
    assert refusal(store, target.data.getvalue()).code == "too_long"


def test_too_many_pixels(store: MediaStore) -> None:
    caught = refusal(store, make_clip(size=(4112, 2304), seconds=0.05, shot=lambda _: Shot(99, 0.0)))
    assert caught.code == "too_large"
    assert "4112x2304" in caught.message


def test_too_many_pixels_behind_a_small_label(store: MediaStore) -> None:
    data = bytearray(make_clip(size=(4112, 2304), seconds=0.05, shot=lambda _: Shot(99, 0.0)))
    label = data.index(b"avc1", data.index(b"stsd")) + 4 + 24
    data[label : label + 4] = b"\0\x40\0\x40"
    assert refusal(store, bytes(data)).code in ("too_large", "unreadable")


def test_too_many_frames(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PICTURES", 40)
    assert refusal(store, make_clip()).code == "too_large"


def test_codecs_that_are_not_opened(store: MediaStore) -> None:
    caught = refusal(store, make_clip(container="matroska", codec="mpeg2video"))
    assert caught.code == "unreadable"
    assert "mpeg2video" in caught.message
    assert "H.264" in caught.message


def test_more_bytes_than_may_be_read(s3: FakeS3, store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "LOOK_BYTES", MIB)
    caught = refusal(store, clips.large_clip())
    assert caught.code == "too_large"
    assert s3.bytes_read <= MIB


def test_no_time(store: MediaStore) -> None:
    with pytest.raises(Refusal) as caught:
        look(store, make_clip(), seconds=-1)
    assert caught.value.code == "timed_out"


def test_frames_are_decoded_up_to_a_limit(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A still whose key frame is too far away is left out: decoding would take too long."""
    monkeypatch.setattr(inspect, "_MOST_DECODED", 30)
    facts = look(store, make_clip(seconds=4, gop=500))
    assert 1 <= len(facts["stills"]) < 4


@pytest.mark.parametrize("prefix", ["elsewhere/", "media/../x/", ""])
def test_stills_elsewhere_are_refused_before_any_work(s3: FakeS3, store: MediaStore, prefix: str) -> None:
    s3.store("media/clip", make_clip())
    with pytest.raises(Refusal) as caught:
        inspect_clip(store, Deadline(60), key="media/clip", stills_prefix=prefix, stills=1)
    assert caught.value.code == "invalid_request"
    assert not s3.ranges

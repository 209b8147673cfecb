from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.media import clips
from tests.unit.media.clips import FRAGMENTED, Shot, boxes, frames, grey_of, loudness, make_clip, opened, times
from tests.unit.media.fake_s3 import FakeS3
from understudy_media import ranges, sink, stitch
from understudy_media.limits import MIB, Deadline
from understudy_media.refusal import Refusal
from understudy_media.stitch import concatenate, trim
from understudy_media.storage import MediaStore

OUT = "media/videos/t/1/video.mp4"
LOUD, QUIET = 0.1, 0.01


def grey(level: int) -> bytes:
    return make_clip(seconds=1, shot=lambda _: Shot(level))


def plain_and_playable(data: bytes, seconds: float, within: float = 0.03) -> None:
    """Check that the MP4 can be played before it is complete, and that all tracks have this length."""
    assert boxes(data) == ["ftyp", "moov", "mdat"]
    media = opened(data)
    assert media.format.name.startswith("mov,mp4")
    assert media.streams.video[0].codec_context.name == "h264"
    for stream in media.streams:
        assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=within)  # type: ignore[operator]
    assert media.duration == pytest.approx(seconds * 1e6, abs=within * 1e6)
    assert frames(data)[0].pts == 0


def test_equal_clips_are_joined_without_encoding(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    levels = (60, 120, 200)
    keys = [s3.store(f"media/{level}", grey(level)) for level in levels]
    written = concatenate(store, deadline, keys=keys, output_key=OUT)
    data = s3.read(OUT)
    assert written == {
        "key": OUT,
        "duration": 3.0,
        "bytes": len(data),
        "width": 160,
        "height": 96,
        "reencoded": False,
        "sound": False,
    }
    assert s3.content_type(OUT) == "video/mp4"
    plain_and_playable(data, 3.0)
    shown = frames(data)
    assert [round(frame.time * 24) for frame in shown] == list(range(72))
    assert [grey_of(frame) for frame in shown] == pytest.approx([60] * 24 + [120] * 24 + [200] * 24, abs=2)
    # The packets are the same, which a second encoding would never achieve.
    sizes = [packet.size for key in keys for packet in opened(s3.read(key)).demux(video=0) if packet.size]
    assert [packet.size for packet in opened(data).demux(video=0) if packet.size] == sizes


def test_unequal_clips_are_fitted_into_the_first(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    keys = [
        s3.store("media/a", make_clip(seconds=1, shot=lambda _: Shot(60))),
        s3.store("media/b", make_clip(seconds=1, size=(96, 160), rate=30, shot=lambda _: Shot(120, 0.0))),
        s3.store("media/c", make_clip(seconds=1, container="webm", codec="libvpx-vp9", shot=lambda _: Shot(200))),
    ]
    written = concatenate(store, deadline, keys=keys, output_key=OUT)
    assert written["reencoded"] is True
    assert (written["width"], written["height"]) == (160, 96)
    data = s3.read(OUT)
    plain_and_playable(data, 3.0)
    moments = times(data)
    assert moments == sorted(set(moments))
    assert len(moments) == 24 + 30 + 24
    shown = frames(data)
    assert {(frame.width, frame.height) for frame in shown} == {(160, 96)}
    assert grey_of(shown[10]) == pytest.approx(60, abs=4)
    assert grey_of(shown[-5]) == pytest.approx(200, abs=4)
    # The upright clip stands in the middle, black at its sides.
    assert [clips.grey_at(shown[40], x, 48) for x in (10, 80, 150)] == pytest.approx([16, 120, 16], abs=4)


def test_key_frames_are_the_encoders_own(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    """A source with only key frames does not make a result with only key frames."""
    keys = [
        s3.store("media/a", make_clip(seconds=1, gop=1, b_frames=0, shot=lambda _: Shot(90))),
        s3.store("media/b", make_clip(seconds=1, size=(64, 64), shot=lambda _: Shot(90))),
    ]
    concatenate(store, deadline, keys=keys, output_key=OUT)
    packets = [packet for packet in opened(s3.read(OUT)).demux(video=0) if packet.size]
    assert len(packets) == 48
    assert sum(packet.is_keyframe for packet in packets) <= 3


@pytest.mark.parametrize(("matrix", "kept"), [(1, 1), (6, 6), (2, 2)])
def test_colours_survive_encoding(s3: FakeS3, store: MediaStore, deadline: Deadline, matrix: int, kept: int) -> None:
    """HD, SD and a clip without a colour matrix keep their values and their matrix."""
    shot = Shot(81, 0.0, (90, 220))
    keys = [
        s3.store("media/a", make_clip(seconds=0.5, colour_matrix=matrix, shot=lambda _: shot)),
        s3.store("media/b", make_clip(seconds=0.5, colour_matrix=matrix, size=(64, 38), shot=lambda _: shot)),
    ]
    assert concatenate(store, deadline, keys=keys, output_key=OUT)["reencoded"] is True
    for frame in (frames(s3.read(OUT))[6], frames(s3.read(OUT))[18]):
        assert frame.colorspace == kept
        middle = [bytes(plane)[plane.height // 2 * plane.line_size + plane.width // 2] for plane in frame.planes]
        assert middle == pytest.approx([81, 90, 220], abs=2)


def test_full_range_becomes_limited(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", make_clip(container="mov", codec="mjpeg", pixels="yuvj420p", shot=lambda _: Shot(200, 0.0)))
    concatenate(store, deadline, keys=["media/a"], output_key=OUT)
    frame = frames(s3.read(OUT))[0]
    assert frame.color_range == 1
    assert bytes(frame.planes[0])[0] == pytest.approx(16 + 200 * 219 / 255, abs=2)


def test_rotation_is_baked_in(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    keys = [
        s3.store("media/a", make_clip(seconds=0.5, rotation=90, shot=lambda _: Shot(60))),
        s3.store("media/b", make_clip(seconds=0.5, size=(64, 64), shot=lambda _: Shot(60))),
    ]
    written = concatenate(store, deadline, keys=keys, output_key=OUT)
    assert (written["width"], written["height"]) == (96, 160)
    assert {(frame.width, frame.height, frame.rotation) for frame in frames(s3.read(OUT))} == {(96, 160, 0)}


def test_odd_sizes(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", make_clip(container="webm", codec="libvpx-vp9", size=(161, 97), seconds=0.5))
    written = concatenate(store, deadline, keys=["media/a"], output_key=OUT)
    assert (written["width"], written["height"]) == (160, 96)
    plain_and_playable(s3.read(OUT), 0.5)


def test_sound_stays_in_step(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    """A tone, silence for a clip without sound, and a tone in another codec each start on time."""
    keys = [
        s3.store("media/a", make_clip(seconds=1, sound="aac")),
        s3.store("media/b", make_clip(seconds=1)),
        s3.store("media/c", make_clip(seconds=1, container="mov", sound="pcm_s16le")),
    ]
    written = concatenate(store, deadline, keys=keys, output_key=OUT)
    assert (written["sound"], written["reencoded"]) == (True, False)
    data = s3.read(OUT)
    plain_and_playable(data, 3.0)
    assert loudness(data, 0.03, 0.97) > LOUD
    assert loudness(data, 1.03, 1.97) < QUIET
    assert loudness(data, 2.03, 2.97) > LOUD


@pytest.mark.parametrize("tone", [0.4, 1.6])
def test_sound_is_as_long_as_pictures(s3: FakeS3, store: MediaStore, deadline: Deadline, tone: float) -> None:
    """Sound that ends early is followed by silence, longer sound is cut, and the next clip starts on time."""
    s3.store("media/a", make_clip(seconds=1, sound="aac", sound_seconds=tone))
    concatenate(store, deadline, keys=["media/a", "media/a"], output_key=OUT)
    data = s3.read(OUT)
    plain_and_playable(data, 2.0)
    for start in (0.0, 1.0):
        assert loudness(data, start + 0.05, start + 0.35) > LOUD
        assert (loudness(data, start + 0.5, start + 0.95) > LOUD) is (tone > 1)


def test_no_gap_between_two_sounds(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", make_clip(seconds=1, sound="aac"))
    concatenate(store, deadline, keys=["media/a", "media/a"], output_key=OUT)
    data = s3.read(OUT)
    around = [loudness(data, 0.98 + step / 200, 0.985 + step / 200) for step in range(8)]
    assert min(around) > LOUD


def test_no_sound_stays_no_sound(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", make_clip(seconds=0.5))
    concatenate(store, deadline, keys=["media/a", "media/a"], output_key=OUT)
    assert not opened(s3.read(OUT)).streams.audio


@pytest.mark.parametrize("b_frames", [0, 3])
def test_fragmented_clips(s3: FakeS3, store: MediaStore, deadline: Deadline, b_frames: int) -> None:
    s3.store("media/a", make_clip(seconds=2, sound="aac", options=FRAGMENTED, b_frames=b_frames))
    written = concatenate(store, deadline, keys=["media/a", "media/a"], output_key=OUT)
    assert written["reencoded"] is False
    # The muxer that made the clips extended the last frame to the end of the sound.
    plain_and_playable(s3.read(OUT), 4.0, within=0.06)
    assert len(times(s3.read(OUT))) == 96


def test_many_frames_a_second_are_thinned(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", make_clip(seconds=1, rate=120, size=(64, 64), container="webm", codec="libvpx-vp9"))
    concatenate(store, deadline, keys=["media/a"], output_key=OUT)
    plain_and_playable(s3.read(OUT), 1.0)
    assert 50 <= len(times(s3.read(OUT))) <= 67


def test_a_large_result_is_streamed(
    s3: FakeS3, store: MediaStore, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is sent in parts; neither a source nor the result is completely in memory."""
    clip = clips.large_clip()
    s3.store("media/a", clip)
    targets = []
    make = store.sink

    def kept(key: str, content_type: str) -> sink.PartSink:
        targets.append(make(key, content_type))
        return targets[-1]

    monkeypatch.setattr(store, "sink", kept)
    concatenate(store, deadline, keys=["media/a"] * 2, output_key=OUT)
    data = s3.read(OUT)
    assert len(data) > 1.9 * len(clip) > 4 * sink.PART_BYTES
    assert len(s3.part_sizes) >= 5
    plain_and_playable(data, 6.0)
    assert len(opened(data).streams.video[0].index_entries) == 144
    assert targets[0].peak_bytes <= 2 * sink.PART_BYTES + MIB
    assert max(reader.peak_bytes for reader in store.readers) <= ranges.BLOCK_BYTES * ranges.CACHE_BLOCKS


@pytest.mark.parametrize(
    ("start", "seconds", "first", "count", "encoded"),
    [
        (0.0, 1.0, 0, 24, False),  # from a key frame to a key frame
        (0.5, 1.0, 12, 24, False),
        (1.0, 99.0, 24, 24, False),  # to the end
        (0.0, 0.75, 0, 18, True),  # the end amidst
        (0.25, 1.0, 6, 24, True),  # the start amidst
        (0.3, 0.01, 7, 1, True),  # at least one frame
    ],
)
@pytest.mark.parametrize("b_frames", [0, 2])
def test_trim(
    s3: FakeS3,
    store: MediaStore,
    deadline: Deadline,
    start: float,
    seconds: float,
    first: int,
    count: int,
    encoded: bool,
    b_frames: int,
) -> None:
    s3.store("media/a", make_clip(seconds=2, sound="aac", b_frames=b_frames))
    written = trim(store, deadline, key="media/a", output_key=OUT, start=start, seconds=seconds)
    assert written["reencoded"] is encoded
    data = s3.read(OUT)
    plain_and_playable(data, count / 24)
    shown = frames(data)
    assert [clips.number_of(frame) for frame in shown] == list(range(first, first + count))
    if count > 1:
        assert loudness(data, 0.03, count / 24 - 0.03) > LOUD


@pytest.mark.parametrize(
    ("container", "codec", "sound"), [("webm", "libvpx-vp9", "libopus"), ("mov", "libx264", "pcm_s16le")]
)
def test_trim_other_containers(
    s3: FakeS3, store: MediaStore, deadline: Deadline, container: str, codec: str, sound: str
) -> None:
    s3.store("media/a", make_clip(container=container, codec=codec, sound=sound))
    trim(store, deadline, key="media/a", output_key=OUT, start=0.7, seconds=0.5)
    data = s3.read(OUT)
    plain_and_playable(data, 0.5)
    numbers = [clips.number_of(frame) for frame in frames(data)]
    assert numbers == pytest.approx(list(range(17, 29)), abs=1)
    assert loudness(data, 0.03, 0.47) > LOUD


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.5, 12), (1.0, 24)])
def test_trim_between_open_groups(s3: FakeS3, store: MediaStore, deadline: Deadline, start: float, first: int) -> None:
    """In open groups of pictures the cut re-encodes: a copy up to a key frame would lose frames."""
    s3.store("media/a", make_clip(x264="open-gop=1:bframes=2:b-adapt=0:keyint=12:min-keyint=12:scenecut=0"))
    packets = [packet for packet in opened(s3.read("media/a")).demux(video=0) if packet.size]
    at = [number for number, packet in enumerate(packets) if packet.is_keyframe][1]
    assert packets[at + 1].pts < packets[at].pts  # type: ignore[operator]
    written = trim(store, deadline, key="media/a", output_key=OUT, start=start, seconds=0.5)
    assert written["reencoded"] is True
    numbers = [clips.number_of(frame) for frame in frames(s3.read(OUT))]
    assert numbers == list(range(first, first + 12))


def test_trim_reads_only_its_part(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    clips.spread_out(make_clip(seconds=8, sound="aac"), 1 << 30, s3.path("media/a"))
    trim(store, deadline, key="media/a", output_key=OUT, start=6, seconds=1)
    assert s3.bytes_read < 8 * MIB


# ---- What is refused


@pytest.mark.parametrize(("start", "seconds"), [(2.0, 1.0), (99.0, 1.0), (0.0, 0.0)])
def test_cuts_outside_of_the_clip(
    s3: FakeS3, store: MediaStore, deadline: Deadline, start: float, seconds: float
) -> None:
    s3.store("media/a", make_clip(seconds=2))
    with pytest.raises(Refusal) as caught:
        trim(store, deadline, key="media/a", output_key=OUT, start=start, seconds=seconds)
    assert caught.value.code == "invalid_request"
    assert "2.00 seconds" in caught.value.message
    assert s3.keys() == {"media/a"}


@pytest.mark.parametrize("bad", [b"", b"text", make_clip()[:3000]])
def test_one_bad_clip_spoils_all(s3: FakeS3, store: MediaStore, deadline: Deadline, bad: bytes) -> None:
    s3.store("media/a", make_clip(seconds=0.5))
    s3.store("media/b", bad)
    with pytest.raises(Refusal):
        concatenate(store, deadline, keys=["media/a", "media/b"], output_key=OUT)
    assert s3.keys() == {"media/a", "media/b"}


def test_the_result_is_not_too_long(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", make_clip(seconds=400, rate=1, size=(32, 32), shot=lambda _: Shot(99, 0.0)))
    with pytest.raises(Refusal) as caught:
        concatenate(store, deadline, keys=["media/a", "media/a"], output_key=OUT)
    assert caught.value.code == "too_long"


@pytest.mark.parametrize("keys", [[], ["media/a"] * 21, [OUT], ["media/a", OUT]])
def test_how_many_clips(s3: FakeS3, store: MediaStore, deadline: Deadline, keys: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        concatenate(store, deadline, keys=keys, output_key=OUT)
    assert caught.value.code == "invalid_request"
    assert not s3.ranges


def test_a_result_elsewhere(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    with pytest.raises(Refusal, match="under media/"):
        concatenate(store, deadline, keys=["media/a"], output_key="elsewhere/v.mp4")
    with pytest.raises(Refusal, match="under media/"):
        trim(store, deadline, key="media/a", output_key="elsewhere/v.mp4", start=0, seconds=1)
    with pytest.raises(Refusal, match="the clip itself"):
        trim(store, deadline, key="media/a", output_key="media/a", start=0, seconds=1)
    assert not s3.ranges


def test_running_out_of_time_amidst_leaves_nothing(
    s3: FakeS3, store: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.store("media/a", clips.large_clip())
    now = [0.0]
    deadline = Deadline(10, clock=lambda: now[0])
    send = s3.upload_part

    def slow(**arguments: object) -> object:
        now[0] = 11.0
        return send(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(s3, "upload_part", slow)
    with pytest.raises(Refusal) as caught:
        concatenate(store, deadline, keys=["media/a"] * 3, output_key=OUT)
    assert caught.value.code == "timed_out"
    assert s3.aborted == ["upload-1"]
    assert s3.keys() == {"media/a"}


def test_room_for_the_index_is_enough(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    """The index of a clip with many small frames and sound fits into the reserved room."""
    clip = make_clip(container="webm", codec="libvpx-vp9", seconds=10, rate=60, size=(16, 16), sound="libopus")
    s3.store("media/a", clip)
    concatenate(store, deadline, keys=["media/a"], output_key=OUT)
    data = s3.read(OUT)
    plain_and_playable(data, 10.0)
    media = opened(data)
    samples = media.streams.video[0].frames + media.streams.audio[0].frames
    index = int.from_bytes(data[data.index(b"moov") - 4 :][:4], "big")
    assert index < stitch._INDEX_REST + stitch._INDEX_BYTES * samples


def test_sources_are_files_of_the_bucket_only(tmp_path: Path, store: MediaStore, deadline: Deadline) -> None:
    other = tmp_path / "a.mp4"
    other.write_bytes(make_clip(seconds=0.5))
    with pytest.raises(Refusal):
        concatenate(store, deadline, keys=[str(other)], output_key=OUT)

"""The length of a clip is what its frames last, whatever its header says."""

from __future__ import annotations

import io
import struct
from typing import Any, cast

import av
import pytest

from tests.unit.media import clips
from tests.unit.media.clips import FRAGMENTED, INDEX_FIRST, Shot, make_clip, opened
from tests.unit.media.fake_s3 import FakeS3
from understudy_media.inspect import inspect_clip
from understudy_media.limits import MIB, Deadline
from understudy_media.refusal import Refusal
from understudy_media.storage import MediaStore

SECONDS = 20
# Where the boxes of an MP4 (version 0) keep the length: bytes after the box's name.
LENGTHS = {b"mvhd": 16, b"tkhd": 20, b"mdhd": 16, b"mehd": 4}


def measured(store: MediaStore, s3: FakeS3, data: bytes) -> float:
    s3.store("media/clip", data)
    facts: Any = inspect_clip(store, Deadline(60), key="media/clip", stills_prefix="media/", stills=0)
    return float(facts["duration"])


def shortened(data: bytes) -> bytes:
    """Return the MP4 whose header declares a tenth of its length."""
    changed = bytearray(data)
    for name, offset in LENGTHS.items():
        at = data.find(name)
        while at >= 0:
            place = at + 4 + offset
            struct.pack_into(">I", changed, place, struct.unpack_from(">I", data, place)[0] // 10)
            at = data.find(name, at + 4)
    return bytes(changed)


def short_webm(data: bytes) -> bytes:
    """Return the WebM whose header declares a tenth of its length."""
    at = data.index(b"\x44\x89\x88") + 3  # the element Duration, a double in milliseconds
    changed = bytearray(data)
    struct.pack_into(">d", changed, at, struct.unpack_from(">d", data, at)[0] / 10)
    return bytes(changed)


def without_random_access(data: bytes) -> bytes:
    """Return the fragmented MP4 without the index of fragments at its end."""
    return data[: data.rindex(b"mfra") - 4]


def plain(**options: Any) -> bytes:
    return make_clip(seconds=SECONDS, rate=12, **options)


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize("options", [{}, INDEX_FIRST], ids=["index last", "index first"])
def test_a_header_that_lies(store: MediaStore, s3: FakeS3, container: str, options: dict[str, str]) -> None:
    honest = plain(container=container, options=options, sound="aac")
    lying = shortened(honest)
    assert (opened(lying).duration or 0) < 3_000_000
    assert measured(store, s3, lying) == pytest.approx(SECONDS)
    assert measured(store, s3, honest) == pytest.approx(SECONDS)


def test_the_index_is_enough(store: MediaStore, s3: FakeS3) -> None:
    """A long MP4 is not read through."""
    clips.spread_out(shortened(plain()), 1 << 30, s3.path("media/clip"))
    facts: Any = inspect_clip(store, Deadline(60), key="media/clip", stills_prefix="media/", stills=0)
    assert facts["duration"] == pytest.approx(SECONDS)
    assert s3.bytes_read < 4 * MIB


@pytest.mark.parametrize("movflags", [FRAGMENTED["movflags"], "frag_keyframe"], ids=["all", "after the first frames"])
def test_fragments_that_the_header_does_not_count(store: MediaStore, s3: FakeS3, movflags: str) -> None:
    data = shortened(without_random_access(plain(options={"movflags": movflags})))
    assert measured(store, s3, data) == pytest.approx(SECONDS, abs=0.1)


def test_a_webm_that_lies(store: MediaStore, s3: FakeS3) -> None:
    honest = plain(container="webm", codec="libvpx-vp9", sound="libopus")
    assert measured(store, s3, short_webm(honest)) == pytest.approx(SECONDS, abs=0.05)
    assert measured(store, s3, honest) == pytest.approx(SECONDS, abs=0.05)


def test_one_that_is_too_long_and_says_that_it_is_not(store: MediaStore, s3: FakeS3) -> None:
    data = make_clip(seconds=700, rate=1, size=(32, 32), shot=lambda _: Shot(99, 0.0))
    with pytest.raises(Refusal) as caught:
        measured(store, s3, shortened(data))
    assert caught.value.code == "too_long"


@pytest.mark.parametrize("skipped", [2, 3])
def test_what_an_edit_list_hides_does_not_count(store: MediaStore, s3: FakeS3, skipped: int) -> None:
    """A phone cuts a clip by an edit list. Players, and who decodes the clip, see the rest only."""
    assert measured(store, s3, cut(plain(), skipped)) == pytest.approx(SECONDS - skipped, abs=0.2)


def cut(data: bytes, seconds: int) -> bytes:
    """Return the MP4 with an edit list that skips the first seconds. The frames are still there."""
    file = io.BytesIO()
    with opened(data) as source, av.open(file, "w", format="mp4", options={"avoid_negative_ts": "disabled"}) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is None or packet.dts is None:
                continue
            shift = int(seconds / cast("Any", packet.time_base))
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            output.mux(packet)
    return file.getvalue()

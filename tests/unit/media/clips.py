"""Real clips, made with PyAV, and functions to look into one."""

from __future__ import annotations

import array
import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RATE = 24
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
INDEX_FIRST = {"moov_size": "30000"}


@dataclass(frozen=True)
class Shot:
    """The content of a frame: a grey or a colour, and noise over the top part of the height (0 to 1)."""

    grey: int = 120
    detail: float = 0.2
    colour: tuple[int, int] = (128, 128)


def counting(number: int) -> Shot:
    """Return a grey that encodes the frame's number, up to 54; see `number_of`."""
    return Shot(grey=16 + number * 4 % 220)


def number_of(frame: VideoFrame) -> int:
    return round((grey_of(frame) - 16) / 4)


def grey_of(frame: VideoFrame) -> int:
    """Return the grey near the lower right corner, 16 to 235 as in `Shot`."""
    return grey_at(frame, frame.width - 8, frame.height - 8)


def grey_at(frame: VideoFrame, x: int, y: int) -> int:
    # By way of RGB, since JPEG, WebP and video count greys differently.
    pixels = frame.reformat(format="rgb24").planes[0]
    return round(bytes(pixels)[y * pixels.line_size + 3 * x + 1] * 219 / 255 + 16)


def make_clip(
    *,
    container: str = "mp4",
    codec: str = "libx264",
    seconds: float = 2.0,
    rate: int = RATE,
    size: tuple[int, int] = (160, 96),
    sound: str | None = None,
    rotation: int = 0,
    gop: int = 12,
    b_frames: int = 2,
    crf: int = 23,
    x264: str = "",
    colour_matrix: int = 2,
    pixels: str = "yuv420p",
    sound_seconds: float | None = None,
    shot: Callable[[int], Shot] = counting,
    options: dict[str, str] | None = None,
    target: Any = None,
) -> bytes:
    """Return a clip of seconds * rate frames, or write it to `target` and return no bytes.

    `sound` is the name of an encoder and adds a tone. The tone is as long as the pictures unless `sound_seconds` is
    given.
    """
    file = target or io.BytesIO()
    noise = random.Random(1).randbytes(2 * size[0] * size[1])
    with av.open(file, "w", format=container, container_options=options or {}) as output:
        quick = {"preset": "ultrafast", "crf": str(crf)} if "x26" in codec else {}
        if x264:
            quick["x264-params"] = x264
        if "vpx" in codec:
            quick = {"deadline": "realtime", "cpu-used": "8"}
        video = cast("VideoStream", output.add_stream(codec, rate=rate, options=quick))
        video.width, video.height, video.pix_fmt = *size, pixels
        if codec == "libx264":
            video.codec_context.colorspace = colour_matrix
            video.codec_context.gop_size, video.codec_context.max_b_frames = gop, b_frames
        if rotation:
            video.set_display_rotation(rotation)
        audio = cast("AudioStream", output.add_stream(sound, rate=48000, layout="stereo")) if sound else None
        for number in range(round(seconds * rate)):
            output.mux(video.encode(_frame(size, shot(number), noise, number, rate, pixels)))
        output.mux(video.encode(None))
        if audio is not None:
            _add_tone(output, audio, round((sound_seconds or seconds) * 48000))
    return file.getvalue() if target is None else b""


@cache
def large_clip() -> bytes:
    """Return three seconds of noise with a tone: more bytes than the layer holds in memory at any time."""
    return make_clip(seconds=3, size=(640, 360), sound="aac", crf=1, gop=200, shot=lambda _: Shot(120, 1.0))


def make_sound(container: str = "mp4", encoder: str = "aac") -> bytes:
    """Return a file that has only sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        audio = cast("AudioStream", output.add_stream(encoder, rate=48000, layout="stereo"))
        _add_tone(output, audio, 48000)
    return file.getvalue()


def opened(data: bytes) -> InputContainer:
    return av.open(io.BytesIO(data), "r")


def frames(data: bytes) -> list[VideoFrame]:
    return list(opened(data).decode(video=0))


def times(data: bytes) -> list[float]:
    return [round(frame.time, 3) for frame in frames(data)]


def loudness(data: bytes, start: float, stop: float) -> float:
    """Return the mean amplitude from `start` to `stop` seconds, 0 to 1."""
    total, count = 0.0, 0
    for frame in opened(data).decode(audio=0):
        first = (frame.pts or 0) * float(Fraction(str(frame.time_base)))
        samples = array.array("f", bytes(frame.planes[0])[: frame.samples * 4])
        for number, sample in enumerate(samples):
            if start <= first + number / frame.sample_rate < stop:
                total, count = total + abs(sample), count + 1
    return total / count


def boxes(data: bytes) -> list[str]:
    """Return the names of the outermost boxes of an MP4, without the boxes that only reserve room."""
    names, at = [], 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        names.append(name.decode())
        at += size
    return [name for name in names if name != "free"]


def spread_out(data: bytes, gap: int, target: Path) -> None:
    """Write the MP4 as a sparse file with a hole of `gap` bytes in its media and the index at the end.

    Chunks after the hole get their new offset in the index.
    """
    media, index = data.index(b"mdat") - 4, data.rindex(b"moov") - 4
    assert media < index
    chunks = [offset for at in _tables(data, b"stco") for offset in _offsets(data, at)]
    split = sorted(chunks)[len(chunks) // 2]
    changed = bytearray(data)
    struct.pack_into(">I", changed, media, struct.unpack_from(">I", data, media)[0] + gap)
    for at in _tables(data, b"stco"):
        for number, offset in enumerate(_offsets(data, at)):
            struct.pack_into(">I", changed, at + 12 + 4 * number, offset + (gap if offset >= split else 0))
    with target.open("wb") as file:
        file.write(changed[:split])
        file.seek(split + gap)
        file.write(changed[split:])


def with_reference_to(data: bytes, path: str) -> bytes:
    """Return the MP4 with its pictures declared to be in another file, by a QuickTime alias with an absolute path."""
    name = path.encode() + b"\0" * (len(path) % 2)
    alias = bytes(150) + struct.pack(">HH", 2, len(name)) + name + struct.pack(">Hxx", 0xFFFF)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    start = data.index(b"dref") - 4
    old = struct.unpack_from(">I", data, start)[0]
    reference = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    changed = bytearray(data[:start] + reference + data[start + old :])
    for parent in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(parent, 0, start) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", data, at)[0] + len(reference) - old)
    return bytes(changed)


def _tables(data: bytes, name: bytes) -> list[int]:
    found, at = [], data.find(name)
    while at >= 0:
        found.append(at)
        at = data.find(name, at + 1)
    return found


def _offsets(data: bytes, at: int) -> list[int]:
    count = struct.unpack_from(">I", data, at + 8)[0]
    return list(struct.unpack_from(f">{count}I", data, at + 12))


def _frame(size: tuple[int, int], shot: Shot, noise: bytes, number: int, rate: int, pixels: str) -> VideoFrame:
    frame = av.VideoFrame(*size, pixels)
    luma, *chroma = frame.planes
    rows = bytearray(bytes([shot.grey]) * luma.buffer_size)
    # Another piece of the noise each time, else an encoder needs it only once.
    noise = noise[number * 1013 % (size[0] * size[1]) :]
    for row in range(int(size[1] * shot.detail)):
        rows[row * luma.line_size : row * luma.line_size + size[0]] = noise[row * size[0] : (row + 1) * size[0]]
    luma.update(bytes(rows))
    for plane, level in zip(chroma, shot.colour, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, rate)
    return frame


def _add_tone(output: OutputContainer, audio: AudioStream, samples: int) -> None:
    name = audio.codec_context.format.name
    for start in range(0, samples, 960):
        frame = av.AudioFrame(name, "stereo", min(960, samples - start))
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for plane in frame.planes:
            plane.update(_square_wave(plane.buffer_size, name))
        output.mux(audio.encode(frame))
    output.mux(audio.encode(None))


def _square_wave(size: int, name: str) -> bytes:
    high, low = (
        (struct.pack("f", 0.4), struct.pack("f", -0.4)) if name.startswith("flt") else (b"\x00\x30", b"\x00\xd0")
    )
    wave = high * 50 + low * 50
    return (wave * (size // len(wave) + 1))[:size]

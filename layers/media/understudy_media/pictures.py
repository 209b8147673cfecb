"""Turns a decoded frame into a picture file: upright, with square pixels, and not larger than requested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from av.codec.context import CodecContext
from av.filter.graph import Graph

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

MIME_TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# JPEG and (lossy) WebP are defined in BT.601 colours; JPEG uses the full range.
_COLOURS = {
    "jpg": ":out_color_matrix=bt601:out_range=full",
    "webp": ":out_color_matrix=bt601:out_range=limited",
    "png": "",
}
_FORMAT = {"jpg": "yuvj420p", "webp": "yuv420p", "png": "rgb24"}
_ENCODER = {"jpg": "mjpeg", "webp": "libwebp", "png": "png"}


@dataclass(frozen=True)
class Picture:
    """An encoded picture, with its size in pixels."""

    data: bytes
    width: int
    height: int


def within(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Return `size`, scaled down if a side is over `long_side`. Each side stays at least one pixel."""
    factor = min(Fraction(1), Fraction(long_side, max(size)))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def upright(rotation: int) -> str:
    """Return the filters that undo a display rotation of `rotation` degrees counter-clockwise.

    A comma follows each filter.
    """
    return {90: "transpose=cclock,", 180: "hflip,vflip,", 270: "transpose=clock,"}.get(rotation % 360, "")


class Chain:
    """A chain of FFmpeg filters ("scale=64:64,setsar=1") for frames of one size and format."""

    def __init__(self, frame: VideoFrame, steps: str) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        last = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        for step in steps.split(","):
            name, _, arguments = step.partition("=")
            node = self._graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        last.link_to(self._graph.add("buffersink"))
        self._graph.configure()
        self._pushed = 0

    def push(self, frame: VideoFrame | None) -> None:
        """Push the next frame into the chain, and None after the last frame. The time of the frame is lost."""
        if frame is not None:
            frame.pts = self._pushed
            self._pushed += 1
        self._graph.vpush(frame)

    def pull(self) -> VideoFrame:
        """Return the next frame from the chain."""
        return self._graph.vpull()


def scaled(frame: VideoFrame, size: tuple[int, int], form: str) -> VideoFrame:
    """Return `frame` upright in `size`, in the pixel format from which pictures of `form` are encoded."""
    steps = f"{upright(frame.rotation)}scale={size[0]}:{size[1]}{_COLOURS[form]},setsar=1,format={_FORMAT[form]}"
    chain = Chain(frame, steps)
    chain.push(frame)
    return chain.pull()


def tiled(frames: Sequence[VideoFrame], columns: int) -> VideoFrame:
    """Return `frames`, all of one size, in rows of `columns` as one frame. The rest of the last row is black."""
    rows = -(-len(frames) // columns)
    chain = Chain(frames[0], f"tile=layout={columns}x{rows}:nb_frames={len(frames)}")
    for frame in frames:
        chain.push(frame)
    chain.push(None)
    return chain.pull()


def encoded(frame: VideoFrame, form: str, quality: int = 3) -> Picture:
    """Return `frame` (from `scaled`) as a file. `quality` is JPEG's quantiser: 2 is best, 31 is worst."""
    encoder = cast("VideoCodecContext", CodecContext.create(_ENCODER[form], "w"))
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, _FORMAT[form]
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    if form == "jpg":
        encoder.qmin = encoder.qmax = quality
    elif form == "webp":
        encoder.options = {"quality": "80"}
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    return Picture(data, frame.width, frame.height)


def sharpness(frame: VideoFrame) -> int:
    """Return the bytes that a JPEG of the frame takes at a fixed size and quality: more for a picture with more detail.

    JPEG spends its bytes on fine contrast, and blur, motion and fades reduce fine contrast. FFmpeg computes this in C.
    A Laplacian would need NumPy, or a loop over pixels in Python.
    """
    width, height = within((frame.width, frame.height), 512)
    return len(encoded(frame.reformat(width=width, height=height, format="yuvj420p"), "jpg", quality=8).data)

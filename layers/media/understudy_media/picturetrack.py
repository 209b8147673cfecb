"""The frames of a joined video: packets copied as they are, or encoded anew."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import av.error

from understudy_media.clip import ticks
from understudy_media.pictures import Chain, upright
from understudy_media.refusal import damaged

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from understudy_media.clip import Clip

# The most frames a second that are encoded. Frames beyond that are dropped.
MOST_RATE = 60
_UNIT = Fraction(1, 90_000)
# FFmpeg's numbers for how colours are coded, and its scaler's names for the same.
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}


class PictureTrack(Protocol):
    """Takes packets of frames, clip after clip, and writes them."""

    def begin(self, clip: Clip, base: Fraction, start: Fraction, end: Fraction) -> None:
        """Start a clip that goes from `start` to `end` of the result. `base` is the clip's own time at `start`."""

    def take(self, packet: Packet[VideoStream]) -> bool:
        """Write what lies inside the clip's part of the result. Return False when that part is over."""

    def finish(self) -> None:
        """Write what was held back, after the last clip."""


class CopiedPictures:
    """Copies packets with new timestamps. Only for clips with equal parameters, cut at key frames.

    `most` is the number of packets for which the index has room.
    """

    def __init__(self, output: OutputContainer, first: Clip, most: int) -> None:
        self._output = output
        self._stream = output.add_stream_from_template(first.video)
        self._left = most
        self._last = Fraction(-(10**6))
        self._unit = _UNIT
        self._shift = self._first = self._stop = 0
        self._begun = False

    def begin(self, clip: Clip, base: Fraction, start: Fraction, end: Fraction) -> None:
        self._unit = ticks(clip.video)
        slack = Fraction(1, 2) / clip.rate
        self._shift = round(start / self._unit)
        self._first = round((base - slack) / self._unit)
        self._stop = round((base + end - start - slack) / self._unit)
        self._begun = False

    def take(self, packet: Packet[VideoStream]) -> bool:
        if packet.pts is None or packet.dts is None:
            return True
        if packet.is_keyframe and packet.pts >= self._stop:
            return False
        if not self._begun and packet.is_keyframe and packet.pts >= self._first:
            # A cut is exact to half a picture; the first one is shown from the very start.
            self._begun, self._shift, self._first = True, self._shift - packet.pts, packet.pts
        # Pictures that need one from before the cut cannot be shown.
        if not self._begun or packet.pts < self._first:
            return True
        self._left -= 1
        if self._left < 0:
            raise damaged()
        packet.dts += self._shift
        if packet.dts * self._unit <= self._last:
            # A clip longer than declared overlaps the next clip, and a muxer accepts rising times only.
            packet.dts = int(self._last / self._unit) + 1
        self._last = packet.dts * self._unit
        packet.pts = max(packet.pts + self._shift, packet.dts)
        packet.stream = self._stream
        self._output.mux(packet)
        return True

    def finish(self) -> None:
        """Do nothing, because no packet was held back."""


class EncodedPictures:
    """Decodes every frame, fits it into `size` (even numbers) and encodes H.264."""

    def __init__(self, output: OutputContainer, first: Clip, size: tuple[int, int]) -> None:
        self._output = output
        self._size = size
        rate = min(first.rate, Fraction(MOST_RATE))
        # Two threads: a Lambda of this size has one processor. The short lookahead keeps 4K inside the memory.
        options = {"preset": "veryfast", "crf": "20", "threads": "2", "rc-lookahead": "10"}
        self._stream = output.add_stream("libx264", rate=rate, options=options)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = *size, "yuv420p"
        context.time_base = _UNIT
        # A key picture every two seconds, so that players can jump and a later cut need not encode again.
        context.gop_size = max(1, round(2 * rate))
        source = first.video.codec_context
        # The first clip's colours, named as it names them; 2 is FFmpeg's "unspecified".
        self._matrix = _MATRICES.get(source.colorspace, "bt601")
        context.colorspace = source.colorspace if source.colorspace in _MATRICES else 2
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        context.color_range = 1
        self._clip = first
        self._chain: Chain | None = None
        self._shape: tuple[object, ...] = ()
        self._base = self._start = self._end = Fraction(0)
        self._last: int | None = None
        self._begun = False

    def begin(self, clip: Clip, base: Fraction, start: Fraction, end: Fraction) -> None:
        self._clip, self._base, self._start, self._end = clip, base, start, end
        self._chain, self._begun = None, False

    def take(self, packet: Packet[VideoStream]) -> bool:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            return True
        return [self._encode(frame) for frame in frames].count(False) == 0

    def finish(self) -> None:
        self._output.mux(self._stream.encode(None))

    def _encode(self, frame: VideoFrame) -> bool:
        if frame.pts is None or frame.is_corrupt:
            return True
        unit = ticks(self._clip.video)
        shown = 1 / self._clip.rate
        moment = frame.pts * unit - self._base
        if moment < -shown / 2:
            return True
        if self._start + moment >= self._end - shown / 4:
            return False
        # The first picture is shown from the very start.
        pts = round((self._start + (max(moment, Fraction(0)) if self._begun else 0)) / _UNIT)
        self._begun = True
        if self._last is not None and pts - self._last < Fraction(9, 10) / MOST_RATE / _UNIT:
            return True
        self._last = pts
        duration = frame.duration * unit if frame.duration else shown
        fitted = self._fit(frame)
        fitted.pts, fitted.time_base, fitted.duration = pts, _UNIT, round(duration / _UNIT)
        # The encoder must choose its own key frames, not the decoder's.
        fitted.pict_type = 0
        self._output.mux(self._stream.encode(fitted))
        return True

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        shape = (frame.width, frame.height, frame.format.name, frame.rotation)
        if self._chain is None or self._shape != shape:
            width, height = self._size
            shown = self._clip.display_size(frame)
            factor = min(Fraction(width, shown[0]), Fraction(height, shown[1]))
            inner = [min(most, max(2, round(side * factor))) for most, side in zip(self._size, shown, strict=True)]
            colours = f"out_color_matrix={self._matrix}:out_range=limited"
            steps = f"{upright(frame.rotation)}scale={inner[0]}:{inner[1]}:{colours},setsar=1,format=yuv420p"
            self._chain = Chain(frame, f"{steps},pad={width}:{height}:(ow-iw)/2:(oh-ih)/2")
            self._shape = shape
        self._chain.push(frame)
        return self._chain.pull()

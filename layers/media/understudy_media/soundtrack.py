"""The sound of a joined video: one AAC track without gaps, silent where a clip has no sound."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import av.error
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

RATE = 48_000
FORMAT = "fltp"
LAYOUT = "stereo"
_BIT_RATE = 192_000
# Samples in an AAC packet.
_PACKET_SAMPLES = 1024
# Timestamps in containers are rounded; smaller gaps and overlaps are not real.
_TOLERANCE = RATE // 100
_SILENCE_SAMPLES = RATE // 10
_UNIT = Fraction(1, RATE)


def most_packets(seconds: Iterable[Fraction]) -> int:
    """Return the most packets that clips of these lengths take, with those that the encoder adds before and after."""
    return int(sum(seconds, Fraction(0)) * RATE) // _PACKET_SAMPLES + 4


class Soundtrack:
    """Takes packets of sound, clip after clip, and writes them encoded.

    Sound is always encoded anew, even where frames are copied. A decoder drops what an AAC encoder puts before its
    first sample, so copied packets would leave a click or a gap at every joint. Encoding sound takes little time.
    """

    def __init__(self, output: OutputContainer) -> None:
        self._output = output
        self._stream = output.add_stream("aac", rate=RATE, layout=LAYOUT, bit_rate=_BIT_RATE)
        self._fifo = AudioFifo()
        self._resampler = AudioResampler(format=FORMAT, layout=LAYOUT, rate=RATE)
        self._shape: tuple[str, str, int] | None = None
        self._base = Fraction(0)
        self._start = self._end = self._taken = self._encoded = 0

    def begin(self, base: Fraction, start: Fraction, end: Fraction) -> None:
        """Start a clip that goes from `start` to `end` of the result. `base` is the clip's own time at `start`."""
        self._shape, self._resampler = None, AudioResampler(format=FORMAT, layout=LAYOUT, rate=RATE)
        self._base, self._start, self._end = base, round(start * RATE), round(end * RATE)

    def take(self, packet: Packet[AudioStream]) -> bool:
        """Add the packet's sound at its time, cut to the clip's part. Return False when that part is over."""
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            return True
        for frame in frames:
            self._hear(frame)
        return self._taken < self._end

    def follow(self, seconds: Fraction) -> None:
        """Fill up with silence to `seconds` after the clip's start, so that frames do not wait for sound."""
        self._silence(min(self._start + round(seconds * RATE), self._end) - self._taken)

    def end(self) -> None:
        """End the clip: add what the resampler still holds, then silence to the end of the clip's part."""
        for piece in self._resampler.resample(None):
            self._place(piece)
        self._silence(self._end - self._taken)

    def finish(self) -> None:
        """Encode the sound that is left, after the last clip."""
        rest = self._fifo.read(0, partial=True) if self._fifo.samples else None
        if rest is not None:
            self._encode(rest)
        self._output.mux(self._stream.encode(None))

    def _hear(self, frame: AudioFrame) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            # Some streams change from mono to stereo on the way.
            self._shape, self._resampler = shape, AudioResampler(format=FORMAT, layout=LAYOUT, rate=RATE)
        for piece in self._resampler.resample(frame):
            self._place(piece)

    def _place(self, piece: AudioFrame) -> None:
        gap = 0
        if piece.pts is not None and piece.time_base:
            unit = Fraction(piece.time_base.numerator, piece.time_base.denominator)
            gap = self._start + round((piece.pts * unit - self._base) * RATE) - self._taken
        if gap > _TOLERANCE:
            self._silence(min(gap, self._end - self._taken))
        skipped = -gap if gap < -_TOLERANCE else 0
        kept = min(piece.samples - skipped, self._end - self._taken)
        if kept > 0:
            self._append(_cut(piece, skipped, kept))

    def _silence(self, samples: int) -> None:
        while samples > 0:
            piece = AudioFrame(FORMAT, LAYOUT, min(samples, _SILENCE_SAMPLES))
            piece.sample_rate = RATE
            for plane in piece.planes:
                plane.update(bytes(plane.buffer_size))
            samples -= piece.samples
            self._append(piece)

    def _append(self, piece: AudioFrame) -> None:
        self._taken += piece.samples
        # The queue counts samples itself, and takes only pieces with equal properties.
        piece.pts, piece.time_base = None, _UNIT
        self._fifo.write(piece)
        for frame in self._fifo.read_many(_PACKET_SAMPLES):
            self._encode(frame)

    def _encode(self, frame: AudioFrame) -> None:
        frame.pts, frame.time_base = self._encoded, _UNIT
        self._encoded += frame.samples
        self._output.mux(self._stream.encode(frame))


def _cut(piece: AudioFrame, skipped: int, kept: int) -> AudioFrame:
    """Return `kept` samples of `piece` after the first `skipped`."""
    if not skipped and kept == piece.samples:
        return piece
    queue = AudioFifo()
    piece.pts = None
    queue.write(piece)
    if skipped:
        queue.read(skipped)
    cut = queue.read(kept)
    assert cut is not None
    return cut

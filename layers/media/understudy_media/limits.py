"""Limits on the work that one file may cause."""

from __future__ import annotations

import time
from collections.abc import Callable

from understudy_media.refusal import Refusal

MAX_SECONDS = 600
# DCI 4K with some room. A decoder holds up to 17 pictures of this size, 14 MB each at 8 bits, which fits the function.
MAX_PIXELS = 4096 * 2304
MAX_SIDE = 16_384  # of a picture that is made
# Ten minutes at 120 pictures a second.
MAX_PICTURES = 72_000
MAX_KEYS = 20
MAX_STILLS = 16

MIB = 1024 * 1024
# What may be fetched from S3 to look at one clip, and to rewrite one.
LOOK_BYTES = 512 * MIB
REWRITE_BYTES = 4096 * MIB

# Decoders that may run. Fewer decoders have fewer faults. A clip with any other codec is refused.
VIDEO_DECODERS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "mjpeg", "prores")
AUDIO_DECODERS = (
    *("aac", "mp3float", "mp3", "opus", "libopus", "vorbis", "alac", "ac3", "eac3", "flac"),
    *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_f32be", "pcm_u8"),
)


class Deadline:
    """A time on the monotonic clock, after which work stops with a Refusal."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Return the seconds that remain; negative after the deadline."""
        return self._end - self._clock()

    def check(self) -> None:
        """Raise Refusal `timed_out` if the deadline has passed."""
        if self.left() <= 0:
            raise Refusal("timed_out", "The video takes too long to process. Send a shorter or smaller video.")

    def share(self, part: float) -> Deadline:
        """Return a deadline at `part` (0 to 1) of the time that is left."""
        return Deadline(self.left() * part, self._clock)

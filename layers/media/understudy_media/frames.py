"""The decoded frames of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av.error

from understudy_media.clip import Clip, ticks
from understudy_media.limits import MAX_PICTURES, Deadline

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# To go forward more seconds than this without an index, a seek is tried instead of decoding on.
_BLIND_SEEK_SECONDS = 10


class Frames:
    """The frames of a clip, requested in rising order of time.

    Decoding goes on from the current position, or jumps to a nearer key frame if the index knows one. Damaged packets
    are skipped. After `most` decoded frames, or at `deadline`, no more frames are yielded. So a hostile file costs
    bounded work, and a good file with distant key frames still gives the frames that were found.
    """

    def __init__(self, clip: Clip, deadline: Deadline, most: int = MAX_PICTURES) -> None:
        self.decoded = 0
        self._clip = clip
        self._deadline = deadline
        self._most = most
        self._source = self._decode()
        self._position: float | None = None
        self._pending: tuple[float, VideoFrame] | None = None

    def between(self, start: float, end: float) -> Iterator[tuple[float, VideoFrame]]:
        """Yield the frames shown from `start` to `end`, each with its time; at least the first frame after `start`."""
        self._approach(start)
        found = False
        while True:
            item = self._pending or next(self._source, None)
            self._pending = None
            if item is None:
                return
            self._position = item[0]
            if item[0] >= end and found:
                self._pending = item
                return
            # Timestamps are rounded to the stream's unit.
            if item[0] >= start - 0.002:
                found = True
                yield item

    def _approach(self, start: float) -> None:
        if self._position is None:
            if start > 0:
                self._jump(start)
            return
        key = self._key_picture_before(start)
        target = start - _BLIND_SEEK_SECONDS if key is None else key
        if target > self._position:
            self._jump(start)

    def _key_picture_before(self, seconds: float) -> float | None:
        video = self._clip.video
        unit = ticks(video)
        entries = video.index_entries
        moment = int((self._clip.start + Fraction(seconds)) / unit)
        at = entries.search_timestamp(moment, backward=True) if len(entries) else -1
        return float(entries[at].timestamp * unit - self._clip.start) if at >= 0 else None

    def _jump(self, seconds: float) -> None:
        try:
            self._clip.seek(Fraction(seconds))
        except av.error.FFmpegError:
            return  # An index that leads nowhere: decode on.
        self._source = self._decode()
        self._pending = None

    def _decode(self) -> Iterator[tuple[float, VideoFrame]]:
        clip = self._clip
        unit = ticks(clip.video)
        for packet in clip.media.demux(clip.video):
            if self._deadline.left() <= 0:
                return
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                self.decoded += 1
                if self.decoded > self._most:
                    return
                if frame.pts is not None and not frame.is_corrupt:
                    yield float(frame.pts * unit - clip.start), frame

"""Chooses good frames of a clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy_media.pictures import sharpness

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from understudy_media.clip import Clip
    from understudy_media.frames import Frames

# Pictures compared with each other for one choice.
_CANDIDATES = 8
_EARLY_SECONDS = 1.5


@dataclass(frozen=True)
class Still:
    """A chosen frame, and the time at which it is shown, in seconds from the start of the clip."""

    seconds: float
    frame: VideoFrame


def early(clip: Clip, frames: Frames) -> Still | None:
    """Return the sharpest frame of the beginning, where the subject usually is; the first may be black or blurred."""
    return _sharpest(clip, frames, 0.0, min(_EARLY_SECONDS, float(clip.duration) / 4))


def spread(clip: Clip, frames: Frames, count: int) -> Iterable[Still]:
    """Yield `early`, then the sharpest frame around each of several evenly spaced times over the rest of the clip.

    At most `count` stills are yielded: fewer if the clip has fewer frames, or if decoding is too much work.
    """
    duration = float(clip.duration)
    shown = -1.0
    for number in range(count):
        around = min(0.5, duration / count / 4)
        moment = duration * number / count
        still = early(clip, frames) if number == 0 else _sharpest(clip, frames, moment - around, moment + around)
        if still is not None and still.seconds > shown:
            shown = still.seconds
            yield still


def _sharpest(clip: Clip, frames: Frames, start: float, end: float) -> Still | None:
    step = max(1, int((end - start) * float(clip.rate)) // _CANDIDATES)
    best: Still | None = None
    score = -1
    for number, (seconds, frame) in enumerate(frames.between(start, end)):
        if number % step == 0 and (found := sharpness(frame)) > score:
            best, score = Still(seconds, frame), found
    return best

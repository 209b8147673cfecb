"""Writes MP4 files (H.264 and AAC) of exactly the requested length, with little processor time."""

from __future__ import annotations

import array
import math
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
from PIL import Image

FPS = 12
_RATE = 48_000
_BLOCK = 1024  # samples in an AAC frame


class Mp4Writer:
    """A writer that appends pictures. The file appears at `path` only if no exception was raised.

    `tone` is the number of whole waves in a block of 1024 samples (9 is about 422 Hz), 0 for silence. With whole waves,
    every block of the sound has the same bytes.
    """

    def __init__(self, path: Path, width: int, height: int, fps: int = FPS, tone: int = 0) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._fps = fps
        self._count = 0
        self._tone = tone
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "faststart"})
        # Most frames repeat the frame before, so the fastest preset is enough. One thread keeps the bytes repeatable.
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26", "threads": "1"}
        self._video = self._container.add_stream("libx264", rate=fps, options=options)
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        self._audio = self._container.add_stream("aac", rate=_RATE, options={"aac_coder": "fast"}, layout="mono")

    def add(self, picture: Image.Image | av.VideoFrame, times: int = 1) -> None:
        """Append a picture, shown for `times` frames. A picture of another size is scaled."""
        if isinstance(picture, Image.Image):
            picture = cast(av.VideoFrame, cast(Any, av.VideoFrame).from_image(picture))  # untyped in PyAV
        frame = picture.reformat(width=self._video.width, height=self._video.height, format="yuv420p")
        frame.time_base = Fraction(1, self._fps)
        frame.pict_type = av.video.frame.PictureType.NONE  # a decoded frame has a type, which would force key frames
        for _ in range(times):
            frame.pts = self._count
            self._container.mux(self._video.encode(frame))
            self._count += 1

    def __enter__(self) -> Mp4Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._container.close()
            self._part.unlink(missing_ok=True)
            return
        self._container.mux(self._video.encode(None))
        self._add_sound(self._count * _RATE // self._fps)
        self._container.close()
        self._part.replace(self._path)

    def _add_sound(self, samples: int) -> None:
        wave = (0.04 * math.sin(2 * math.pi * self._tone * index / _BLOCK) for index in range(_BLOCK))
        block = array.array("f", wave).tobytes()
        for start in range(0, samples, _BLOCK):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=min(_BLOCK, samples - start))
            frame.sample_rate, frame.time_base, frame.pts = _RATE, Fraction(1, _RATE), start
            plane = frame.planes[0]
            plane.update(block[: frame.samples * 4].ljust(plane.buffer_size, b"\0"))
            self._container.mux(self._audio.encode(frame))
        self._container.mux(self._audio.encode(None))

"""An opened clip: the checks that it must pass, and the facts about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

import av
import av.error
from av.stream import Discard, Disposition

from understudy_media import limits
from understudy_media.limits import Deadline
from understudy_media.ranges import RangeReader
from understudy_media.refusal import Refusal, damaged
from understudy_media.sniff import HEAD_BYTES, Kind, sniff

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from understudy_media.storage import MediaStore

_AVIO_BYTES = 64 * 1024
# Titles in old encodings are no reason to refuse a clip. Later versions of PyAV are lenient by themselves.
_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"


@dataclass
class Clip:
    """One clip, open for reading. Times are in seconds from its first frame."""

    media: InputContainer
    kind: Kind
    size: int
    video: VideoStream
    audio: AudioStream | None
    start: Fraction
    duration: Fraction
    deadline: Deadline

    @property
    def rate(self) -> Fraction:
        """Frames a second as declared, but at least 0.1 and at most 240; 25 if the file does not say."""
        return _rate(self.video)

    @property
    def video_codec(self) -> str:
        return self.video.codec_context.codec.canonical_name

    @property
    def audio_codec(self) -> str | None:
        """None without sound, and "unknown" if FFmpeg has no name for the codec."""
        if self.audio is None:
            return None
        return getattr(getattr(self.audio.codec_context, "codec", None), "canonical_name", "unknown")

    def display_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return width and height of `frame` as a player shows it: square pixels, upright."""
        width = round(frame.width * _pixel_aspect(self.video))
        return (frame.height, width) if frame.rotation % 180 else (width, frame.height)

    def seek(self, seconds: Fraction) -> None:
        """Seek to the key frame at or before `seconds`."""
        self.media.seek(int((self.start + seconds) / ticks(self.video)), stream=self.video, backward=True)


@contextmanager
def open_clip(
    store: MediaStore, key: str, deadline: Deadline, budget: int, *, with_sound: bool = False, exact: bool = False
) -> Iterator[Clip]:
    """Open the clip under `key` for as long as the context lasts. Its sound is read only `with_sound`.

    With `exact`, the clip is measured by its packets, whatever its header and its index say.

    Raises Refusal, also in place of any error that FFmpeg raises about the clip inside the context. If a read from S3
    has failed, that first error is raised instead.
    """
    reader = store.open(key, budget=budget, deadline=deadline)
    try:
        kind = sniff(reader.read(HEAD_BYTES), reader.size)
        reader.seek(0)
        with _open_media(reader, kind) as media:
            yield _describe(media, kind, reader, deadline, with_sound, exact)
    except (av.error.FFmpegError, ArithmeticError) as error:
        # ArithmeticError: a timestamp is out of FFmpeg's range.
        raise reader.failure or damaged() from error
    if reader.failure is not None:
        raise reader.failure


def ticks(stream: Stream) -> Fraction:
    """Return the unit of the stream's timestamps, in seconds. Raises Refusal if the stream has none."""
    base = stream.time_base
    if not base:
        raise damaged()
    return Fraction(base.numerator, base.denominator)


def _open_media(reader: RangeReader, kind: Kind) -> InputContainer:
    media: InputContainer = av.open(
        reader,
        "r",
        format=kind.demuxer,
        **_LENIENT,
        buffer_size=_AVIO_BYTES,
        # FFmpeg sees this one file: an entry that names another (a data reference, a playlist) opens nothing.
        io_open=_refuse_other_files,
        # For the decoders that look into the first packets.
        options={"max_pixels": str(limits.MAX_PIXELS)},
        container_options={
            "protocol_whitelist": "none",
            "format_whitelist": _DEMUXERS,
            "codec_whitelist": ",".join((*limits.VIDEO_DECODERS, *limits.AUDIO_DECODERS)),
            "enable_drefs": "0",
            "use_absolute_path": "0",
            "max_streams": "32",
        },
    )
    return media


def _refuse_other_files(*_: object) -> NoReturn:
    raise Refusal("unreadable", "The video refers to other files. Export it as one self-contained file.")


def _describe(
    media: InputContainer, kind: Kind, reader: RangeReader, deadline: Deadline, with_sound: bool, exact: bool
) -> Clip:
    # A cover picture is a video stream too, of one picture.
    video = next((s for s in media.streams.video if not s.disposition & Disposition.attached_pic), None)
    if video is None:
        raise Refusal("no_video_stream", "The file has no video track. Send a video.")
    _check_codec(video, limits.VIDEO_DECODERS, "video", "H.264")
    context = video.codec_context
    if context.width * context.height * max(_pixel_aspect(video), Fraction(1)) > limits.MAX_PIXELS:
        size = f"{context.width}x{context.height}"
        raise Refusal("too_large", f"The video is {size}; the most is 4096x2304. Scale it down.")
    # Phones record a second sound, in a codec of their own, beside the common one.
    sounds = sorted(media.streams.audio, key=lambda stream: _decoder(stream) not in limits.AUDIO_DECODERS)
    audio = sounds[0] if sounds else None
    for stream in media.streams:
        # Streams that are not needed are not even read.
        if stream is not video and not (with_sound and stream is audio):
            stream.discard = Discard.all
    context.thread_count = 1
    context.options = {"max_pixels": str(limits.MAX_PIXELS)}
    if max(len(video.index_entries), video.frames) > limits.MAX_PICTURES:
        raise Refusal("too_large", f"The video has more than {limits.MAX_PICTURES} frames. Send a shorter video.")
    for stream in (video, *([audio] if audio is not None else [])):
        _check_index(stream, reader.size)
    start = (video.start_time or 0) * ticks(video)
    duration = _measure(media, kind, video, deadline, exact)
    if duration <= 0:
        raise damaged()
    if duration > limits.MAX_SECONDS:
        raise Refusal(
            "too_long", f"The video lasts {float(duration):.1f} s; the most is {limits.MAX_SECONDS} s. Cut it shorter."
        )
    return Clip(media, kind, reader.size, video, audio, start, duration, deadline)


def _rate(video: VideoStream) -> Fraction:
    rate = video.average_rate or video.guessed_rate
    return (
        min(max(Fraction(rate.numerator, rate.denominator), Fraction(1, 10)), Fraction(240)) if rate else Fraction(25)
    )


def _pixel_aspect(video: VideoStream) -> Fraction:
    """Return the width of a pixel over its height.

    A ratio outside 1/4 to 4 counts as 1: it is a mistake, or a way to make a small video huge.
    """
    ratio = video.sample_aspect_ratio
    aspect = Fraction(ratio.numerator, ratio.denominator) if ratio else Fraction(1)
    return aspect if Fraction(1, 4) <= aspect <= 4 else Fraction(1)


def _check_codec(stream: Stream, decoders: tuple[str, ...], what: str, instead: str) -> None:
    name = _decoder(stream)
    if name not in decoders:
        raise Refusal("unreadable", f"The {what} codec of the clip ({name}) cannot be read. Export it with {instead}.")


def _decoder(stream: Stream) -> str:
    # A stream in a codec that FFmpeg does not know has no context, whatever the type hints say.
    return getattr(stream.codec_context, "name", "unknown")


def check_audio(stream: AudioStream) -> None:
    """Raise Refusal if the codec of the sound is not one that is opened."""
    _check_codec(stream, limits.AUDIO_DECODERS, "audio", "AAC")


def _check_index(stream: Stream, size: int) -> None:
    """Raise Refusal if the index has too many entries, or points beyond the end of the file.

    The index of a file that was cut off points beyond its end. Without this check the file would be a shorter video.
    """
    entries = stream.index_entries
    # Audio packets are shorter than frames. With every supported codec, ten minutes need fewer packets than this.
    if len(entries) > 8 * limits.MAX_PICTURES:
        raise Refusal("too_large", "The video has too many audio packets. Export it with AAC audio.")
    if any(entry.pos + entry.size > size for entry in entries):
        raise damaged()


def _measure(media: InputContainer, kind: Kind, video: VideoStream, deadline: Deadline, exact: bool) -> Fraction:
    """Return the number of seconds that the frames last. Raises Refusal if there are none.

    The header can lie, and a WebM straight from a browser's recorder does not declare its length. So what the index
    lists counts, too. With `exact`, so does every packet that the index may not list. That may read the file, but
    decodes nothing.
    """
    unit = ticks(video)
    declared = video.duration * unit if video.duration else Fraction(media.duration or 0, av.time_base)
    # A WebM's index lists key frames only.
    listed = _listed(video) * unit if kind.demuxer == "mov" else Fraction(0)
    if max(declared, listed) and not exact:
        return max(declared, listed)
    if listed:
        with suppress(av.error.FFmpegError):  # then all packets are looked through
            media.seek(video.index_entries[-1].timestamp, stream=video, any_frame=True, backward=True)
    return max(declared, listed, _packets(media, video, deadline) * unit)


def _listed(video: VideoStream) -> int:
    """Return how long the frames last that the index lists, in ticks. Times in the index are those of decoding."""
    shown = [entry.timestamp for entry in video.index_entries if not entry.is_discard]
    if len(shown) < 2:
        return 0
    return shown[-1] - shown[0] + (shown[-1] - shown[-2])


def _packets(media: InputContainer, video: VideoStream, deadline: Deadline) -> int:
    """Return the ticks from the first frame to the end of the last one from here on. Raises Refusal if there are none.

    The first frame is that of the whole clip, if the file says when it is shown.
    """
    first, last = video.start_time, None
    try:
        for packet in media.demux(video):
            deadline.check()
            if packet.pts is None or packet.is_discard:
                continue
            end = packet.pts + (packet.duration or round(1 / _rate(video) / ticks(video)))
            first = packet.pts if first is None else min(first, packet.pts)
            last = end if last is None else max(last, end)
            if (last - first) * ticks(video) > limits.MAX_SECONDS:
                break
    except av.error.FFmpegError:
        pass  # nobody can read on from here
    if first is None or last is None:
        raise damaged()
    media.seek(0)
    return last - first

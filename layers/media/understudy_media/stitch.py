"""Joins clips, and cuts a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av

from understudy_media.clip import check_audio, open_clip, ticks
from understudy_media.frames import Frames
from understudy_media.limits import MAX_KEYS, MAX_PICTURES, MAX_SECONDS, REWRITE_BYTES, Deadline
from understudy_media.picturetrack import MOST_RATE, CopiedPictures, EncodedPictures, PictureTrack
from understudy_media.refusal import Refusal, damaged
from understudy_media.sniff import MOV, MP4
from understudy_media.soundtrack import Soundtrack, most_packets
from understudy_media.storage import media_key

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.stream import VideoStream

    from understudy_media.clip import Clip
    from understudy_media.storage import MediaStore

# Codecs that an MP4 may carry and players open.
_COPYABLE = ("h264", "hevc", "av1")
# Bytes of an MP4's index for one picture or packet of sound at most: its size 4, time 8, offset of display 8, chunk
# 8 + 12, key picture 4; and what the index takes besides.
_INDEX_BYTES = 48
_INDEX_REST = 8 * 1024


@dataclass(frozen=True)
class Part:
    """`length` seconds of the clip under `key` from `start` on, and what decides how to join them to others."""

    key: str
    start: Fraction
    length: Fraction
    pictures: int
    size: tuple[int, int]
    has_sound: bool
    traits: tuple[object, ...]
    copyable: bool


def concatenate(store: MediaStore, deadline: Deadline, *, keys: Sequence[str], output_key: str) -> dict[str, object]:
    """Write the clips one after the other as one MP4 under `output_key`. Return facts about it.

    Frames are copied if all clips have the same codec and parameters. Otherwise they are encoded as H.264 in the size
    of the first clip, into which the other clips are fitted. Sound is kept, with silence where a clip has none.
    """
    if not 1 <= len(keys) <= MAX_KEYS or output_key in keys:
        raise Refusal("invalid_request", f"'keys' must be 1 to {MAX_KEYS} clips, none of them the output.")
    media_key(output_key)
    parts = []
    for key in keys:
        with open_clip(store, key, deadline, REWRITE_BYTES) as clip:
            parts.append(_part(clip, key, Fraction(0), clip.duration))
    return _write(store, deadline, parts, output_key)


def trim(
    store: MediaStore, deadline: Deadline, *, key: str, output_key: str, start: float, seconds: float
) -> dict[str, object]:
    """Write `seconds` of the clip from `start`, or up to its end, as an MP4 under `output_key`. Return facts about it.

    Frames are copied if both cuts fall on key frames or on the end of the clip. Otherwise they are encoded as H.264.
    """
    if key == output_key:
        raise Refusal("invalid_request", "'output_key' must not be the clip itself.")
    media_key(output_key)
    with open_clip(store, key, deadline, REWRITE_BYTES) as clip:
        begin = Fraction(start).limit_denominator(90_000)
        frame = 1 / clip.rate
        if seconds <= 0 or begin > clip.duration - frame / 2:
            message = f"The start and the end must lie inside the clip, which lasts {float(clip.duration):.2f} seconds."
            raise Refusal("invalid_request", message)
        length = min(max(Fraction(seconds).limit_denominator(90_000), frame), clip.duration - begin)
        part = _part(clip, key, begin, length)
    return _write(store, deadline, [part], output_key)


def _part(clip: Clip, key: str, start: Fraction, length: Fraction) -> Part:
    first = next(Frames(clip, clip.deadline).between(float(start), float(start)), None)
    clip.deadline.check()
    if first is None:
        raise damaged()
    if clip.audio is not None:
        check_audio(clip.audio)
    frame = first[1]
    context = clip.video.codec_context
    size = clip.display_size(frame)
    # The extradata holds profile, level, colours and whatever else a decoder must know beforehand.
    traits = (clip.video_codec, frame.width, frame.height, context.extradata, frame.format.name, size, frame.rotation)
    copyable = (
        clip.kind in (MP4, MOV)
        and clip.video_codec in _COPYABLE
        and bool(context.extradata)
        # An edit list that hides pictures, as a phone's own trimming leaves it, would be lost.
        and not any(entry.is_discard for entry in clip.video.index_entries)
        and _cut_is_clean(clip, start)
        and _cut_is_clean(clip, start + length)
    )
    pictures = _count(clip) if copyable else 0
    return Part(key, start, length, pictures, size, clip.audio is not None, traits, copyable)


def _count(clip: Clip) -> int:
    """Return the number of frames in the clip. A fragmented MP4 does not declare it, so its packets are counted."""
    if clip.video.frames and clip.video.frames == len(clip.video.index_entries):
        return clip.video.frames
    clip.media.seek(0)
    pictures = 0
    for packet in clip.media.demux(clip.video):
        clip.deadline.check()
        pictures += packet.size > 0
    return pictures


def _cut_is_clean(clip: Clip, moment: Fraction) -> bool:
    """Return whether a key frame is shown at `moment` and no frame stored after it is shown before it."""
    slack = Fraction(1, 2) / clip.rate
    if moment <= 0 or moment >= clip.duration - slack:
        return True
    clip.seek(moment + slack / 2)
    unit = ticks(clip.video)
    key = None
    for count, packet in enumerate(clip.media.demux(clip.video)):
        if packet.pts is None:
            continue
        if key is None:
            key = packet.pts
            if abs(key * unit - clip.start - moment) >= slack:
                return False
        elif packet.pts < key:
            return False
        # H.264 and HEVC reorder over 16 pictures at most.
        if count > 16:
            break
    return key is not None


def _write(store: MediaStore, deadline: Deadline, parts: Sequence[Part], output_key: str) -> dict[str, object]:
    total = sum((part.length for part in parts), Fraction(0))
    if total > MAX_SECONDS:
        raise Refusal("too_long", f"The result would last {float(total):.1f} seconds; the most is {MAX_SECONDS}.")
    copied = all(part.copyable and part.traits == parts[0].traits for part in parts)
    # H.264 in its common form has an even number of pixels each way.
    size = parts[0].size if copied else (max(2, parts[0].size[0] & ~1), max(2, parts[0].size[1] & ~1))
    pictures = sum(part.pictures if copied else int(part.length * MOST_RATE * 10 / 9) + 2 for part in parts)
    if pictures > MAX_PICTURES:
        raise Refusal("too_large", f"The result would have more than {MAX_PICTURES} frames. Use shorter videos.")
    sounds = most_packets(part.length for part in parts) if any(part.has_sound for part in parts) else 0
    # Room for the index at the beginning of the file, so that players can start before they have the whole file. The
    # sink keeps the first part open for it: one pass, no file on disk, and no fragments, which not every player takes.
    room = _INDEX_REST + _INDEX_BYTES * (pictures + sounds)
    sink = store.sink(output_key, MP4.mime_type)
    try:
        output = av.open(sink, "w", format="mp4", container_options={"moov_size": str(room)})

        def tracks(first: Clip) -> tuple[PictureTrack, Soundtrack | None]:
            track = CopiedPictures(output, first, pictures) if copied else EncodedPictures(output, first, size)
            return track, Soundtrack(output) if sounds else None

        _join_all(store, deadline, parts, tracks)
        output.close()
        written = sink.finish()
    except BaseException:
        sink.abort()
        raise
    return {
        "key": output_key,
        "duration": round(float(total), 3),
        "bytes": written,
        "width": size[0],
        "height": size[1],
        "reencoded": not copied,
        "sound": bool(sounds),
    }


def _join_all(
    store: MediaStore,
    deadline: Deadline,
    parts: Sequence[Part],
    tracks: Callable[[Clip], tuple[PictureTrack, Soundtrack | None]],
) -> None:
    """Write the parts into the tracks, which are made to fit the first clip. Only one clip is open at a time."""
    pictures: PictureTrack | None = None
    sound: Soundtrack | None = None
    start = Fraction(0)
    for part in parts:
        with open_clip(store, part.key, deadline, REWRITE_BYTES, with_sound=True) as clip:
            if pictures is None:
                pictures, sound = tracks(clip)
            _join(clip, part, start, pictures, sound)
        start += part.length
    if pictures is not None:
        pictures.finish()
    if sound is not None:
        sound.finish()


def _join(clip: Clip, part: Part, start: Fraction, pictures: PictureTrack, sound: Soundtrack | None) -> None:
    base = clip.start + part.start
    unit = ticks(clip.video)
    pictures.begin(clip, base, start, start + part.length)
    if sound is not None:
        sound.begin(base, start, start + part.length)
    if part.start > 0:
        clip.seek(part.start)
    heard = sound is not None and clip.audio is not None
    more_pictures, more_sound = True, heard
    for packet in clip.media.demux([clip.video, clip.audio] if heard else clip.video):
        clip.deadline.check()
        if packet.stream is not clip.video:
            more_sound = more_sound and sound is not None and sound.take(cast("Packet[AudioStream]", packet))
        elif more_pictures:
            if sound is not None and not heard and packet.pts is not None:
                sound.follow(packet.pts * unit - base)
            more_pictures = pictures.take(cast("Packet[VideoStream]", packet))
        if not more_pictures and not more_sound:
            break
    if sound is not None:
        sound.end()

"""Facts about a clip, and stills from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy_media.clip import open_clip
from understudy_media.frames import Frames
from understudy_media.limits import LOOK_BYTES, Deadline
from understudy_media.pictures import encoded, scaled, within
from understudy_media.refusal import damaged
from understudy_media.stills import spread
from understudy_media.storage import media_key

if TYPE_CHECKING:
    from understudy_media.clip import Clip
    from understudy_media.pictures import Picture
    from understudy_media.storage import MediaStore

STILL_LONG_SIDE = 1920
# A still after 20 seconds of 30 pictures a second without a key picture is worth it; one after minutes is not.
_MOST_DECODED = 4000
# The share of the time left that decoding may take: the stills still have to be written.
_DECODING_SHARE = 0.8


def inspect_clip(
    store: MediaStore, deadline: Deadline, *, key: str, stills_prefix: str, stills: int
) -> dict[str, object]:
    """Return facts about the clip under `key`, and write stills from it.

    The stills are `{stills_prefix}still-{n}.jpg`, with n from 1 to `stills`. Fewer stills are written if the clip has
    no more frames. Width and height are as a player shows them. Raises Refusal; then nothing was written.
    """
    if stills:
        media_key(f"{stills_prefix}still-1.jpg")
    with open_clip(store, key, deadline, LOOK_BYTES, exact=True) as clip:
        frames = Frames(clip, deadline.share(_DECODING_SHARE), _MOST_DECODED)
        chosen: list[tuple[float, Picture]] = []
        size: tuple[int, int] | None = None
        # One frame is decoded even without stills, so that a clip that cannot be decoded is refused.
        for still in spread(clip, frames, max(1, stills)):
            size = size or clip.display_size(still.frame)
            small = within(clip.display_size(still.frame), STILL_LONG_SIDE)
            chosen.append((still.seconds, encoded(scaled(still.frame, small, "jpg"), "jpg")))
        if size is None:
            deadline.share(_DECODING_SHARE).check()
            raise damaged()
        facts = _facts(clip, size)
    written = []
    for number, (seconds, picture) in enumerate(chosen[:stills], start=1):
        name = f"{stills_prefix}still-{number}.jpg"
        store.put(name, picture.data, "image/jpeg")
        written.append(
            {
                "key": name,
                "width": picture.width,
                "height": picture.height,
                "seconds": round(seconds, 3),
                "bytes": len(picture.data),
            }
        )
    return {**facts, "stills": written}


def _facts(clip: Clip, size: tuple[int, int]) -> dict[str, object]:
    return {
        "container": clip.kind.name,
        "mime_type": clip.kind.mime_type,
        "bytes": clip.size,
        "duration": round(float(clip.duration), 3),
        "width": size[0],
        "height": size[1],
        "fps": round(float(clip.rate), 3),
        "video_codec": clip.video_codec,
        "audio_codec": clip.audio_codec,
    }

"""Preview pictures of a finished video."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from understudy_media.clip import open_clip
from understudy_media.frames import Frames
from understudy_media.limits import LOOK_BYTES, Deadline
from understudy_media.pictures import MIME_TYPES, encoded, scaled, tiled, within
from understudy_media.refusal import Refusal, damaged
from understudy_media.stills import early
from understudy_media.storage import media_key

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from understudy_media.clip import Clip
    from understudy_media.pictures import Picture
    from understudy_media.storage import MediaStore

THUMBNAIL_LONG_SIDE = 720
TILE_LONG_SIDE = 320
COLUMNS = 5
MOST_TILES = 25
_TAIL_SECONDS = 1.0


def previews(
    store: MediaStore, deadline: Deadline, *, key: str, thumbnail_key: str, spritesheet_key: str
) -> dict[str, object]:
    """Write a thumbnail and a sprite sheet of the clip.

    The thumbnail is a WebP of a good early frame. The sprite sheet is a JPEG of up to 25 frames spread over the clip, 5
    in a row. Returns facts about both, and the clip's duration in seconds, and its width and height as a player shows
    them.
    """
    media_key(thumbnail_key)
    media_key(spritesheet_key)
    with open_clip(store, key, deadline, LOOK_BYTES) as clip:
        best = early(clip, Frames(clip, deadline))
        if best is None:
            deadline.check()
            raise damaged()
        width, height = clip.display_size(best.frame)
        small = within((width, height), THUMBNAIL_LONG_SIDE)
        thumbnail = encoded(scaled(best.frame, small, "webp"), "webp")
        clip.media.seek(0)
        tiles = _tiles(clip, Frames(clip, deadline))
        deadline.check()
    sheet = encoded(tiled(tiles, COLUMNS), "jpg", quality=4)
    store.put(thumbnail_key, thumbnail.data, "image/webp")
    store.put(spritesheet_key, sheet.data, "image/jpeg")
    return {
        "thumbnail": _written(thumbnail_key, thumbnail),
        "spritesheet": {**_written(spritesheet_key, sheet), "columns": COLUMNS, "tiles": len(tiles)},
        "duration": round(float(clip.duration), 3),
        "width": width,
        "height": height,
    }


def last_frame(
    store: MediaStore, deadline: Deadline, *, key: str, output_key: str, size: tuple[int, int] | None = None
) -> dict[str, object]:
    """Write the last frame of the clip, in full size or in `size`.

    The ending of `output_key` chooses PNG, JPEG or WebP. Returns facts about the picture.
    """
    ending = output_key.rpartition(".")[2].lower()
    if ending not in MIME_TYPES:
        raise Refusal("invalid_request", "'output_key' must end in .png, .jpg or .webp.")
    form = "jpg" if ending == "jpeg" else ending
    media_key(output_key)
    with open_clip(store, key, deadline, LOOK_BYTES) as clip:
        seconds, frame = _last(clip, deadline)
        picture = encoded(scaled(frame, size or clip.display_size(frame), form), form, quality=2)
    store.put(output_key, picture.data, MIME_TYPES[ending])
    return {**_written(output_key, picture), "seconds": round(seconds, 3)}


def _tiles(clip: Clip, frames: Frames) -> list[VideoFrame]:
    duration = float(clip.duration)
    count = max(1, min(MOST_TILES, int(duration * float(clip.rate))))
    tiles: list[VideoFrame] = []
    shown = -1.0
    size = None
    for number in range(count):
        moment = duration * (number + 0.5) / count - 0.5 / float(clip.rate)
        item = next(frames.between(moment, moment), None)
        if item is not None and item[0] > shown:
            shown = item[0]
            size = size or within(clip.display_size(item[1]), TILE_LONG_SIDE)
            tiles.append(scaled(item[1], size, "jpg"))
    if not tiles:
        raise damaged()
    return tiles


def _last(clip: Clip, deadline: Deadline) -> tuple[float, VideoFrame]:
    for start in (max(0.0, float(clip.duration) - _TAIL_SECONDS), 0.0):
        tail = deque(Frames(clip, deadline).between(start, float("inf")), maxlen=1)
        deadline.check()
        if tail:
            return tail[0]
        clip.media.seek(0)
    raise damaged()


def _written(key: str, picture: Picture) -> dict[str, object]:
    return {"key": key, "width": picture.width, "height": picture.height, "bytes": len(picture.data)}

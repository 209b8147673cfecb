"""Inspects a clip and takes stills from it. The other functions invoke it; it opens media made by strangers.

Event: {"key": "media/...", "stills_prefix": "media/.../", "stills": 4}; 0 stills only probes and needs no prefix.
Answer: {"ok": true, "container": "mp4|mov|webm|mkv", "mime_type", "bytes", "duration" (s), "width", "height", "fps",
"video_codec", "audio_codec" or null, "stills": [{"key", "width", "height", "seconds", "bytes"}]},
or {"ok": false, "code", "message"} with a code of understudy_media.refusal.
"""

from __future__ import annotations

from typing import Any

from understudy_media import sealed
from understudy_media.events import text, whole
from understudy_media.inspect import inspect_clip
from understudy_media.limits import MAX_STILLS, Deadline
from understudy_media.storage import MediaStore


def handler(event: dict[str, Any], context: sealed.Context) -> dict[str, object]:
    def task(store: MediaStore, deadline: Deadline) -> dict[str, object]:
        stills = whole(event, "stills", MAX_STILLS)
        prefix = text(event, "stills_prefix") if stills else ""
        return inspect_clip(store, deadline, key=text(event, "key"), stills_prefix=prefix, stills=stills)

    return sealed.answer("inspect_clip", task, event, context)

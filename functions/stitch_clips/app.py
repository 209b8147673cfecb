"""Makes new media from finished clips. The other functions invoke it; it opens media made by strangers.

Events: {"task": "previews", "key", "thumbnail_key", "spritesheet_key"} |
{"task": "concatenate", "keys": [...], "output_key"} |
{"task": "last_frame", "key", "output_key"}, with "width" and "height" if it is to be scaled |
{"task": "trim", "key", "output_key", "start", "seconds"}.
Answers: {"ok": true, ...} with what was written, as the functions named below return it,
or {"ok": false, "code", "message"} with a code of understudy_media.refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from understudy_media import sealed
from understudy_media.events import number, size, text, texts
from understudy_media.limits import MAX_KEYS, Deadline
from understudy_media.previews import last_frame, previews
from understudy_media.refusal import Refusal
from understudy_media.stitch import concatenate, trim
from understudy_media.storage import MediaStore

Event = dict[str, Any]

TASKS: dict[str, Callable[[MediaStore, Deadline, Event], dict[str, object]]] = {
    "previews": lambda store, deadline, event: previews(
        store,
        deadline,
        key=text(event, "key"),
        thumbnail_key=text(event, "thumbnail_key"),
        spritesheet_key=text(event, "spritesheet_key"),
    ),
    "last_frame": lambda store, deadline, event: last_frame(
        store, deadline, key=text(event, "key"), output_key=text(event, "output_key"), size=size(event)
    ),
    "concatenate": lambda store, deadline, event: concatenate(
        store, deadline, keys=texts(event, "keys", MAX_KEYS), output_key=text(event, "output_key")
    ),
    "trim": lambda store, deadline, event: trim(
        store,
        deadline,
        key=text(event, "key"),
        output_key=text(event, "output_key"),
        start=number(event, "start"),
        seconds=number(event, "seconds"),
    ),
}


def handler(event: Event, context: sealed.Context) -> dict[str, object]:
    def task(store: MediaStore, deadline: Deadline) -> dict[str, object]:
        chosen = TASKS.get(text(event, "task"))
        if chosen is None:
            raise Refusal("invalid_request", f"'task' must be one of: {', '.join(TASKS)}.")
        return chosen(store, deadline, event)

    return sealed.answer("stitch_clips", task, event, context)

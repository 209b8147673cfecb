"""Damaged files: as many as fit into a few seconds, and the same files in every run."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.unit.media.clips import FRAGMENTED, make_clip
from tests.unit.media.fake_s3 import FakeS3
from understudy_media.inspect import inspect_clip
from understudy_media.limits import Deadline
from understudy_media.previews import last_frame, previews
from understudy_media.refusal import Refusal
from understudy_media.stitch import concatenate, trim
from understudy_media.storage import MediaStore

SOUND = make_clip(seconds=0.5, size=(64, 48), sound="aac")
SEEDS = [
    SOUND,
    make_clip(seconds=0.5, size=(64, 48), sound="aac", options=FRAGMENTED),
    make_clip(seconds=0.5, size=(64, 48), container="webm", codec="libvpx-vp9", sound="libopus"),
    make_clip(seconds=0.5, size=(64, 48), container="mov", sound="pcm_s16le", rotation=90),
]


def damage(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    kind = rng.randrange(4)
    if kind == 0:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 1:
        for _ in range(rng.randrange(1, 40)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif kind == 2:  # numbers in the index and in headers
        start = max(0, data.find(b"moov"))
        for _ in range(rng.randrange(1, 8)):
            changed[start + rng.randrange(min(2500, len(data) - start))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    else:
        at = rng.randrange(len(changed))
        changed[at:at] = rng.randbytes(rng.randrange(1, 200))
    return bytes(changed)


@pytest.mark.parametrize("task", ["inspect", "previews", "last_frame", "concatenate", "trim"])
def test_damaged_files_are_done_or_refused(s3: FakeS3, store: MediaStore, task: str) -> None:
    rng = random.Random(f"seed of {task}")
    good = s3.store("media/good", SOUND)
    outcomes = {"done": 0, "refused": 0}
    for _ in range(30):
        key = s3.store("media/bad", damage(rng.choice(SEEDS), rng))
        calls: dict[str, Any] = {
            "inspect": (inspect_clip, {"key": key, "stills_prefix": "media/s/", "stills": 3}),
            "previews": (previews, {"key": key, "thumbnail_key": "media/t", "spritesheet_key": "media/s"}),
            "last_frame": (last_frame, {"key": key, "output_key": "media/l.png"}),
            "concatenate": (concatenate, {"keys": [good, key], "output_key": "media/o.mp4"}),
            "trim": (trim, {"key": key, "output_key": "media/o.mp4", "start": 0.2, "seconds": 0.2}),
        }
        work, arguments = calls[task]
        try:
            work(store, Deadline(20), **arguments)
            outcomes["done"] += 1
        except Refusal as refusal:
            assert refusal.code in (
                *("not_a_video", "unreadable", "no_video_stream", "too_long", "too_large"),
                # The damaged clip turned out to be shorter than the cut's start.
                *(("invalid_request",) if task == "trim" else ()),
            )
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 5

"""A day of one API key that takes all it can: orders, storage, uploads and calls. What it could take is printed.

docs/keys.md and docs/uploads.md say what a key and a team may take. These are the same numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.fakes.stage import NAMES, Form, Reply, Stage
from tests.fakes.upstream import MP4, Upstream
from understudy.access import keys
from understudy.settings import settings
from understudy.store import clients, table

GIBIBYTE = 1024**3
RATE, SLOTS, BUDGET = 20, 2, 2_000_000  # a minute, at once, micro-dollars a month
CHARACTERS, UPLOADS, STORAGE = 5, 4, 12  # of the team; GiB
HOURS = 24
CLIP: Form = [("name", "Luna"), ("video", ("clip.mp4", MP4, "video/mp4"))]


@pytest.fixture
def limited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    for name, value in {"MAX_CHARACTERS": CHARACTERS, "MAX_UPLOADS": UPLOADS, "MAX_STORAGE": STORAGE}.items():
        monkeypatch.setenv(name, str(value))
    settings.cache_clear()
    stage.sign_in("blue", limits=keys.Limits(RATE, SLOTS, BUDGET))
    return stage


def stored(prefix: str) -> int:
    """Return the bytes under a prefix of the bucket, old versions included."""
    found = clients.s3().list_object_versions(Bucket=NAMES["bucket"], Prefix=prefix).get("Versions", [])
    return sum(one["Size"] for one in found)


def test_takes_what_the_pages_say_and_no_more(
    limited: Stage, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, taken, refused = limited, Counter[str](), Counter[Any]()
    most_running, most_in_a_minute = 0, 0

    def count(what: str, reply: Reply) -> bool:
        if reply.status == 200:
            taken[what] += 1
        else:
            refused[reply.status, reply.error["code"]] += 1
        return reply.status == 200

    for _ in range(HOURS):
        for _ in range(2):  # two minutes of each hour
            made = 0
            for n in range(3 * RATE):
                size = {"purpose": "video", "filename": "x.mp4", "bytes": 5 * GIBIBYTE, "mime_type": "video/mp4"}
                match n % 3:
                    case 0:
                        done = count("videos", stage.create(f"fox {n}", model="sora-2"))
                    case 1:
                        done = count("characters", stage.call("create_character", form=CLIP))
                    case _:
                        done = count("uploads", stage.call("create_upload", json_body=size))
                made += done and n % 3 < 2  # an upload counts with the calls that sign something
                running = sum(video["status"] in {"queued", "in_progress"} for video in upstream.videos.values())
                most_running = max(most_running, running)
            most_in_a_minute = max(most_in_a_minute, made)
            stage.clock.advance(60)
        upstream.finish()
        stage.run(1800)
        stage.clock.advance(1800 - 120)
        stage.sweep()
    month = stage.clock.strftime("%Y-%m", stage.clock.gmtime())
    spent = (table.get(table.budget_key(stage.caller.key_id, month)) or {}).get("spent", 0)
    announced = len(clients.s3().list_multipart_uploads(Bucket=NAMES["bucket"]).get("Uploads", [])) * 5 * GIBIBYTE
    with capsys.disabled():
        print(f"\na hostile day: took {dict(taken)}, spent ${spent / 1e6:.2f}, {most_running} at once, ", end="")
        print(f"{stored('media/characters/')} bytes of characters, {announced / GIBIBYTE:.0f} GiB of uploads announced")
        print(f"refused: {dict(refused)}")
    assert 0 < spent <= BUDGET
    assert most_running <= SLOTS
    assert most_in_a_minute <= RATE
    assert taken["characters"] == CHARACTERS
    assert announced <= STORAGE * GIBIBYTE
    codes = {"concurrency_limit", "insufficient_quota", "rate_limit_exceeded", "storage_limit"}
    assert set(refused) == {(429, code) for code in codes}

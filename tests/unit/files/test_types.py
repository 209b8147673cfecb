"""The types of media: the layer and the sealed functions name them, and everything that is stored has an extension."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.stage import Stage, load
from tests.fakes.upstream import MP4, Upstream
from tests.unit.background.test_ingest_upload import Bucket, create, key_of, status
from understudy.files import clips, sniff
from understudy.store import bucket
from understudy_media import sniff as sealed

KINDS = [kind for kind in vars(sealed).values() if isinstance(kind, sealed.Kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.mime_type))
def test_a_clip_has_a_type_that_can_be_stored(monkeypatch: pytest.MonkeyPatch, kind: sealed.Kind) -> None:
    facts = {"mime_type": kind.mime_type, "bytes": 1, "duration": 3.0, "width": 2, "height": 2, "stills": []}
    monkeypatch.setattr(clips, "_call", lambda *_: facts)
    found = clips.inspect("media/c", 0, stills_prefix="")
    assert found.mime_type in bucket.EXTENSIONS
    assert found.mime_type in sniff.VIDEO_TYPES.values()


def test_an_uploaded_matroska_file_is_extended(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Chrome records. The upload was accepted, and the extension of it stayed `queued` for ever."""
    known = clips._call

    def inspected(function: str, event: dict[str, Any], *rest: Any) -> dict[str, Any]:
        answer = known(function, event, *rest)
        return answer | {"mime_type": "video/x-matroska"} if "mime_type" in answer else answer

    monkeypatch.setattr(clips, "_call", inspected)
    monkeypatch.setattr(load("ingest_upload"), "time", stage.clock)
    arrived = Bucket(stage)
    upload = create(stage, purpose="video", name=None)
    assert arrived.deliver(arrived.land(key_of(upload), MP4))
    assert status(stage, upload)["status"] == "completed"
    upstream.instant = True
    reply = stage.call(
        "extend_video",
        json_body={"model": "wan", "prompt": "on", "seconds": "4", "video": {"upload_id": upload.body["id"]}},
    )
    assert reply.status == 200, reply
    stage.run()
    assert stage.show(reply.body["id"])["status"] == "completed"

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.unit.media.fake_s3 import FakeS3, client_error
from understudy_media.limits import MIB, Deadline
from understudy_media.refusal import Refusal
from understudy_media.storage import MediaStore, media_key, storage_refusal

OUTSIDE = [
    "",
    "clip.mp4",
    "/media/clip",
    "media",
    "media/",
    "mediax/clip",
    "Media/clip",
    "uploads/clip",
    "media/../uploads/clip",
    "media/./clip",
    "media//clip",
    "media/clip\n",
    "media/" + "x" * 1024,
    "s3://bucket/media/clip",
    "http://127.0.0.1/media/clip",
]


@pytest.mark.parametrize("key", ["media/characters/team/id/clip", "media/a", "media/videos/t/ü x/video.mp4"])
def test_keys_under_media(key: str) -> None:
    assert media_key(key) == key


@pytest.mark.parametrize("key", OUTSIDE)
def test_other_keys_are_refused_before_any_call(s3: FakeS3, store: MediaStore, key: str, deadline: Deadline) -> None:
    for call in (
        lambda: store.open(key, budget=MIB, deadline=deadline),
        lambda: store.put(key, b"", "image/png"),
        lambda: store.sink(key, "video/mp4"),
    ):
        with pytest.raises(Refusal) as caught:
            call()
        assert caught.value.code == "invalid_request"
    assert not s3.ranges
    assert not s3.keys()


def test_an_empty_object_is_not_a_video(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", b"")
    with pytest.raises(Refusal) as caught:
        store.open("media/a", budget=MIB, deadline=deadline)
    assert caught.value.code == "not_a_video"


def test_an_object_that_is_replaced_while_being_read(s3: FakeS3, store: MediaStore, deadline: Deadline) -> None:
    s3.store("media/a", bytes(2 * MIB))
    reader = store.open("media/a", budget=10 * MIB, deadline=deadline)
    s3.store("media/a", b"x" * 2 * MIB)
    os.utime(s3.path("media/a"), ns=(1, 1))
    reader.seek(MIB)
    with pytest.raises(ClientError, match="PreconditionFailed") as caught:
        reader.read(1)
    assert storage_refusal(caught.value).code == "storage_error"


class Breaking(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise ReadTimeoutError(endpoint_url="")


@pytest.mark.parametrize(("breaks", "works"), [(2, True), (3, False)])
def test_a_body_that_breaks_off_is_fetched_again(
    s3: FakeS3, store: MediaStore, deadline: Deadline, monkeypatch: pytest.MonkeyPatch, breaks: int, works: bool
) -> None:
    s3.store("media/a", b"x" * 2 * MIB)
    reader = store.open("media/a", budget=10 * MIB, deadline=deadline)
    whole, left = s3.get_object, [breaks]

    def breaking(**arguments: Any) -> dict[str, Any]:
        left[0] -= 1
        answer = whole(**arguments)
        return {**answer, "Body": Breaking()} if left[0] >= 0 else answer

    monkeypatch.setattr(s3, "get_object", breaking)
    reader.seek(MIB)
    if works:
        assert reader.read(5) == b"xxxxx"
    else:
        with pytest.raises(ReadTimeoutError):
            reader.read(5)


def test_a_short_answer_is_not_taken_for_the_end(
    s3: FakeS3, store: MediaStore, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.store("media/a", bytes(2 * MIB))
    reader = store.open("media/a", budget=10 * MIB, deadline=deadline)
    monkeypatch.setattr(s3, "get_object", lambda **_: {"Body": io.BytesIO(b"short")})
    reader.seek(MIB)
    with pytest.raises(Refusal) as caught:
        reader.read(5)
    assert caught.value.code == "storage_error"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("NoSuchKey", "not_found"),
        ("AccessDenied", "not_found"),
        ("SlowDown", "storage_error"),
        ("500", "storage_error"),
    ],
)
def test_what_errors_of_s3_mean(code: str, expected: str) -> None:
    assert storage_refusal(client_error(code)).code == expected

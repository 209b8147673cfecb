from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from tests.unit.media.fake_s3 import BUCKET, FakeS3
from understudy_media import sink as sink_module
from understudy_media import storage
from understudy_media.limits import MIB
from understudy_media.refusal import Refusal
from understudy_media.sink import PART_BYTES
from understudy_media.storage import MediaStore


def test_a_small_object_is_put_at_once(s3: FakeS3, store: MediaStore) -> None:
    sink = store.sink("media/o", "video/mp4")
    sink.write(b"....world")
    sink.seek(0)
    sink.write(b"hey ")
    assert sink.finish() == 9
    assert s3.read("media/o") == b"hey world"
    assert s3.content_type("media/o") == "video/mp4"
    assert not s3.part_sizes


@pytest.mark.parametrize("size", [PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 5 * PART_BYTES + 12345])
def test_a_large_object_goes_in_parts_and_its_beginning_can_change(s3: FakeS3, store: MediaStore, size: int) -> None:
    data = bytearray(random.Random(5).randbytes(size))
    sink = store.sink("media/o", "video/mp4")
    for start in range(0, size, 70_001):
        sink.write(bytes(data[start : start + 70_001]))
    data[100:200] = b"x" * 100
    sink.seek(100)
    sink.write(b"x" * 100)
    sink.seek(0, 2)
    assert sink.tell() == size
    assert sink.finish() == size
    assert s3.read("media/o") == data
    assert s3.content_type("media/o") == "video/mp4"
    assert sink.peak_bytes <= 2 * PART_BYTES + 70_001


def test_room_that_is_jumped_over_is_zero(s3: FakeS3, store: MediaStore) -> None:
    sink = store.sink("media/o", "video/mp4")
    sink.write(b"ab")
    sink.seek(5)
    sink.write(b"c")
    sink.finish()
    assert s3.read("media/o") == b"ab\0\0\0c"


def test_nothing_is_visible_before_the_end(s3: FakeS3, store: MediaStore) -> None:
    sink = store.sink("media/o", "video/mp4")
    sink.write(bytes(3 * PART_BYTES))
    assert s3.part_sizes
    assert not s3.keys()


def test_only_the_beginning_can_change(store: MediaStore) -> None:
    sink = store.sink("media/o", "video/mp4")
    sink.write(bytes(3 * PART_BYTES))
    sink.seek(2 * PART_BYTES)
    with pytest.raises(OSError, match="first part"):
        sink.write(b"x")


@pytest.mark.parametrize("refused", [False, True])
def test_abort_gives_the_parts_back(s3: FakeS3, store: MediaStore, refused: bool) -> None:
    s3.refuse_abort = refused
    sink = store.sink("media/o", "video/mp4")
    sink.write(bytes(3 * PART_BYTES))
    sink.abort()
    assert s3.aborted == ["upload-1"]
    sent = dict(s3.part_sizes)
    assert sink.write(bytes(2 * PART_BYTES)) == 2 * PART_BYTES
    assert s3.part_sizes == sent
    assert not s3.keys()


class Raw(io.BytesIO):
    """The body of a response, as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def test_the_three_calls_of_an_upload_agree_that_there_are_no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 may refuse a part with a checksum whose upload was begun without one. The signature holds the part's hash."""
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        body = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        return AWSResponse(request.url, 200, {"ETag": '"e"'}, Raw(body if "?uploads" in request.url else b"<Result/>"))

    for name, value in {"DEFAULT_REGION": "eu-west-1", "ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = storage.s3_client.__wrapped__()
    client.meta.events.register_first("before-send", answer)
    sink = MediaStore(client, BUCKET).sink("media/o", "video/mp4")
    sink.write(bytes(PART_BYTES) + b"the rest")
    sink.finish()
    assert [request.method for request in sent] == ["POST", "PUT", "PUT", "POST"]
    headers = [{name.lower(): value for name, value in request.headers.items()} for request in sent]
    assert not [name for one in headers for name in one if "checksum" in name or "trailer" in name]
    hashes = [one["x-amz-content-sha256"].decode() for one in headers[1:3]]
    assert hashes == [hashlib.sha256(part).hexdigest() for part in (b"the rest", bytes(PART_BYTES))]


def test_a_result_without_end_is_refused(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "REWRITE_BYTES", 10 * MIB)
    sink = store.sink("media/o", "video/mp4")
    with pytest.raises(Refusal) as caught:
        for _ in range(20):
            sink.write(bytes(MIB))
    assert caught.value.code == "too_large"

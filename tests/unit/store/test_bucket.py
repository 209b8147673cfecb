from __future__ import annotations

import contextlib
import io
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from boto3.s3 import transfer
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from tests.fakes.edges import Edges
from understudy.errors import Reason, Refused
from understudy.files.media import media_at
from understudy.store import bucket, clients

pytestmark = pytest.mark.usefixtures("aws_stack")


def stored(key: str) -> bytes:
    return clients.s3().get_object(Bucket="bucket", Key=key)["Body"].read()


class TestPut:
    def test_bytes_and_views(self) -> None:
        bucket.put("media/a", b"bytes", "video/mp4")
        bucket.put("media/b", memoryview(b"some bytes")[5:], "image/png")
        assert (stored("media/a"), stored("media/b")) == (b"bytes", b"bytes")
        assert clients.s3().head_object(Bucket="bucket", Key="media/b")["ContentType"] == "image/png"
        assert bucket.size("media/a") == 5
        assert bucket.exists("media/a")
        assert not bucket.exists("media/c")


class TestSave:
    @pytest.mark.parametrize("sizes", [[], [0], [1], [5, 0, 3], [bucket.CHUNK], [bucket.CHUNK - 1, 2], [1] * 100])
    def test_a_stream_of_pieces(self, sizes: list[int]) -> None:
        pieces = [bytes([n % 251]) * size for n, size in enumerate(sizes)]
        assert bucket.save("media/a", iter(pieces), "video/mp4") == sum(sizes)
        assert stored("media/a") == b"".join(pieces)
        assert clients.s3().head_object(Bucket="bucket", Key="media/a")["ContentType"] == "video/mp4"

    def test_a_large_one_goes_in_parts(self, edges: Edges) -> None:
        edges.touched.clear()
        piece = b"x" * (1024 * 1024 + 1)
        assert bucket.save("media/a", (piece for _ in range(17)), "video/mp4") == 17 * len(piece)
        assert edges.touched.count("UploadPart") == 3
        assert bucket.size("media/a") == 17 * len(piece)

    def test_a_stream_that_breaks_leaves_nothing(self) -> None:
        def breaking() -> Iterator[bytes]:
            yield b"x" * (bucket.CHUNK + 1)
            raise Refused(Reason.UNAVAILABLE, "broken")

        with pytest.raises(Refused):
            bucket.save("media/a", breaking(), "video/mp4")
        assert not bucket.exists("media/a")
        assert clients.s3().list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []

    def test_memory_does_not_grow_with_the_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        @contextlib.contextmanager
        def sink(*_: object) -> Iterator[Any]:
            """Replace boto3's transfer by one that only reads."""
            yield SimpleNamespace(upload=read)

        def read(file: io.BytesIO, *_: object, **how: object) -> Future[None]:
            while file.read(bucket.CHUNK):
                pass
            done: Future[None] = Future()
            done.set_result(None)
            return done

        monkeypatch.setattr(transfer, "create_transfer_manager", sink)
        tracemalloc.start()
        assert bucket.save("media/a", (bytes(1024 * 1024) for _ in range(200)), "video/mp4") == 200 * 1024 * 1024
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * bucket.CHUNK


class TestCopy:
    def test_bytes_and_type(self) -> None:
        bucket.put("uploads/a", b"bytes", "application/octet-stream")
        bucket.copy("uploads/a", "media/a")
        bucket.copy("uploads/a", "media/b", mime_type="video/mp4")
        types = [clients.s3().head_object(Bucket="bucket", Key=key)["ContentType"] for key in ("media/a", "media/b")]
        assert types == ["application/octet-stream", "video/mp4"]
        assert stored("media/b") == b"bytes"

    def test_a_key_with_odd_characters(self) -> None:
        bucket.put("drop/Luna Böse +1?.mp4", b"bytes", "video/mp4")
        bucket.copy("drop/Luna Böse +1?.mp4", "media/a")
        assert stored("media/a") == b"bytes"


class TestHead:
    def test_the_first_bytes(self) -> None:
        bucket.put("media/a", b"0123456789", "video/mp4")
        assert bucket.head("media/a", None, 4) == b"0123"
        assert bucket.head("media/a", None) == b"0123456789"

    def test_nothing(self) -> None:
        bucket.put("media/empty", b"", "video/mp4")
        assert bucket.head("media/none", None) is None
        assert not bucket.head("media/empty", None)

    def test_s3_denies_what_is_absent_to_a_role_that_may_not_list(self) -> None:
        with Stubber(clients.s3()) as s3:
            s3.add_client_error("get_object", "AccessDenied", http_status_code=403)
            s3.add_client_error("head_object", "403", http_status_code=403)
            assert bucket.head("drop/a", "v") is None
            assert not bucket.exists("media/a")

    def test_a_write_that_is_denied_is_an_error(self) -> None:
        with Stubber(clients.s3()) as s3:
            s3.add_client_error("put_object", "AccessDenied", http_status_code=403)
            s3.add_client_error("copy_object", "AccessDenied", http_status_code=403)
            with pytest.raises(ClientError):
                bucket.put("media/a", b"x", "video/mp4")
            with pytest.raises(ClientError):
                bucket.copy("media/a", "media/b")

    def test_a_store_that_fails_is_not_an_absent_object(self) -> None:
        with Stubber(clients.s3()) as s3:
            s3.add_client_error("get_object", "InternalError", http_status_code=500)
            with pytest.raises(ClientError):
                bucket.head("drop/a", None)


class TestDelete:
    def test_only_what_stands_under_the_prefix(self) -> None:
        for n in range(3):
            bucket.put(f"media/videos/blue/1/{n}", b"x", "video/mp4")
        bucket.put("media/videos/blue/10/0", b"x", "video/mp4")
        bucket.delete_all(bucket.video_prefix("blue", "1"))
        left = [one["Key"] for one in clients.s3().list_objects_v2(Bucket="bucket")["Contents"]]
        assert left == ["media/videos/blue/10/0"]
        bucket.delete_all(bucket.video_prefix("blue", "1"))


class TestPresign:
    def test_a_get_of_one_object_for_an_hour(self) -> None:
        url = urlsplit(bucket.presign("media/videos/blue/1/video.mp4"))
        query = parse_qs(url.query)
        assert url.path == "/media/videos/blue/1/video.mp4"
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == [str(bucket.URL_SECONDS)]
        assert query["X-Amz-SignedHeaders"] == ["host"]  # so that Range may be sent

    def test_a_file_name(self) -> None:
        assert "response-content-disposition=inline" in bucket.presign("media/a", filename="fox.mp4")


class TestMedia:
    """An object as a seekable file that is fetched while it is read."""

    DATA = bytes(range(256)) * 10

    @pytest.fixture
    def file(self, edges: Edges) -> io.BufferedReader:
        bucket.put("media/a", self.DATA, "video/mp4")
        edges.touched.clear()
        opened = media_at("media/a", filename="a.mp4", mime_type="video/mp4", byte_count=len(self.DATA)).open()
        assert isinstance(opened, io.BufferedReader)
        return opened

    def test_it_is_fetched_once_although_its_size_is_looked_up_before(
        self, file: io.BufferedReader, edges: Edges
    ) -> None:
        assert file.seek(0, io.SEEK_END) == len(self.DATA)
        assert file.seek(0) == 0
        assert file.read() == self.DATA
        assert edges.touched == ["GetObject"]

    def test_one_that_is_gone_is_refused_before_anything_is_sent(self, aws_stack: None) -> None:
        absent = media_at("media/b", filename="b.mp4", mime_type="video/mp4", byte_count=1)
        with pytest.raises(Refused, match="no longer exists"):
            absent.open()

    def test_it_is_read_in_one_get(self, file: io.BufferedReader, edges: Edges) -> None:
        assert b"".join(iter(lambda: file.read(100), b"")) == self.DATA
        assert edges.touched == ["GetObject"]

    def test_it_can_be_read_again(self, file: io.BufferedReader) -> None:
        assert file.read() == self.DATA
        file.seek(0)
        assert file.read() == self.DATA

    def test_and_from_anywhere(self, file: io.BufferedReader) -> None:
        for at in (2000, 5, 0, 2559, 2560, 100):
            file.seek(at)
            assert file.tell() == at
            assert file.read(7) == self.DATA[at : at + 7]

    def test_past_its_end_there_is_nothing(self, file: io.BufferedReader) -> None:
        file.seek(5000)
        assert file.read() == b""

    def test_closing_it_twice_is_fine(self, file: io.BufferedReader) -> None:
        file.read(10)
        file.close()
        file.close()
        assert file.closed

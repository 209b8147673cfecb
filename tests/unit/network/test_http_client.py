"""The HTTP client, against servers made of bare sockets.

The tests check what a failure means for money, and which addresses the client must not connect to.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

import httpcore
import httpx
import pytest

from understudy.errors import OutcomeUnknown, OutOfTime, Reason, Refused
from understudy.network import addresses, http_client, unpacking
from understudy.network.http_client import Client
from understudy.providers.http import Part
from understudy.settings import settings

OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"id": "v"}'
SHORT = 0.3  # seconds; only servers that never answer make a test wait for it
LONG = 20.0


class Server:
    """A server on a local address that calls `answer` for each connection and keeps the requests."""

    def __init__(self, answer: Callable[[socket.socket, Server], None], host: str = "127.0.0.1") -> None:
        self.received: list[bytes] = []
        self._answer = answer
        self._listening = socket.create_server((host, 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.received.append(b"")
            with connection, suppress(OSError):
                self._answer(connection, self)

    def read_request(self, connection: socket.socket) -> bytes:
        """Read the whole request by its Content-Length and return it."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.received[-1] = head + b"\r\n\r\n" + body
        return self.received[-1]

    def close(self) -> None:
        self._listening.close()


Serving = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serving]:
    servers: list[Server] = []

    def serve(answer: Callable[[socket.socket, Server], None], host: str = "127.0.0.1") -> Server:
        servers.append(Server(answer, host))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("ALLOW_PRIVATE_NETWORKS", raising=False)
    kept = (settings, http_client._http)
    for one in kept:
        one.cache_clear()
    yield
    for one in kept:
        one.cache_clear()


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow providers on private addresses such as 127.0.0.1, as the local stack does."""
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORKS", "1")
    settings.cache_clear()


def client(seconds: float = LONG) -> Client:
    return Client(time.monotonic() + seconds)


def answering(data: bytes) -> Callable[[socket.socket, Server], None]:
    def answer(connection: socket.socket, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(data)

    return answer


def reset(connection: socket.socket) -> None:
    """Close with a RST instead of a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silent(connection: socket.socket, server: Server) -> None:
    server.read_request(connection)
    connection.recv(1)  # until the client gives up


@pytest.mark.usefixtures("private")
class TestVerdict:
    """If nothing was sent, another deployment may be asked; if something was sent, nothing is sent again."""

    def test_an_answer(self, serve: Serving) -> None:
        server = serve(answering(OK))
        answer = client().post(f"{server.url}/videos", {"authorization": "Bearer k"}, json={"prompt": "é"})
        assert (answer.status, answer.json()) == (200, {"id": "v"})
        head, _, body = server.received[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /videos HTTP/1.1\r\n")
        assert b"authorization: Bearer k" in head.replace(b"Authorization", b"authorization")
        assert json.loads(body) == {"prompt": "é"}

    def test_a_port_where_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(Refused) as caught:
            client().post(f"http://127.0.0.1:{port}/videos", {}, json={})
        assert caught.value.reason is Reason.UNAVAILABLE

    def test_a_name_that_does_not_exist(self) -> None:
        with pytest.raises(Refused) as caught:
            client().post("http://nowhere.invalid/videos", {}, json={})
        assert caught.value.reason is Reason.UNAVAILABLE

    @pytest.mark.parametrize("method", ["post", "post_free", "get", "delete"])
    def test_no_time_left(self, serve: Serving, method: str) -> None:
        server = serve(answering(OK))
        with pytest.raises(OutOfTime):
            getattr(client(-1), method)(f"{server.url}/videos", {})
        with pytest.raises(OutOfTime), client(-1).stream(f"{server.url}/videos", {}):
            pass
        assert server.received == []

    @pytest.mark.parametrize(("seconds", "kind"), [(SHORT, OutOfTime), (LONG, Refused)])
    @pytest.mark.parametrize("error", [httpx.ConnectTimeout, httpx.PoolTimeout])
    def test_a_connection_of_the_last_moment(
        self, monkeypatch: pytest.MonkeyPatch, seconds: float, kind: type[Refused], error: type[httpx.HTTPError]
    ) -> None:
        """A server that had less than CONNECT_SECONDS is not blamed for a connection that was not made."""
        _failing(monkeypatch, error)
        with pytest.raises(Refused) as caught:
            client(seconds).post("https://a.example/", {}, json={})
        assert type(caught.value) is kind
        assert caught.value.reason is Reason.UNAVAILABLE

    @pytest.mark.parametrize("method", ["get", "post_free", "delete"])
    def test_a_free_request_of_the_last_moment(self, serve: Serving, method: str) -> None:
        server = serve(silent)
        with pytest.raises(OutOfTime):
            getattr(client(SHORT), method)(f"{server.url}/videos", {})

    def test_a_refused_connection_is_the_servers_fault_even_then(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(Refused) as caught:
            client(SHORT).post(f"http://127.0.0.1:{port}/videos", {}, json={})
        assert type(caught.value) is Refused

    def test_time_that_ends_before_the_first_byte(self, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        """The connection is made, the time is over, and nothing was sent: no video may exist."""
        server = serve(answering(OK))
        connect = httpcore.SyncBackend.connect_tcp

        def slow(*given: Any, **more: Any) -> httpcore.NetworkStream:
            stream = connect(*given, **more)
            time.sleep(SHORT)
            return stream

        monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", slow)
        with pytest.raises(OutOfTime):
            client(SHORT).post(f"{server.url}/videos", {}, json={})
        assert not any(server.received)

    def test_a_slow_lookup_does_not_outlast_the_deadline(self, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve(answering(OK))
        find = socket.getaddrinfo

        def slow(*given: Any, **more: Any) -> Any:
            time.sleep(SHORT)
            return find(*given, **more)

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(OutOfTime):
            client(SHORT).post(f"{server.url}/videos", {}, json={})
        assert server.received == []

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(lambda connection, server: (connection.recv(1), reset(connection)), id="reset while reading"),
            pytest.param(
                lambda connection, server: (server.read_request(connection), reset(connection)),
                id="reset after reading",
            ),
            pytest.param(lambda connection, server: server.read_request(connection), id="closed without an answer"),
            pytest.param(answering(OK[:-5]), id="half a body"),
            pytest.param(answering(OK[:20]), id="half a head"),
            pytest.param(answering(b"SSH-2.0-x\r\n\r\n"), id="not HTTP"),
            pytest.param(answering(OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")), id="not gzip"),
        ],
    )
    def test_lost_after_bytes_were_sent(self, serve: Serving, answer: Callable[..., None]) -> None:
        server = serve(answer)
        with pytest.raises(OutcomeUnknown) as caught:
            client().post(f"{server.url}/videos", {}, json={"prompt": "x"})
        assert not caught.value.timed_out
        assert len(server.received) == 1

    def test_no_answer_in_time(self, serve: Serving) -> None:
        server = serve(silent)
        with pytest.raises(OutcomeUnknown) as caught:
            client(SHORT).post(f"{server.url}/videos", {}, json={})
        assert caught.value.timed_out

    @pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nx-slow: ", OK.split(b"\r\n\r\n")[0] + b"\r\n\r\n", b""])
    def test_a_trickle_does_not_outlast_the_deadline(self, serve: Serving, start: bytes) -> None:
        def trickle(connection: socket.socket, server: Server) -> None:
            server.read_request(connection)
            connection.sendall(start.replace(b"content-length: 11", b"content-length: 100000") or b"HTTP/1.1 200 ")
            for _ in range(200):
                connection.sendall(b"a")
                time.sleep(0.02)

        server = serve(trickle)
        with pytest.raises(OutcomeUnknown) as caught:
            client(SHORT).post(f"{server.url}/videos", {}, json={})
        assert caught.value.timed_out

    def test_an_endless_answer_is_cut(self, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1000)
        server = serve(answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000))
        with pytest.raises(OutcomeUnknown):
            client().post(f"{server.url}/videos", {}, json={})

    @pytest.mark.parametrize("method", ["get", "delete"])
    def test_reading_is_free_so_every_failure_is_passing(self, serve: Serving, method: str) -> None:
        server = serve(lambda connection, server: (server.read_request(connection), reset(connection)))
        with pytest.raises(Refused) as caught:
            getattr(client(), method)(f"{server.url}/videos/1", {})
        assert caught.value.reason is Reason.UNAVAILABLE

    def test_a_file_that_breaks_off(self, serve: Serving) -> None:
        server = serve(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"))
        got = []
        with pytest.raises(Refused) as caught, client().stream(f"{server.url}/content", {}) as (status, _, chunks):
            assert status == 200
            got += list(chunks)
        assert caught.value.reason is Reason.UNAVAILABLE

    def test_the_second_call_does_not_meet_a_closed_connection(self, serve: Serving) -> None:
        server = serve(answering(OK))  # says nothing of closing, and closes
        for _ in range(3):
            assert client().post(f"{server.url}/videos", {}, json={}).status == 200


def packed(body: bytes, encoding: str, layers: int = 1) -> bytes:
    """Return an answer whose body is packed this many times with gzip, or once with zlib for `deflate`."""
    for _ in range(layers):
        body = zlib.compress(body, 9) if encoding == "deflate" else gzip.compress(body, 9)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.usefixtures("private")
class TestPacked:
    """No body is unpacked beyond its limit, and a paid order's answer is read although it is packed."""

    @pytest.mark.parametrize("method", ["post", "post_free", "get", "delete", "stream"])
    def test_no_packed_body_is_asked_for(self, serve: Serving, method: str) -> None:
        server = serve(answering(OK))
        if method == "stream":
            with client().stream(f"{server.url}/a", {}):
                pass
        else:
            getattr(client(), method)(f"{server.url}/a", {})
        head = server.received[0].lower()
        assert b"\r\naccept-encoding: identity\r\n" in head
        assert head.count(b"accept-encoding") == 1

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "GZIP", "identity", ""])
    def test_one_layer_is_unpacked(self, serve: Serving, encoding: str) -> None:
        plain = encoding in {"identity", ""}
        server = serve(answering(packed(b'{"id": "v"}', encoding, 0 if plain else 1)))
        assert client().post(f"{server.url}/videos", {}, json={}).json() == {"id": "v"}
        with client().stream(f"{server.url}/a", {}) as (_, _, chunks):
            assert b"".join(chunks) == b'{"id": "v"}'

    @pytest.mark.parametrize("size", [0, 1, unpacking.CHUNK - 1, unpacking.CHUNK, unpacking.CHUNK + 1, 300_000])
    def test_every_byte_arrives(self, serve: Serving, size: int) -> None:
        for body in (b"a" * size, random.Random(size).randbytes(size)):
            server = serve(answering(packed(body, "gzip")))
            with client().stream(f"{server.url}/a", {}) as (_, _, chunks):
                found = list(chunks)
            assert b"".join(found) == body
            assert max(map(len, found), default=0) <= unpacking.CHUNK

    def test_an_empty_body_is_not_unpacked(self, serve: Serving) -> None:
        server = serve(answering(b"HTTP/1.1 204 No Content\r\ncontent-encoding: gzip\r\n\r\n"))
        assert client().delete(f"{server.url}/a", {}).status == 204

    @pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "gzip, br", "deflate, gzip", "compress", "é"])
    def test_nothing_else_is(self, serve: Serving, encoding: str) -> None:
        body = packed(b"x" * 1000, "gzip", 2).partition(b"\r\n\r\n")[2]
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
        server = serve(answering(head.encode("latin-1") + body))
        with pytest.raises(OutcomeUnknown):
            client().post(f"{server.url}/videos", {}, json={})
        with pytest.raises(Refused):
            client().get(f"{server.url}/videos", {})
        with pytest.raises(Refused), client().stream(f"{server.url}/videos", {}) as (_, _, chunks):
            assert next(chunks) == b""

    @pytest.mark.parametrize(("encoding", "layers"), [("gzip", 1), ("deflate", 1), ("gzip, gzip", 2)])
    def test_a_bomb_is_not_unpacked(
        self, serve: Serving, monkeypatch: pytest.MonkeyPatch, encoding: str, layers: int
    ) -> None:
        monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1_000_000)
        server = serve(answering(packed(bytes(200_000_000), encoding, layers)))
        tracemalloc.start()
        try:
            with pytest.raises(OutcomeUnknown):
                client().post(f"{server.url}/videos", {}, json={})
            with suppress(Refused), client().stream(f"{server.url}/a.png", {}) as (_, _, chunks):
                next(chunks)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("cut", [1, 8, 20])
    def test_a_packed_body_that_breaks_off(self, serve: Serving, cut: int) -> None:
        body = gzip.compress(b'{"id": "v"}')[:-cut]
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
        server = serve(answering(head.encode() + body))
        with pytest.raises(OutcomeUnknown):
            client().post(f"{server.url}/videos", {}, json={})


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_errors_before_a_byte_was_sent(monkeypatch: pytest.MonkeyPatch, error: type[httpx.HTTPError]) -> None:
    with pytest.raises(Refused):
        _failing(monkeypatch, error).post("https://a.example/", {}, json={})


@pytest.mark.parametrize(
    ("error", "timed_out"),
    [
        (httpx.ReadTimeout, True),
        (httpx.WriteTimeout, True),
        (httpx.ReadError, False),
        (httpx.WriteError, False),
        (httpx.CloseError, False),
        (httpx.RemoteProtocolError, False),
        (httpx.DecodingError, False),
        (httpx.TransportError, False),
    ],
)
def test_errors_after_a_byte_was_sent(
    monkeypatch: pytest.MonkeyPatch, error: type[httpx.HTTPError], timed_out: bool
) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        _failing(monkeypatch, error).post("https://a.example/", {}, json={})
    assert caught.value.timed_out == timed_out


@pytest.mark.parametrize("url", ["ftp://a.example/", "https://", "https://[bad/", "https://a b/", "https://a:x/", "x"])
@pytest.mark.parametrize("method", ["post", "get"])
def test_a_url_that_is_none(url: str, method: str) -> None:
    with pytest.raises(Refused):
        getattr(client(), method)(url, {})


def _failing(monkeypatch: pytest.MonkeyPatch, error: type[httpx.HTTPError]) -> Client:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("failed")

    return over(monkeypatch, fail)


def over(monkeypatch: pytest.MonkeyPatch, handle: Callable[[httpx.Request], httpx.Response]) -> Client:
    http = httpx.Client(transport=httpx.MockTransport(handle))
    monkeypatch.setattr(http_client, "_http", lambda: http)
    return client()


@pytest.mark.usefixtures("private")
class TestForms:
    """A file is sent piece by piece, with its exact length in the headers."""

    class File(io.RawIOBase):
        """A seekable file that records the largest amount that was read at once."""

        def __init__(self, size: int) -> None:
            self.size, self.at, self.largest = size, 0, 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            return self.at

        def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
            self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
            return self.at

        def readinto(self, buffer: Any) -> int:
            count = min(len(buffer), self.size - self.at)
            self.largest = max(self.largest, count)
            buffer[:count] = b"v" * count
            self.at += count
            return count

    def test_multipart_has_a_length_and_keeps_its_order(self, serve: Serving) -> None:
        server = serve(answering(OK))
        file = self.File(3_000_000)
        part = Part("clip.mp4", "video/mp4", io.BufferedReader(file, 64 * 1024))
        form: list[tuple[str, str | Part]] = [("characters[][id]", "1"), ("video", part), ("characters[][id]", "2")]
        assert client().post(f"{server.url}/videos", {}, form=form).status == 200
        head, _, body = server.received[0].partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head.lower()
        assert b"transfer-encoding" not in head.lower()
        assert body.index(b"\r\n\r\n1\r\n") < body.index(b"clip.mp4") < body.index(b"\r\n\r\n2\r\n")
        assert body.count(b"v" * 3_000_000) == 1
        assert file.largest < 1_000_000

    def test_a_bare_file_has_a_length(self, serve: Serving) -> None:
        server = serve(answering(OK))
        part = Part("clip.mp4", "video/mp4", io.BufferedReader(self.File(200_000)))
        assert client().post_free(f"{server.url}/files", {}, file=part).status == 200
        head, _, body = server.received[0].partition(b"\r\n\r\n")
        assert b"content-length: 200000" in head.lower()
        assert b"content-type: video/mp4" in head.lower()
        assert b"transfer-encoding" not in head.lower()
        assert body == b"v" * 200_000


FORBIDDEN = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),  # noqa: S104 - not bound
    *("192.0.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:db8::1", "2001::1"),
    # IPv4-compatible and IPv4-translated addresses, ISATAP, discard-only, documentation, segment routing, ORCHIDv2.
    *("::169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:a9fe:a9fe", "100::1", "100:0:0:1::1"),
    *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:169.254.169.254", "fe80::5efe:10.0.0.1", "3fff::1", "5f00::1"),
    *("2001:20::1", "2001:2::1", "2002:101:101::1", "4000::1", "8000::1", "1::1", "64:ff9b::"),
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_inside_are_forbidden(address: str) -> None:
    with pytest.raises(addresses.Forbidden):
        addresses.check(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "52.94.236.248",
        "2606:4700::1111",
        "64:ff9b::101:101",
        "::ffff:1.1.1.1",
        "2a00:1450:4001::71",
        "2001:4860:4860::8888",
    ],
)
def test_addresses_outside_are_fine(address: str) -> None:
    addresses.check(address)


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1"])
def test_the_local_stack_may_use_them(address: str) -> None:
    addresses.check(address)


class TestGuard:
    """The connected address is checked, whatever name led to this address."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1"])
    def test_nothing_inside_is_reached(self, serve: Serving, host: str) -> None:
        server = serve(answering(OK))
        url = f"http://{host}:{server.port}/latest/meta-data"
        with pytest.raises(Refused):
            client().post(url, {}, json={})
        with pytest.raises(Refused):
            client().get(url, {})
        assert server.received == []

    def test_one_address_inside_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _resolve(monkeypatch, {"two.example": ["93.184.216.34", "127.0.0.1"]})
        with pytest.raises(httpcore.ConnectError):
            http_client._CheckedBackend().connect_tcp("two.example", 80)

    def test_a_redirect_does_not_lead_inside(self, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        inside = serve(answering(OK), "127.0.0.2")
        outside = serve(
            answering(f"HTTP/1.1 302 Found\r\nlocation: {inside.url}/\r\ncontent-length: 0\r\n\r\n".encode())
        )
        check = addresses.check
        monkeypatch.setattr(addresses, "check", lambda one: None if one == "127.0.0.1" else check(one))
        with pytest.raises(Refused), client().stream(f"{outside.url}/image.png", {}):
            pass
        assert len(outside.received) == 1
        assert inside.received == []

    def test_the_name_is_looked_up_once(self, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve(answering(OK))
        lookups = _resolve(monkeypatch, {"video.example": ["127.0.0.1"]})
        monkeypatch.setattr(addresses, "check", lambda one: None)
        assert client().get(f"http://video.example:{server.port}/", {}).status == 200
        assert lookups.count("video.example") == 1
        assert b"Host: video.example" in server.received[0]

    @pytest.mark.usefixtures("private")
    def test_a_connection_that_died_while_it_was_kept(self, serve: Serving) -> None:
        """No order is sent on a kept connection, which may have died while a function was frozen; reads are retried."""

        def dying(connection: socket.socket, server: Server) -> None:
            server.read_request(connection)
            connection.sendall(OK)
            threading.Thread(target=die_of_the_next, args=[connection.dup()], daemon=True).start()

        def die_of_the_next(connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)

        server = serve(dying)
        assert client().get(f"{server.url}/a", {}).status == 200
        assert client().post(f"{server.url}/b", {}, json={}).status == 200
        assert client().get(f"{server.url}/c", {}).status == 200
        assert client().delete(f"{server.url}/d", {}).status == 200
        assert [request.split()[1] for request in server.received] == [b"/a", b"/b", b"/c", b"/d"]

    @pytest.mark.usefixtures("private")
    def test_no_cookie_is_kept(self, serve: Serving) -> None:
        """A cookie of one request is not sent with the next request."""
        server = serve(answering(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: session=1; path=/\r\n\r\n")))
        for _ in range(2):
            client().get(f"{server.url}/", {})
        assert not any(b"cookie" in request.lower() for request in server.received)

    def test_no_proxy_of_the_environment_is_used(self, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        proxy = serve(answering(OK))
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(Refused):
            client().get("http://nowhere.invalid/", {})
        assert proxy.received == []


def _resolve(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Answer lookups of these names; return a list that records all lookups."""
    lookups: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: Any, **more: Any) -> Any:
        lookups.append(host)
        if host not in names:
            return real(host, port, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lookups


class TestRedirects:
    """Redirects are followed a few times when a file is read; a key is only sent to its own origin."""

    KEY: ClassVar = {"authorization": "Bearer secret", "api-key": "secret"}

    def follow(self, monkeypatch: pytest.MonkeyPatch, *hops: str) -> list[tuple[str, bool]]:
        """Return the address of each request, and whether the request carried the key."""
        went: list[tuple[str, bool]] = []

        def handle(request: httpx.Request) -> httpx.Response:
            went.append((str(request.url), "secret" in str(request.headers.raw)))
            if len(went) < len(hops):
                return httpx.Response(302, headers={"location": hops[len(went)]})
            return httpx.Response(200, content=b"bytes")

        http = over(monkeypatch, handle)
        with http.stream(hops[0], self.KEY) as (status, _, chunks):
            assert (status, b"".join(chunks)) == (200, b"bytes")
        return went

    def test_within_an_origin_the_key_goes_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        went = self.follow(monkeypatch, "https://a.example/1", "https://a.example/2", "/3")
        assert went == [(f"https://a.example/{n}", True) for n in (1, 2, 3)]

    @pytest.mark.parametrize("other", ["https://b.example/", "https://a.example:444/"])
    def test_another_origin_does_not_get_it(self, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
        assert self.follow(monkeypatch, "https://a.example/", other) == [("https://a.example/", True), (other, False)]

    @pytest.mark.parametrize("to", ["http://a.example/", "http://b.example:22/", "HTTP://a.example:443/"])
    def test_not_from_https_to_http(self, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
        with pytest.raises(Refused):
            self.follow(monkeypatch, "https://a.example/", to)
        with pytest.raises(Refused):
            self.follow(monkeypatch, "http://a.example/", "https://a.example/", to)

    def test_a_server_without_tls_may_redirect_within_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The local stack's providers, and self-hosted servers, are configured with http."""
        went = self.follow(monkeypatch, "http://a.example/1", "http://a.example/2", "https://b.example/")
        assert [carried for _, carried in went] == [True, True, False]

    def test_nor_at_a_later_hop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        went = self.follow(
            monkeypatch, "https://a.example/", "https://b.example/1", "https://b.example/2", "https://a.example/"
        )
        assert [carried for _, carried in went] == [True, False, False, False]

    def test_not_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def turn(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(302, headers={"location": "/again"})

        with pytest.raises(Refused), over(monkeypatch, turn).stream("https://a.example/", {}):
            pass
        assert len(asked) == http_client.MAX_REDIRECTS + 1

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "https://[bad/", "//", "ftp://a.example/"])
    def test_not_to_what_is_no_url(self, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
        http = over(monkeypatch, lambda request: httpx.Response(302, headers={"location": location}))
        with pytest.raises(Refused), http.stream("https://a.example/", {}):
            pass

    def test_a_post_is_never_sent_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def turn(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(307, headers={"location": "https://b.example/"})

        assert over(monkeypatch, turn).post("https://a.example/", {}, json={}).status == 307
        assert len(asked) == 1

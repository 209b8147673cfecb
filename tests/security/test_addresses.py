"""Malicious addresses through the whole API: no `image_url` and no file of a provider reaches our network."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import pytest

from tests.fakes.clock import Clock
from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream, answer, refuse
from understudy.api import inputs
from understudy.network import http_client

REAL = http_client._http  # the stage puts a fake in its place
PUBLIC = "93.184.216.34"
INSIDE = ["10.0.0.5", "127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:10.0.0.5"]
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01"


@dataclass
class Network:
    """Name lookups and connections of the layer: each connection is recorded, and `serve` answers on it."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)  # the answers to one lookup after the other
    lookups: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    serve: Callable[[bytes], bytes] = lambda request: b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"

    def getaddrinfo(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        self.lookups.append(str(host))
        if host in self.names:
            answers = self.names[host]
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        else:
            addresses = [_numeric(host)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def _numeric(host: str) -> str:
    """Return the address that the C library makes of 127.1, 2130706433, 0x7f.1 or 0177.0.0.1.

    Raises socket.gaierror for other names, as if they did not exist.
    """
    if host in ("localhost", "localhost."):
        return "127.0.0.1"
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        pass
    try:
        socket.inet_pton(socket.AF_INET6, host)
    except OSError:
        raise socket.gaierror(f"no such name: {host}") from None
    return host


class Stream(httpcore.NetworkStream):
    """A connection to a server that answers each request; TLS is assumed to succeed."""

    def __init__(self, network: Network) -> None:
        self._network, self._sent, self._answer = network, b"", b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._sent:
            self._answer, self._sent = self._network.serve(self._sent), b""
        data, self._answer = self._answer[:max_bytes], self._answer[max_bytes:]
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._sent += buffer

    def close(self) -> None: ...

    def start_tls(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


@pytest.fixture
def network(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """The layer's own HTTP client, with names and connections controlled by the test."""
    network = Network({"public.example": [[PUBLIC]], "solo.example": [[PUBLIC]]})

    def connect_tcp(_: Any, host: str, *__: Any, **___: Any) -> httpcore.NetworkStream:
        network.connected.append(host)
        return Stream(network)

    REAL.cache_clear()
    monkeypatch.setattr(http_client, "_http", REAL)
    monkeypatch.setattr(socket, "getaddrinfo", network.getaddrinfo)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    yield network
    REAL.cache_clear()


WITHIN = """
    https://127.0.0.1/ https://127.0.0.1:8000/ https://localhost/a.png https://localhost./ https://0/
    https://0.0.0.0/ https://10.0.0.1/ https://172.16.0.1/ https://192.168.1.1/ https://100.64.0.1/ https://224.0.0.1/
    https://169.254.169.254/latest/meta-data/iam/ https://169.254.170.2/v2/credentials
    https://[::1]/ https://[::]/ https://[fe80::1]/ https://[fd00:ec2::254]/latest/ https://[ff02::1]/
    https://[::ffff:127.0.0.1]/ https://[::ffff:a9fe:a9fe]/ https://[64:ff9b::a9fe:a9fe]/ https://[2002:7f00:1::]/
    https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://127.1/ https://0x7f.1/
    https://public.example@127.0.0.1/ https://public.example:443@169.254.169.254/ https://a:b@[::1]/
    https://127.0.0.1#@public.example/ https://127.0.0.1?@public.example/ https://127.0.0.1\\@public.example/
    https://①②⑦.⓪.⓪.①/ https://127。0。0。1/ https://127.0.0.1%00.public.example/ https://%31%32%37.0.0.1/
    https://inside0.example/ https://inside1.example/ https://inside2.example/ https://inside3.example/
    https://inside4.example/ https://inside5.example/ https://both.example/ https://nobody.example/
    http://public.example/ HTTP://public.example/ ftp://public.example/ file:///etc/passwd gopher://x/ s3://b/k
    https:// https:///etc/passwd https:127.0.0.1 //127.0.0.1/ javascript:0
    https://public.example:99999/ https://[public.example/ https://public.example:http/
    data:image/png,x data:image/png;base64,!!! data:;base64, data:text/html;base64,PGh0bWw+
    """
ODD = ["", " https://127.0.0.1/", "https://public.example/\r\nhost: 127.0.0.1", "x" * 5000]


@pytest.mark.parametrize("url", [*WITHIN.split(), *ODD])
def test_an_image_url_does_not_lead_inside(stage: Stage, upstream: Upstream, network: Network, url: str) -> None:
    for n, address in enumerate(INSIDE):
        network.names[f"inside{n}.example"] = [[address]]
    network.names["both.example"] = [[PUBLIC, "10.0.0.5"]]
    for given in (url, {"image_url": url}):
        reply = stage.create(model="solo", input_reference=given)
        assert reply.status == 400, reply
        assert str(reply.error["param"]).startswith("input_reference")
        assert "127.0.0.1" not in reply.error["message"]
    assert set(network.connected) <= {PUBLIC}  # some of these, read rightly, name the public one
    assert upstream.heard == []
    assert stage.executions.started == []


def redirecting(location: str) -> Callable[[bytes], bytes]:
    return lambda request: f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()


INNER = [
    "https://169.254.169.254/latest/",
    "http://127.0.0.1:9001/",
    "https://[::1]/",
    "//10.0.0.1/",
    "https://both.example/",
    "http://public.example/a.png",
    "http://public.example:22/",
]


@pytest.mark.parametrize("location", INNER)
def test_nor_does_a_redirect(stage: Stage, network: Network, location: str) -> None:
    network.names["both.example"] = [["10.0.0.5", PUBLIC]]
    network.serve = redirecting(location)
    reply = stage.create(model="solo", input_reference="https://public.example/a.png")
    assert (reply.status, reply.error["param"]) == (400, "input_reference.image_url")
    assert network.connected == [PUBLIC]


def test_nor_does_a_name_that_changes_its_mind(stage: Stage, network: Network) -> None:
    """DNS rebinding: the client connects to the address that was checked, and checks the next lookup again."""
    network.names["public.example"] = [[PUBLIC], ["127.0.0.1"]]
    network.serve = redirecting("https://public.example/again.png")
    for _ in range(2):
        assert stage.create(model="solo", input_reference="https://public.example/a.png").status == 400
    assert set(network.connected) == {PUBLIC}


def test_a_public_image_is_fetched(stage: Stage, network: Network) -> None:
    """A public image is fetched: without this test a gateway that fetches nothing would pass the tests above."""
    network.serve = lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(PNG), PNG)
    reply = stage.create(model="solo", input_reference="https://public.example/a.png")
    assert network.connected[0] == PUBLIC
    assert network.lookups[0] == "public.example"
    assert reply.status != 400  # the same network then answers the submit, with a picture


@pytest.mark.parametrize("location", INNER)
def test_a_providers_file_does_not_lead_inside(
    stage: Stage, upstream: Upstream, network: Network, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    network.names["both.example"] = [["10.0.0.5", PUBLIC]]

    def serve(request: bytes) -> bytes:
        if b"/content" in request.partition(b"\r\n")[0]:
            return redirecting(location)(request)
        body = b'{"id": "video_0", "status": "completed", "progress": 100}'
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    network.serve = serve
    made = stage.create(model="solo")
    assert made.status == 200, made
    stage.run()
    video = stage.show(made.body["id"])
    assert (video["status"], video["error"]["code"]) == ("failed", "output_unavailable")
    assert set(network.connected) == {PUBLIC}


class TestWhatComesBack:
    """The answer of an address is limited in size and checked."""

    def test_an_endless_image_is_cut(self, stage: Stage, upstream: Upstream) -> None:
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            while True:
                sent += 65536
                yield PNG + b"\0" * (65536 - len(PNG))

        upstream.rules["GET", "big.example", ".png"] = lambda request: httpx.Response(200, content=endless())
        reply = stage.create(model="solo", input_reference="https://big.example/a.png")
        assert (reply.status, reply.error["param"]) == (400, "input_reference.image_url")
        assert sent < inputs.MAX_IMAGE + 10 * 65536
        assert upstream.submits() == []

    @pytest.mark.parametrize(
        ("status", "body", "mime_type"),
        [
            (200, b"<html>", "image/png"),
            (200, b"", "image/png"),
            (200, b"\xff\xd8", "image/jpeg"),
            (200, b"GIF89a" + b"\0" * 64, "image/png"),
            (200, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
            (404, PNG, "image/png"),
            (500, PNG, "image/png"),
            (206, PNG, "image/png"),
        ],
    )
    def test_what_is_no_image(self, stage: Stage, upstream: Upstream, status: int, body: bytes, mime_type: str) -> None:
        upstream.rules["GET", "odd.example", ".png"] = answer(status, body, mime_type)
        reply = stage.create(model="solo", input_reference="https://odd.example/a.png")
        assert reply.status == 400, reply
        assert str(reply.error["param"]).startswith("input_reference")
        assert upstream.submits() == []

    @pytest.mark.parametrize(("encoding", "layers"), [("gzip, gzip", 2), ("br", 1), ("gzip", 1)])
    def test_a_bomb_is_not_unpacked(self, stage: Stage, upstream: Upstream, encoding: str, layers: int) -> None:
        """A few hundred bytes that become 400 MB: the function has 512 MB."""
        bomb = PNG + bytes(400_000_000)
        for _ in range(layers):
            bomb = gzip.compress(bomb, 1)
        sent = httpx.Response(200, stream=httpx.ByteStream(bomb), headers={"content-encoding": encoding})
        upstream.rules["GET", "bomb.example", ".png"] = lambda request: sent
        reply = stage.create(model="solo", input_reference="https://bomb.example/a.png")
        assert (reply.status, reply.error["param"]) == (400, "input_reference.image_url")
        assert upstream.heard[0].headers["accept-encoding"] == "identity"
        assert upstream.submits() == []

    def test_a_slow_server_does_not_use_up_the_call(self, stage: Stage, upstream: Upstream, clock: Clock) -> None:
        """The picture comes a byte a second, so that nothing of the call would be left for the provider."""

        def trickle() -> Iterator[bytes]:
            for at in range(len(PNG)):
                clock.advance(1)
                yield PNG[at : at + 1]

        upstream.rules["GET", "slow.example", ".png"] = lambda request: httpx.Response(200, content=trickle())
        began = clock.now
        reply = stage.create(model="solo", input_reference="https://slow.example/a.png")
        assert (reply.status, reply.error["param"]) == (400, "input_reference.image_url")
        assert "8 seconds" in reply.error["message"]
        assert clock.now - began < inputs.IMAGE_SECONDS + 3
        assert upstream.submits() == []

    def test_our_keys_do_not_go_along(self, stage: Stage, upstream: Upstream) -> None:
        upstream.rules["GET", "pictures.example", ".png"] = answer(200, PNG, "image/png")
        headers = {"authorization": "Bearer us-x", "cookie": "a=b", "x-api-key": "k"}
        assert (
            stage.create(model="solo", input_reference="https://pictures.example/a.png", headers=headers).status == 200
        )
        fetched = upstream.heard[0]
        assert fetched.host == "pictures.example"
        assert not {"authorization", "cookie", "x-api-key", "x-amz-security-token"} & set(fetched.headers)


class TestSignedAddresses:
    """A server that is sent a presigned URL may quote the URL: who has the words must not have the file."""

    SIGNED = (
        "https://bucket.s3.amazonaws.com/media/blue/still-0.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Security-Token="
        + "IQoJb3JpZ2lu" * 75
        + "&X-Amz-Signature=5ef7aa01"
    )

    def hidden(self, *texts: object) -> None:
        for part in ("X-Amz", "Signature", "5ef7aa01", "IQoJb3", "still-0"):
            assert part not in " ".join(map(str, texts))

    @pytest.mark.parametrize("model", ["solo", "wan"])
    def test_in_an_answer(self, stage: Stage, upstream: Upstream, model: str) -> None:
        upstream.script = [refuse(400, message=f"Could not fetch {self.SIGNED} (403).")]
        reply = stage.create(model=model)
        assert reply.status == 400
        assert "Could not fetch (address) (403)." in reply.error["message"]
        self.hidden(reply.body)

    def test_in_the_error_of_a_job(self, stage: Stage, upstream: Upstream) -> None:
        made = stage.create(model="solo")
        upstream.finish("failed", error={"code": "bad", "message": f"Could not fetch '{self.SIGNED}'"})
        stage.run()
        video = stage.show(made.body["id"])
        assert video["status"] == "failed"
        self.hidden(video)

    def test_in_the_log(self, stage: Stage, upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
        made = stage.create(model="solo")
        upstream.script = [refuse(status, message=f"No {self.SIGNED}") for status in (400, 404, 429, 500, 503)]
        with caplog.at_level("INFO"):
            stage.run(300)
        assert upstream.script == []
        said = [vars(record) for record in caplog.records]
        assert "poll failed" in str(said)
        self.hidden(said, stage.show(made.body["id"]))

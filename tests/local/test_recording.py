"""The recording of AWS's answers: recorded answers are replayed, and a call that was not recorded gets no answer."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.case import again
from bench.recording import NotRecorded, Player
from local.lambda_.runtime import Function


class Upstream(BaseHTTPRequestHandler):
    """A server that numbers its answers and echoes the requests."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).count += 1
        said = b"%d %s %s" % (self.count, self.headers["Host"].encode(), body)
        self.send_response(201)
        self.send_header("X-Mine", "yes")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "12345")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def player() -> Iterator[Player]:
    Upstream.count = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Player(f"http://127.0.0.1:{server.server_port}") as one:
        yield one
    server.shutdown()
    server.server_close()


def ask(
    player: Player, target: str, body: Any = b"hello", method: str = "POST", **headers: str
) -> tuple[int, str, bytes]:
    """Return status, Content-Length and body of an answer."""
    host = player.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request(
        method, "/", body, {"X-Amz-Target": target, **headers}, encode_chunked=not isinstance(body, bytes)
    )
    response = connection.getresponse()
    answer = response.status, response.headers["Content-Length"], response.read()
    connection.close()
    return answer


GET, PUT = "DynamoDB_20120810.GetItem", "DynamoDB_20120810.PutItem"


def test_what_is_played_is_what_was_heard_in_the_order_of_each_operation(player: Player) -> None:
    with player.recording() as recorded:
        heard = [ask(player, GET, b"a"), ask(player, PUT, b"b"), ask(player, GET, b"c")]
    assert recorded.calls == {"DynamoDB.GetItem": 2, "DynamoDB.PutItem": 1}
    assert [one.request for one in recorded.answers["DynamoDB.GetItem"]] == [b"a", b"c"]
    for _ in range(2):
        with player.playing(recorded):
            assert [ask(player, PUT), ask(player, GET), ask(player, GET)] == [heard[1], heard[0], heard[2]]
        assert player.played == recorded.calls
    assert Upstream.count == 3, "upstream was asked again"


def test_the_host_that_was_signed_reaches_upstream(player: Player) -> None:
    assert player.url.removeprefix("http://").encode() in ask(player, GET)[2]


def test_what_was_not_heard_is_no_answer(player: Player) -> None:
    with player.recording() as recorded:
        ask(player, GET)
    with pytest.raises(NotRecorded, match=r"DynamoDB\.PutItem"), player.playing(recorded):
        assert ask(player, PUT)[0] == 400
    with player.playing(recorded):
        assert ask(player, GET)[0] == 201, "an earlier miss counts for what came after it"


def test_another_recording_may_know(player: Player) -> None:
    with player.recording() as first:
        ask(player, PUT, b"secret")
    with player.recording() as later:
        ask(player, GET, b"row")
    with player.playing(later, otherwise=first):
        assert ask(player, GET)[2].endswith(b"row")
        assert ask(player, PUT)[2].endswith(b"secret")


def test_lengths_without_bodies_and_bodies_without_lengths(player: Player) -> None:
    with player.recording() as recorded:
        assert ask(player, "", b"", "HEAD")[:2] == (200, "12345")
        assert ask(player, PUT, iter([b"in ", b"chunks"]), **{"Transfer-Encoding": "chunked"})[2].endswith(b"in chunks")
        assert ask(player, PUT, b"when asked", Expect="100-continue")[2].endswith(b"when asked")
    with player.playing(recorded):
        assert ask(player, "", b"", "HEAD")[:2] == (200, "12345")


def test_a_function_is_told_to_ask_the_deck(player: Player) -> None:
    function = player.wire(Function("f", Path(), environment={"TABLE_NAME": "t"}))
    assert function.environment == {"TABLE_NAME": "t", "AWS_ENDPOINT_URL": player.url}


def test_a_measurement_off_the_recording_is_taken_again_but_not_for_ever() -> None:
    attempts = iter([NotRecorded("x"), 7])

    def measure() -> int:
        found = next(attempts)
        if isinstance(found, NotRecorded):
            raise found
        return found

    assert again(measure) == 7
    with pytest.raises(SystemExit, match="y"):
        again(lambda: (_ for _ in ()).throw(NotRecorded("y")))

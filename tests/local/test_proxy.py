"""The proxy in front of the local API forwards requests and applies the gateway's limits."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.stack.proxy import EVENT_BYTES, GATEWAY_BYTES, Front

TOO_LARGE = '{"error":{"message":"too large"}}'
ROUTES = [
    ["GET", "/videos"],
    ["POST", "/videos"],
    ["OPTIONS", "/videos"],
    ["GET", "/videos/{video_id}"],
    ["GET", "/videos/{video_id}/content"],
    ["GET", "/die"],
]
TIMEOUT = '{"error":{"message":"too slow"}}'


class _Upstream(ThreadingHTTPServer):
    daemon_threads = True
    requests: list[dict[str, Any]]


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Upstream
    answer = b"ok"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
        if self.path.endswith("/die"):
            self.close_connection = True
            return
        status, extra = (302, {"Location": "http://127.0.0.1:1/x?a=%2F"}) if "content" in self.path else (200, {})
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(self.answer)),
            "X-Own": "yes",
            "Connection": "keep-alive",
            **extra,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.answer)

    do_GET = do_POST = do_DELETE = do_OPTIONS = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def upstream() -> Iterator[_Upstream]:
    server = _Upstream(("127.0.0.1", 0), _Echo)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def front(upstream: _Upstream) -> Iterator[Front]:
    refusals = {
        "REQUEST_TOO_LARGE": {"status": 413, "headers": {"X-Why": "size"}, "body": TOO_LARGE},
        "INTEGRATION_TIMEOUT": {"status": 504, "headers": {}, "body": TIMEOUT},
        "INTEGRATION_FAILURE": {"status": 502, "headers": {"x-should-retry": "false"}, "body": "{}"},
        "MISSING_AUTHENTICATION_TOKEN": {"status": 404, "headers": {}, "body": "no such route"},
        "INVALID_SIGNATURE": {"status": 403, "headers": {}, "body": "no signature"},
    }
    config = {
        "port": upstream.server_port,
        "prefix": "/_aws/api/v1",
        "binary": ["multipart/form-data"],
        "routes": ROUTES,
        "refusals": refusals,
        "preflight": {"Access-Control-Allow-Origin": "*"},
    }
    server = Front(0, config)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _ask(front: Front, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", front.server_port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given, encode_chunked="Transfer-Encoding" in given)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_paths_reach_the_stage_and_queries_stay_as_they_are(front: Front, upstream: _Upstream) -> None:
    status, headers, body = _ask(front, "GET", "/v1/videos?after=a%2Fb&limit=2", Authorization="Bearer k")
    assert (status, headers["X-Own"], body) == (200, "yes", b"ok")
    assert upstream.requests[0]["path"] == "/_aws/api/v1/videos?after=a%2Fb&limit=2"
    assert upstream.requests[0]["headers"]["Authorization"] == "Bearer k"


def test_an_encoded_slash_stays_inside_its_segment(front: Front, upstream: _Upstream) -> None:
    _ask(front, "GET", "/v1/videos/a%2Fb%20c")
    # The local AWS decodes a path once; a REST API hands it on as it was written.
    assert upstream.requests[0]["path"] == "/_aws/api/v1/videos/a%252Fb%2520c"


def test_hop_by_hop_headers_stop_here(front: Front, upstream: _Upstream) -> None:
    _, headers, _ = _ask(front, "GET", "/v1/videos", Connection="keep-alive", TE="trailers", X_Mine="1")
    assert "Connection" not in headers
    sent = upstream.requests[0]["headers"]
    assert "TE" not in sent and sent["X-Mine"] == "1"


def test_redirects_are_the_clients_business(front: Front) -> None:
    status, headers, _ = _ask(front, "GET", "/v1/videos/x/content")
    assert (status, headers["Location"]) == (302, "http://127.0.0.1:1/x?a=%2F")


def test_bodies_arrive_whole(front: Front, upstream: _Upstream) -> None:
    data = bytes(range(256)) * 4096
    _ask(front, "POST", "/v1/videos", data, Content_Type="multipart/form-data; boundary=b")
    assert upstream.requests[0]["body"] == data


def test_chunked_bodies_arrive_whole(front: Front, upstream: _Upstream) -> None:
    pieces = [b"a" * 70_000, b"b", b"c" * 5]
    _ask(front, "POST", "/v1/videos", iter(pieces), Transfer_Encoding="chunked")
    assert upstream.requests[0]["body"] == b"".join(pieces)


def test_one_connection_serves_many_requests(front: Front, upstream: _Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.server_port, timeout=10)
    for number in range(3):
        connection.request("POST", "/v1/videos", json.dumps({"n": number}))
        assert connection.getresponse().read() == b"ok"
    connection.close()
    assert [json.loads(request["body"])["n"] for request in upstream.requests] == [0, 1, 2]


def test_more_than_the_gateway_takes_is_refused_and_the_answer_is_heard(front: Front, upstream: _Upstream) -> None:
    status, headers, body = _ask(front, "POST", "/v1/videos", b"x" * (GATEWAY_BYTES + 1))
    assert (status, body.decode()) == (413, TOO_LARGE)
    assert headers["X-Why"] == "size" and headers["x-request-id"]
    assert upstream.requests == []


def test_forms_grow_by_a_third_on_their_way_to_the_function(front: Front, upstream: _Upstream) -> None:
    form = "multipart/form-data; boundary=b"
    status, _, _ = _ask(front, "POST", "/v1/videos", b"x" * 4_400_000, Content_Type=form)
    assert status == 200
    status, _, _ = _ask(front, "POST", "/v1/videos", b"x" * 4_720_000, Content_Type=form)
    assert status == 413
    # Text does not: the same size passes as JSON.
    text = json.dumps("x" * 4_720_000)
    status, _, _ = _ask(front, "POST", "/v1/videos", text, Content_Type="application/json")
    assert status == 200
    status, _, _ = _ask(front, "POST", "/v1/videos", "y" * EVENT_BYTES, Content_Type="application/json")
    assert status == 413
    assert len(upstream.requests) == 2


def test_preflights_get_their_headers(front: Front) -> None:
    status, headers, _ = _ask(front, "OPTIONS", "/v1/videos")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("PUT", "/v1/videos"), ("GET", "/v1/videos//content")]
)
def test_an_unknown_route_never_reaches_the_api(front: Front, upstream: _Upstream, method: str, path: str) -> None:
    """API Gateway takes an API key for a signature of AWS where the route has no authorizer."""
    assert _ask(front, method, path)[0] == 404
    assert _ask(front, method, path, Authorization="Bearer us-key")[0] == 403
    assert upstream.requests == []


def test_an_answer_that_lambda_does_not_take_is_the_gateways_502(
    front: Front, upstream: _Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size, status in ((EVENT_BYTES - 10_000, 200), (EVENT_BYTES, 502)):
        monkeypatch.setattr(_Echo, "answer", b"x" * size)
        assert _ask(front, "GET", "/v1/videos")[0] == status
    monkeypatch.setattr(_Echo, "answer", b'"' * (EVENT_BYTES // 2 + 1))  # each becomes two characters in JSON
    assert _ask(front, "GET", "/v1/videos")[0] == 502


def test_a_dead_upstream_is_the_gateways_502(front: Front, upstream: _Upstream) -> None:
    status, headers, _ = _ask(front, "GET", "/v1/die")
    assert (status, headers["x-should-retry"]) == (502, "false")
    status, _, _ = _ask(front, "GET", "/v1/videos")
    assert status == 200, "the next one gets a fresh connection"


def test_a_slow_upstream_is_the_gateways_504(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("local.stack.proxy.Handler._upstream", slow)
    assert _ask(front, "GET", "/v1/videos")[0] == 504


def test_nothing_lives_outside_v1(front: Front, upstream: _Upstream) -> None:
    assert _ask(front, "GET", "/videos")[0] == 404
    assert upstream.requests == []

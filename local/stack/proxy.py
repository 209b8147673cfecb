"""The front of the local stack, a proxy: http://127.0.0.1:4000/v1 -> the deployed API's own, longer URL.

    python -m local.stack.proxy --port 4000 --config FILE

The front adds what AWS's gateway does and MiniStack's does not: size limits of requests and answers, paths that are not
decoded (`%2F` is no slash), the headers of preflight answers, and the gateway's answers to unknown routes and to
failures of the API. Everything else passes unchanged, including redirects: as in the cloud, the videos have another
origin than the API, so clients do not send their API key there. Uses the standard library only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# API Gateway's payload limit and Lambda's for a synchronous event (AWS's quota pages, 2026-11).
GATEWAY_BYTES = 10 * 1024 * 1024
EVENT_BYTES = 6_291_556
# The size of the event without the body and the headers. The event has the headers twice.
ENVELOPE_BYTES = 2048
# The gateway's integration timeout is 29 s; the local one answers by itself before this.
UPSTREAM_SECONDS = 40
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Headers that the front sets itself, in both directions.
REPLACED = HOP_BY_HOP | {"content-length", "host"}
CHUNK = 64 * 1024


class TooLarge(Exception):
    """The body is larger than the gateway allows. It was read completely, so that the client can read the answer."""


class UnknownRoute(Exception):
    """The API has no such path, or the path has no such method."""


class UpstreamFailed(Exception):
    """The local AWS did not answer, its answer was incomplete or too large, or the function crashed."""


class Front(ThreadingHTTPServer):
    """The front's server, which listens on the loopback interface only."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, config: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.config = config
        self.upstream = threading.local()


class Handler(BaseHTTPRequestHandler):
    """The handler of one client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # header and body in one packet; without it every answer waits for an acknowledgement
    server: Front

    def handle_one_request(self) -> None:
        """Forward a request. All methods are handled alike."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if self.parse_request():
            self._forward()
            self.wfile.flush()

    def _forward(self) -> None:
        started = time.monotonic()
        status = 0
        try:
            body = self._body()
            status = self._pass_on(body)
        except TooLarge:
            status = self._refuse("REQUEST_TOO_LARGE")
        except UnknownRoute:
            # Without a method there is no authorizer. The gateway then reads the header as AWS's own signature, and
            # "Bearer ..." is none (https://repost.aws/questions/QU4P9tucybRzG52U5OhwaT0A, 2026-11).
            status = self._refuse(
                "INVALID_SIGNATURE" if "Authorization" in self.headers else "MISSING_AUTHENTICATION_TOKEN"
            )
        except TimeoutError:
            status = self._refuse("INTEGRATION_TIMEOUT")
        except UpstreamFailed:
            status = self._refuse("INTEGRATION_FAILURE")
        except ConnectionError:
            self.close_connection = True  # the client has gone
        path = self.path.partition("?")[0]  # a query may hold a signature
        print(f"{self.command} {path} {status} {(time.monotonic() - started) * 1000:.0f} ms", flush=True)

    def _body(self) -> bytes:
        """Read the whole body. Raises TooLarge if it is larger than the limits."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            pieces = self._chunks()
        else:
            pieces = self._counted(int(self.headers.get("Content-Length") or 0))
        kept = bytearray()
        total = 0
        for piece in pieces:
            total += len(piece)
            if total <= GATEWAY_BYTES:
                kept += piece
        if total > GATEWAY_BYTES or self._event_bytes(kept) > EVENT_BYTES:
            raise TooLarge
        return bytes(kept)

    def _counted(self, length: int) -> Any:
        while length > 0:
            piece = self.rfile.read(min(length, CHUNK))
            if not piece:
                raise ConnectionResetError
            length -= len(piece)
            yield piece

    def _chunks(self) -> Any:
        while size := int(self.rfile.readline(1024).split(b";")[0].strip() or b"0", 16):
            yield from self._counted(size)
            self.rfile.readline(8)
        while self.rfile.readline(65537).strip():
            pass  # trailers

    def _event_bytes(self, body: bytearray) -> int:
        """Compute the size of the function's event: a binary body is base64, a text is a JSON string."""
        media_type = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if media_type in self.server.config["binary"]:
            size = (len(body) + 2) // 3 * 4
        else:
            size = len(json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False).encode())
        return size + 2 * len(str(self.headers)) + ENVELOPE_BYTES

    def _pass_on(self, body: bytes) -> int:
        if not self.path.startswith("/v1/"):
            return self._respond(404, {}, b'{"message":"The API lives under /v1."}')
        path, question, query = self.path.removeprefix("/v1").partition("?")
        if not any(_matches(self.command, path, *route) for route in self.server.config["routes"]):
            raise UnknownRoute
        # A REST API does not decode the path. MiniStack decodes it once, so it is encoded once more here.
        target = self.server.config["prefix"] + path.replace("%", "%25") + question + query
        headers = {name: value for name, value in self.headers.items() if name.lower() not in REPLACED}
        headers["Content-Length"] = str(len(body))
        headers["X-Forwarded-For"] = self.client_address[0]
        answer, content = self._upstream(self.command, target, body, headers)
        if answer.status == 502 and not content.startswith(b'{"error"'):
            raise UpstreamFailed  # a function crashed: MiniStack returns details, AWS returns the gateway response
        if (
            len(json.dumps(content.decode("utf-8", "replace"), ensure_ascii=False).encode()) + ENVELOPE_BYTES
            > EVENT_BYTES
        ):
            raise UpstreamFailed  # Lambda refuses a function's answer of this size
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in REPLACED}
        if self.command == "OPTIONS" and answer.status == 200:
            kept |= self.server.config["preflight"]
        return self._respond(answer.status, kept, content)

    def _upstream(
        self, method: str, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request over this thread's open connection. Open a new connection if the other end has closed it.

        Raises UpstreamFailed and TimeoutError.
        """
        local = self.server.upstream
        connection: http.client.HTTPConnection | None = getattr(local, "connection", None)
        if connection is not None and _closed(connection):
            connection.close()
            connection = None
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.config["port"], timeout=UPSTREAM_SECONDS)
        local.connection = None
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except TimeoutError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise UpstreamFailed from error
        local.connection = connection
        return answer, content

    def _refuse(self, kind: str) -> int:
        refusal = self.server.config["refusals"][kind]
        headers = {"Content-Type": "application/json", **refusal["headers"]}
        headers["x-request-id"] = headers["x-amzn-requestid"] = str(uuid.uuid4())
        return self._respond(refusal["status"], headers, refusal["body"].encode())

    def _respond(self, status: int, headers: dict[str, str], body: bytes) -> int:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return status


def _matches(method: str, path: str, known_method: str, known_path: str) -> bool:
    """Return whether a request is for this route. A parameter of the route stands for one segment that is not empty."""
    parts, known = path.split("/"), known_path.split("/")
    return (
        method == known_method
        and len(parts) == len(known)
        and all(part == one or (one.startswith("{") and part) for part, one in zip(parts, known, strict=True))
    )


def _closed(connection: http.client.HTTPConnection) -> bool:
    """Return whether the other end has closed an idle connection."""
    if connection.sock is None:
        return True
    connection.sock.setblocking(False)
    try:
        return connection.sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.sock.settimeout(UPSTREAM_SECONDS)


def main() -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(prog="python -m local.stack.proxy")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    front = Front(arguments.port, json.loads(arguments.config.read_text()))
    print(f"http://127.0.0.1:{arguments.port}/v1", flush=True)
    try:
        front.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()

"""Lambda's Runtime API for one execution environment: the server from which `awslambdaric` gets events.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (2026-11)
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESPONSE_BYTES = 6_291_556  # Lambda's limit for an answer, according to Lambda's error message
_PREFIX = "/2018-06-01/runtime/"


class Invocation:
    """One event and its answer."""

    def __init__(self, payload: bytes) -> None:
        self.request_id = str(uuid.uuid4())
        self.payload = payload
        self.deadline: float | None = None  # unix seconds; set when the runtime takes the event
        self.answered = threading.Event()
        self.result: bytes | None = None
        self.error: dict[str, Any] | None = None
        self._taken: float | None = None
        self._done: float | None = None

    def take(self, timeout: float) -> None:
        """Record that the runtime has taken the event, and set the deadline."""
        self._taken, self.deadline = time.perf_counter(), time.time() + timeout

    def answer(self, *, result: bytes | None = None, error: dict[str, Any] | None = None) -> None:
        """Record the runtime's result or error."""
        self._done, self.result, self.error = time.perf_counter(), result, error
        self.answered.set()

    def milliseconds(self, now: float) -> float:
        """Return the milliseconds from taken to answered, or to `now` (`time.perf_counter()`); 0 if never taken."""
        return 0.0 if self._taken is None else ((self._done or now) - self._taken) * 1000


class RuntimeApi:
    """The server of one sandbox, on its own port. It offers one event at a time."""

    def __init__(self, function_arn: str, timeout: float) -> None:
        self.function_arn, self.timeout = function_arn, timeout
        self.init_error: dict[str, Any] | None = None
        self.first_asked: float | None = None  # `time.perf_counter()` when the runtime was ready
        self.current: Invocation | None = None
        self._offered: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API: host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def offer(self, invocation: Invocation) -> None:
        """Give the event to the runtime as soon as the runtime asks for one."""
        self._offered.put(invocation)

    def next(self) -> Invocation | None:
        """Wait for the next event and return it, or None after `stop`."""
        self.first_asked = self.first_asked or time.perf_counter()
        self.current = self._offered.get()
        if self.current is not None:
            self.current.take(self.timeout)
        return self.current

    def stop(self) -> None:
        """Stop the server and its threads. The runtime's process must have ended before."""
        self._offered.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: RuntimeApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error, unless it is a ConnectionError: a killed runtime leaves a broken connection behind."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these two an answer leaves in two packets, and every call takes 40 ms longer.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        if self.path == f"{_PREFIX}restore/next":  # SnapStart: simulates a snapshot that is restored at once
            return self._send(HTTPStatus.OK)
        if self.path != f"{_PREFIX}invocation/next":
            return self._send(HTTPStatus.NOT_FOUND)
        invocation = self.server.api.next()
        if invocation is None or invocation.deadline is None:
            self.close_connection = True
            return None
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.api.function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        return self._send(HTTPStatus.OK, invocation.payload, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        api, invocation = self.server.api, self.server.api.current
        if self.path == f"{_PREFIX}init/error":
            self._send(HTTPStatus.ACCEPTED)
            api.init_error = json.loads(body)
        elif invocation is None or not self.path.startswith(f"{_PREFIX}invocation/{invocation.request_id}/"):
            self._send(HTTPStatus.FORBIDDEN)  # an answer to something else, or too late
        elif self.path.endswith("/error"):
            self._send(HTTPStatus.ACCEPTED)
            invocation.answer(error=json.loads(body))
        elif len(body) > RESPONSE_BYTES:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
            invocation.answer(error={"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message})
        else:
            self._send(HTTPStatus.ACCEPTED)
            invocation.answer(result=body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Print no access log."""

    def _send(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send a response and flush it, so that the runtime has the response before another thread reacts."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

"""The HTTP server of all simulators. It records every request, injects faults, and streams bodies in both directions.

It is the standard library's threading server: one thread for each connection is enough for a laptop, and a fault can
reach the socket.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from local.simulators.shared.body import Body, Incoming, read
from local.simulators.shared.control import PREFIX, Control
from local.simulators.shared.errors import Refusal
from local.simulators.shared.faults import Fault, FaultBook
from local.simulators.shared.provider import Provider, Request, Response, Route
from local.simulators.shared.recorder import Record, Recorder

_CHUNK = 256 * 1024


class SimulatorServer(ThreadingHTTPServer):
    """The server of one provider on `host:port`. Port 0 means any free port; `server_port` tells which."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str, port: int, provider: Provider, quiet: bool = False) -> None:
        super().__init__((host, port), _Handler)
        self.provider = provider
        self.recorder = Recorder(provider.store)
        self.faults = FaultBook()
        self.control = Control(provider, self.recorder, self.faults)
        self.quiet = quiet
        self._abandoned: set[int] = set()

    def abandon(self, connection: socket.socket) -> None:
        """Close a connection with a reset (RST) instead of a normal close (FIN)."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._abandoned.add(id(connection))

    def shutdown_request(self, request: Any) -> None:
        if id(request) in self._abandoned:
            self._abandoned.discard(id(request))
            request.close()  # without `shutdown`, which would send a FIN and not a RST
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # head and body of an answer leave in one packet
    timeout = 300

    @property
    def simulator(self) -> SimulatorServer:
        return cast(SimulatorServer, self.server)

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        try:
            incoming = Incoming(cast(BinaryIO, self.rfile), self.headers)
        except Refusal as refusal:  # the end of this request is unknown, so the connection cannot be used again
            self.close_connection = True
            self._send(self.simulator.provider.refuse(refusal))
            return
        if path.startswith(PREFIX):
            self._send(self.simulator.control.answer(self.command, path, query, b"".join(incoming)))
            return
        caller = self.simulator.provider.identify(self.headers)
        record = self.simulator.recorder.begin(self.command, path, query, self.headers, caller.account, caller.key)
        try:
            self._exchange(record, incoming)
        except (ConnectionError, TimeoutError):
            self.simulator.recorder.finish(record, "client_gone", None)
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()  # the base class relies on an unbuffered stream
        return going_on

    def _exchange(self, record: Record, incoming: Incoming) -> None:
        reader = _Reader(lambda: self._read_body(incoming))
        try:
            self._go_through(record, incoming, reader)
        finally:
            reader.discard()

    def _go_through(self, record: Record, incoming: Incoming, reader: _Reader) -> None:
        faults, target = self.simulator.faults, f"{record['path']}?{record['query']}"
        fault = faults.take(self.command, record["path"], record["account"], record["query"], reader.words)
        if fault is not None:
            record["fault"] = fault.id
        if fault is not None and fault.before:
            time.sleep(fault.delay)
            if fault.action == "reset":
                self._reset(record)
                return
        response = self._process(record, incoming, reader, fault)
        response.headers["x-request-id"] = record["request_id"]
        faults.follow(target, reader.words, lambda: [*record["names"], *_addresses(response)])
        self.simulator.recorder.save(record)  # the work is done; saved now, in case the answer cannot be sent
        reader.discard()  # before the answer: a client that has the answer must find no temporary files
        if fault is not None and not fault.before:
            time.sleep(fault.delay)
        if fault is not None and fault.action is not None:
            self._spoil(record, fault, response)
            return
        self._answer(record, response)

    def _process(self, record: Record, incoming: Incoming, reader: _Reader, fault: Fault | None) -> Response:
        """Process the request, unless a fault prevents that. A Refusal becomes a response."""
        provider = self.simulator.provider
        try:
            account = provider.authorise(provider.identify(self.headers), self.headers)
            route, params = provider.find(self.command, record["path"])
            record["operation"] = route.operation
            body = reader.body()
            record |= body.describe()
            if fault is not None and fault.before and fault.action is not None:
                return Response(204)
            return self._call(record, route, params, account, body)
        except Refusal as refusal:
            return provider.refuse(refusal)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001 - a defect of the simulator belongs in the log and must not end the connection
            traceback.print_exc()
            return provider.refuse(Refusal(500, "The simulator has a defect; see its log.", "simulator_defect"))
        finally:
            self._drain(incoming)
            record["bytes"] = incoming.count

    def _read_body(self, incoming: Incoming) -> Body:
        settings = self.simulator.provider.settings
        multipart = self.headers.get("Content-Type", "").lower().startswith("multipart/")
        if incoming.chunked and multipart and settings.require_length:
            raise Refusal(411, "The request needs a Content-Length header.", "length_required")
        return read(incoming, self.headers, self.simulator.provider.folder, settings.max_body_bytes)

    def _call(self, record: Record, route: Route, params: dict[str, str], account: str, body: Body) -> Response:
        query = dict(parse_qsl(record["query"], keep_blank_values=True))
        request = Request(self.command, record["path"], query, self.headers, account, params, body)
        try:
            return route.handler(request)
        finally:
            record["created"] = request.created
            record["names"] = [name for name in (request.created, request.reference) if name]

    def _spoil(self, record: Record, fault: Fault, response: Response) -> None:
        recorder = self.simulator.recorder
        if fault.action == "die":
            recorder.finish(record, "died", None)
            os._exit(70)  # at once, as in a power failure: no connection is closed properly
        elif fault.action == "reset":
            self._reset(record)
        elif fault.action == "half":
            recorder.finish(record, "half", response.status)
            self._send(response, half=True)
        else:
            self._answer(record, _altered(response, fault) if fault.action == "alter" else _ordered_answer(fault))

    def _answer(self, record: Record, response: Response) -> None:
        """Record the answer, then send it. In this order, a client that has the answer finds the complete record."""
        self.simulator.recorder.finish(record, "answered", response.status)
        self._send(response)

    def _reset(self, record: Record) -> None:
        self.simulator.abandon(self.connection)
        self.close_connection = True
        self.simulator.recorder.finish(record, "reset", None)

    def _drain(self, incoming: Incoming) -> None:
        """Read the rest of the body: if the connection closes with unread bytes, the client may lose the answer."""
        try:
            incoming.drain()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _send(self, response: Response, half: bool = False) -> None:
        size = response.body.stat().st_size if isinstance(response.body, Path) else len(response.body)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        if half:
            self.close_connection = True
            size //= 2
        self.end_headers()
        if self.command != "HEAD":
            self._write_body(response.body, size)
        self.wfile.flush()

    def _write_body(self, body: bytes | Path, size: int) -> None:
        if isinstance(body, bytes):
            self.wfile.write(body[:size])
            return
        with body.open("rb") as file:
            while size > 0 and (data := file.read(min(_CHUNK, size))):
                self.wfile.write(data)
                size -= len(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        if not self.simulator.quiet:
            sys.stderr.write(f"{self.log_date_time_string()} {format % args}\n")


# The base class looks for a method per verb.
for _verb in ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"):
    setattr(_Handler, f"do_{_verb}", _Handler._serve)


class _Reader:
    """A request's body, read at the first use and only once. A Refusal from the reading is raised at every use."""

    def __init__(self, read: Callable[[], Body]) -> None:
        self._read = read
        self._body: Body | None = None
        self._refusal: Refusal | None = None

    def body(self) -> Body:
        """Return the body. Raises Refusal, and ConnectionError if the client disconnects."""
        if self._refusal is not None:
            raise self._refusal
        if self._body is None:
            try:
                self._body = self._read()
            except Refusal as refusal:
                self._refusal = refusal
                raise
        return self._body

    def words(self) -> str:
        """Return all text of the body, or '' if the body cannot be read."""
        try:
            body = self.body()
        except Refusal:
            return ""
        return json.dumps([body.json, [value for _, value in body.parts if isinstance(value, str)]], ensure_ascii=False)

    def discard(self) -> None:
        if self._body is not None:
            self._body.discard()


def _addresses(response: Response) -> list[str]:
    """Return the paths of the URLs in a response."""
    if isinstance(response.body, Path):
        return []
    return [urlsplit(found).path for found in re.findall(r'https?://[^"\s]+', response.body.decode("utf-8", "replace"))]


def _altered(response: Response, fault: Fault) -> Response:
    """Return the response after the fault's replacements in its body."""
    text = response.body.read_text("utf-8") if isinstance(response.body, Path) else response.body.decode()
    for pattern, replacement in fault.replace.items():
        text = re.sub(pattern, replacement, text)
    return Response(response.status, text.encode(), response.headers)


def _ordered_answer(fault: Fault) -> Response:
    if isinstance(fault.body, str):
        response = Response(fault.status, fault.body.encode())
    else:
        response = Response.of(fault.body, fault.status)
    response.headers.update(fault.headers)
    return response

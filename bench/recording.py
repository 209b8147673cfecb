"""Records the answers of the local AWS once and replays them without delay.

    with Player(settings.aws_url) as player:
        function = player.wire(function)          # the function now calls the player
        with player.recording() as recorded: ...      # the player forwards to the local AWS
        with player.playing(recorded): ...            # the player replays the answers

A function that is measured this way does all of its own work (it signs, sends, reads, parses) without waiting for AWS.
The figures include neither the time of the local AWS nor that of the real AWS. An event that uses something up can be
measured many times.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.lambda_.runtime import Function

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Recorded:
    """One answer and the body of its request. `length` is the Content-Length: for a HEAD not the body's length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    length: str
    request: bytes = b""


@dataclass
class Recording:
    """The answers to the calls of one event, by operation and in order.

    Times and random ids differ between runs. So a request is identified by its operation and its position (the third
    "GetItem"), not by its bytes.
    """

    answers: dict[str, list[Recorded]] = field(default_factory=lambda: defaultdict(list))

    @property
    def calls(self) -> dict[str, int]:
        """The number of calls of each operation."""
        return {operation: len(answers) for operation, answers in sorted(self.answers.items())}


class NotRecorded(Exception):
    """A function made a call that is not in the recording, by chance or because of the time of day.

    The measurement is not valid.
    """


class Player:
    """A server between functions and the local AWS. It either records answers or replays them."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self._recorded: Recording | None = None
        self._otherwise = Recording()
        self._plays = False
        self._played: Counter[str] = Counter()
        self._missed: list[str] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """The value for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def played(self) -> dict[str, int]:
        """The number of calls of each operation since `playing` began."""
        return dict(sorted(self._played.items()))

    def wire(self, function: Function) -> Function:
        """Return a copy of the function that calls the player."""
        return replace(function, environment={**function.environment, "AWS_ENDPOINT_URL": self.url})

    @contextlib.contextmanager
    def recording(self) -> Iterator[Recording]:
        """Forward calls to the local AWS and record the answers."""
        self._recorded, self._plays = Recording(), False
        try:
            yield self._recorded
        finally:
            self._recorded = None

    @contextlib.contextmanager
    def playing(self, recorded: Recording, otherwise: Recording | None = None) -> Iterator[None]:
        """Replay a recording from its start. Calls that are not in it are answered from `otherwise`.

        A warm function sometimes repeats a call whose answer it had cached. Raises NotRecorded at the end if a call was
        in neither recording.
        """
        self._recorded, self._otherwise, self._plays = recorded, otherwise or Recording(), True
        self._played.clear()
        self._missed.clear()
        try:
            yield
        finally:
            self._recorded = None
        if self._missed:
            raise NotRecorded(", ".join(self._missed))

    def answer(self, operation: str, command: str, path: str, headers: Any, body: bytes) -> Recorded:
        """Return the answer to a request: forwarded or replayed. An unknown call is answered with a 400."""
        recorded = self._recorded
        if recorded is None or not self._plays:
            answer = self._forward(command, path, headers, body)
            if recorded is not None:
                with self._lock:
                    recorded.answers[operation].append(answer)
            return answer
        with self._lock:
            at = self._played[operation]
            self._played[operation] += 1
            for answers in (recorded.answers.get(operation, ()), self._otherwise.answers.get(operation, ())):
                if at < len(answers):
                    return answers[at]
            self._missed.append(operation)
        return Recorded(400, (), b'{"__type": "NotRecorded"}', "23")

    def _forward(self, command: str, path: str, headers: Any, body: bytes) -> Recorded:
        connection = http.client.HTTPConnection(self.upstream, timeout=150)
        try:
            # The header Host stays unchanged, because it is signed.
            passed = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | {"expect"}}
            connection.request(command, path, body, {**passed, "Content-Length": str(len(body))})
            response = connection.getresponse()
            kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP)
            length = response.getheader("Content-Length")
            data = response.read()
            return Recorded(response.status, kept, data, length or str(len(data)), body)
        finally:
            connection.close()

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, player: Player) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.player = player

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no error: a stopped function leaves a broken connection behind."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _serve(self) -> None:
        body = self._chunks() if self.headers.get("Transfer-Encoding") else self._counted()
        operation = _operation(self.command, self.path, self.headers.get("X-Amz-Target"))
        answer = self.server.player.answer(operation, self.command, self.path, self.headers, body)
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", answer.length)
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _counted(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(pieces)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Print no access log."""


for _verb in ("GET", "POST", "DELETE", "PUT", "HEAD"):
    setattr(_Handler, f"do_{_verb}", _Handler._serve)


def _operation(command: str, path: str, target: str | None) -> str:
    """Return the name of a request's operation: "DynamoDB.GetItem", "Lambda.Invoke", "S3.PUT partNumber,uploadId"."""
    if target:
        service, _, name = target.partition(".")
        return f"{service.partition('_')[0]}.{name}"
    parts = urlsplit(path)
    if parts.path.startswith("/2015-03-31/functions/"):
        return "Lambda.Invoke"
    names = ",".join(sorted(name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if name != "x-id"))
    return f"S3.{command} {names}".strip()

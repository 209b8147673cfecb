"""The only HTTP client for providers: each call has a deadline, an address check and a verdict on what a failure means.

The verdict matters more than the response. If the connection was never made, the provider has certainly made nothing,
and another deployment may be asked. If bytes were sent, a timeout or reset means that a video may exist and be billed,
and nothing is sent again. If the call's own time ran out before the server had a chance, that says nothing against the
server: OutOfTime.
"""

from __future__ import annotations

import io
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, BinaryIO

import httpcore
import httpx

from understudy.errors import OutcomeUnknown, OutOfTime, Reason, Refused
from understudy.network import addresses, unpacking
from understudy.providers.http import Answer, Headers, Part

CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # of a JSON answer; files are streamed
MAX_REDIRECTS = 3
CHUNK = 64 * 1024  # of a file on its way out

# Nothing of the request can have reached the server.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

_deadline: ContextVar[float] = ContextVar("deadline")  # of the call that uses the connection


# At INFO, Lambda's level for JSON logs, httpx logs every URL, with the signatures in it.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Client:
    """An HTTP client with a deadline in absolute `time.monotonic()` seconds. Raises only Refused and OutcomeUnknown."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def post(
        self,
        url: str,
        headers: Headers,
        *,
        json: Any = None,
        form: list[tuple[str, str | Part]] | None = None,
    ) -> Answer:
        """Send a request that may cost money, once. A `form` is sent as multipart, with its fields in this order.

        Raises Refused(UNAVAILABLE) if nothing was sent, and OutcomeUnknown if the request may have arrived.
        """
        files = [(name, _field(value)) for name, value in form] if form is not None else None
        left = self._left()
        try:
            return self._answer(self._request("POST", url, headers, json=json, files=files))
        except _NEVER_SENT as error:
            raise _unreachable(error, left) from error
        except httpx.HTTPError as error:
            timed_out = isinstance(error, httpx.TimeoutException)
            message = f"No usable answer came after the request was sent ({type(error).__name__})."
            raise OutcomeUnknown(message, timed_out=timed_out) from error

    def post_free(
        self,
        url: str,
        headers: Headers,
        *,
        json: Any = None,
        form: list[tuple[str, str | Part]] | None = None,
        file: Part | None = None,
    ) -> Answer:
        """Send a POST that costs nothing: a file in a form, a bare file, or the request for an upload URL.

        Every transport error is temporary and raises Refused(UNAVAILABLE).
        """
        body: dict[str, Any] = {"json": json}
        if form is not None:
            body["files"] = [(name, _field(value)) for name, value in form]
        if file is not None:
            size = file.file.seek(0, io.SEEK_END)
            file.file.seek(0)
            headers = {"content-type": file.mime_type, **headers, "content-length": str(size)}
            body["content"] = iter(lambda: file.file.read(CHUNK), b"")
        return self._free("POST", url, headers, **body)

    def get(self, url: str, headers: Headers) -> Answer:
        """Send a GET. Every transport error is temporary, costs nothing and raises Refused(UNAVAILABLE)."""
        return self._free("GET", url, headers)

    def delete(self, url: str, headers: Headers) -> Answer:
        """Send a DELETE. Raises like `get`."""
        return self._free("DELETE", url, headers)

    @contextmanager
    def stream(self, url: str, headers: Headers) -> Iterator[tuple[int, httpx.Headers, Iterator[bytes]]]:
        """Read a file in chunks: yield (status, headers, chunks).

        Redirects are followed, but not from https to http. After a redirect to another origin, `headers` are no longer
        sent, because they hold keys. Raises like `get`.
        """
        left = self._left()
        try:
            with self._follow(url, headers) as response:
                yield response.status_code, response.headers, self._chunks(response)
        except httpx.HTTPError as error:
            raise _unreachable(error, left) from error

    @contextmanager
    def _follow(self, url: str, headers: Headers) -> Iterator[httpx.Response]:
        request = self._request("GET", url, headers)
        for _ in range(MAX_REDIRECTS + 1):
            response = _http().send(request, stream=True)
            if response.next_request is None:
                break
            response.close()
            target = response.next_request.url
            # Every port is allowed: over https, a server that is not meant gets no more than a TLS handshake.
            if request.url.scheme == "https" and target.scheme != "https":
                raise Refused(Reason.UNAVAILABLE, "The provider redirects from https to an address without encryption.")
            if _origin(target) != _origin(request.url):
                headers = {}  # from here on: the other origin may redirect within itself
            request = self._request("GET", str(target), headers)
        else:
            raise Refused(Reason.UNAVAILABLE, "The provider redirects without end.")
        try:
            yield response
        finally:
            response.close()

    def _free(self, method: str, url: str, headers: Headers, **body: Any) -> Answer:
        left = self._left()
        try:
            return self._answer(self._request(method, url, headers, **body))
        except httpx.HTTPError as error:
            raise _unreachable(error, left) from error

    def _left(self) -> float:
        """Return the seconds until the deadline. Raises OutOfTime if it has passed."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    def _request(self, method: str, url: str, headers: Headers, **body: Any) -> httpx.Request:
        left = self._left()
        headers = {"accept-encoding": "identity", **headers}
        timeout = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left), pool=min(CONNECT_SECONDS, left))
        _deadline.set(self._deadline)
        try:
            return _http().build_request(method, url, headers=headers, timeout=timeout, **body)
        except (httpx.InvalidURL, UnicodeError) as error:  # a URL or a key that cannot stand in a request
            raise Refused(Reason.UNAVAILABLE, "The provider could not be reached.") from error

    def _answer(self, request: httpx.Request) -> Answer:
        response = _http().send(request, stream=True)
        try:
            body = bytearray()
            for chunk in self._chunks(response):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise httpx.DecodingError("answer too large", request=request)
            return Answer(response.status_code, response.headers, bytes(body))
        finally:
            response.close()

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        late = False
        for chunk in unpacking.unpacked(response):
            if late:  # only if there is more: a whole answer of the last moment is an answer
                raise httpx.ReadTimeout("the deadline has passed", request=response.request)
            yield chunk
            late = time.monotonic() > self._deadline


class _CheckedBackend(httpcore.SyncBackend):
    """A network backend that connects to the very address that it has checked.

    So a name cannot resolve to another address in between.
    """

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            ips = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            for ip in ips:
                addresses.check(ip)
        except (OSError, addresses.Forbidden, ValueError) as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception | None = None
        for ip in ips:
            left = _left(timeout, httpcore.ConnectTimeout)  # the lookup of the name may have taken long
            try:
                return _TimedStream(super().connect_tcp(ip, port, left, local_address, socket_options))
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _TimedStream(httpcore.NetworkStream):
    """A connection that ends with the call's deadline.

    httpx's timeouts hold for each read or write: a response that comes at a byte a second would never time out.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._written = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # If the time was over before the first byte, no request has begun: that is known, and not like a lost answer.
        left = _left(timeout, httpcore.WriteTimeout if self._written else httpcore.ConnectTimeout)
        self._written = True
        self._stream.write(buffer, left)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left if timeout is None else min(left, timeout)


def _loading() -> Future[ssl.SSLContext]:
    executor = ThreadPoolExecutor(max_workers=1)
    context = executor.submit(httpx.create_ssl_context, trust_env=False)
    executor.shutdown(wait=False)
    return context


# Loaded once, in a thread, during the imports and reads before the first call: it takes 25 ms, without the GIL.
_certificates = _loading()


class _Transport(httpx.BaseTransport):
    """Sends each POST over a new connection, and every other request over a kept connection if there is one.

    A kept connection may have died unnoticed, above all while the function was frozen. The error then looks as if the
    provider had died during the request, and nobody could say whether a POST created anything. A request that is not a
    POST is sent again over a new connection.
    """

    def __init__(self) -> None:
        certificates = _certificates.result()
        self._new = _checked(httpx.HTTPTransport(verify=certificates, limits=httpx.Limits(max_keepalive_connections=0)))
        self._kept = _checked(httpx.HTTPTransport(verify=certificates, limits=httpx.Limits(keepalive_expiry=5.0)))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return self._new.handle_request(request)
        try:
            return self._kept.handle_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            return self._new.handle_request(request)


def _checked(transport: httpx.HTTPTransport) -> httpx.HTTPTransport:
    # httpx has no public way to hand a network backend to its pool; the version is locked and a test watches this.
    transport._pool._network_backend = _CheckedBackend()
    return transport


@cache
def _http() -> httpx.Client:
    """Return the one HTTP client of this execution environment."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))  # never send one caller's cookies for another
    return httpx.Client(transport=_Transport(), cookies=no_cookies, follow_redirects=False, trust_env=False)


def _field(value: str | Part) -> tuple[str | None, Any] | tuple[str, BinaryIO, str]:
    return (None, value) if isinstance(value, str) else (value.filename, value.file, value.mime_type)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _unreachable(error: httpx.HTTPError, left: float) -> Refused:
    """Return the refusal for a request without an answer, which costs nothing. `left`: the seconds that it had.

    A timeout after less than CONNECT_SECONDS says nothing against the server.
    """
    if isinstance(error, httpx.TimeoutException) and left < CONNECT_SECONDS:
        return OutOfTime()
    return Refused(Reason.UNAVAILABLE, "The provider could not be reached.")

"""Forwards ports from another address of this machine to the loopback, so that containers reach the stack.

The stack itself listens on the loopback only, which nothing outside this machine can reach.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterable, Iterator

from local.settings import HOST

CHUNK = 64 * 1024


@contextlib.contextmanager
def forwarded(address: str, ports: Iterable[int]) -> Iterator[None]:
    """Forward connections from the ports at `address` to the same ports of the loopback. Raises OSError."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            server = stack.enter_context(_Server((address, port), _Connection))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    request_queue_size = 128


class _Connection(socketserver.BaseRequestHandler):
    request: socket.socket
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.server.server_address[1])) as there:
            back = threading.Thread(target=_copy, args=(there, self.request), daemon=True)
            back.start()
            _copy(self.request, there)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

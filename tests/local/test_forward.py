"""A forwarded port passes bytes complete in both directions, and only while the forwarding is open."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from local.lambda_.forward import forwarded

# Another address of this machine. It stands for the one that containers see.
ADDRESS = "127.0.0.2"


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server on the loopback interface.

    When its caller has finished sending, the server returns everything in capitals.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    with caller:
                        caller.sendall(_all(caller).upper())

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def _asked(port: int, question: bytes) -> bytes:
    with socket.create_connection((ADDRESS, port), timeout=10) as connection:
        connection.sendall(question)
        with contextlib.suppress(OSError):  # the other side may have ended it already
            connection.shutdown(socket.SHUT_WR)
        return _all(connection)


def _all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


def test_a_question_and_its_answer_pass_whole(port: int) -> None:
    with forwarded(ADDRESS, [port]):
        assert _asked(port, b"luna" * 100_000) == b"LUNA" * 100_000
        assert _asked(port, b"again") == b"AGAIN"


def test_nothing_is_heard_afterwards(port: int) -> None:
    with forwarded(ADDRESS, [port]):
        pass
    with pytest.raises(ConnectionRefusedError):
        _asked(port, b"luna")


def test_a_caller_is_not_left_waiting_when_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with forwarded(ADDRESS, [port]), contextlib.suppress(ConnectionError):
        assert _asked(port, b"luna") == b""


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"), forwarded("192.0.2.77", [0]):
        pass

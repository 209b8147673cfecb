"""Large bodies are streamed to the disk and counted, and refused without a length."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from local.simulators.process import Simulator

_BOUNDARY = "in-the-middle"
_MIB = 1024 * 1024


def multipart_pieces(clip: bytes, padding: int) -> tuple[int, Iterator[bytes]]:
    """Return the length and the pieces of a character upload that is never completely in memory.

    The clip is followed by `padding` MiB in a box that players skip.
    """
    name = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\nLuna\r\n'
    video = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="luna.mp4"\r\n\r\n'
    box = (padding * _MIB + 8).to_bytes(4, "big") + b"free"
    tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
    head = name.encode() + video.encode() + clip + box

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(padding):
            yield bytes(_MIB)
        yield tail

    return len(head) + padding * _MIB + len(tail), pieces()


def peak_memory(pid: int) -> int:
    """Return the largest amount of memory that the process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_a_large_upload_is_not_held_in_memory(start_simulator: Callable[..., Simulator], luna: Path) -> None:
    simulator = start_simulator()
    headers = {"Authorization": "Bearer sim-a", "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    clip = luna.read_bytes()
    with httpx.Client(headers=headers, timeout=60) as http:
        for padding in (1, 300):
            before = peak_memory(simulator.pid or 0)
            size, pieces = multipart_pieces(clip, padding)
            url, length = f"{simulator.base_url}/videos/characters", {"Content-Length": str(size)}
            answer = http.post(url, content=pieces, headers=length)
            assert answer.status_code == 200, answer.text
        assert peak_memory(simulator.pid or 0) - before < 30
    record = simulator.requests()[-1]
    box = (300 * _MIB + 8).to_bytes(4, "big") + b"free"
    digest = hashlib.sha256(clip + box)
    for _ in range(300):
        digest.update(bytes(_MIB))
    assert record["bytes"] == size and record["files"][0]["sha256"] == digest.hexdigest()
    assert list((simulator.state / "incoming").iterdir()) == []


def test_chunked_uploads_need_a_length(http: httpx.Client, simulator: Simulator, luna: Path) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    for status in (411, 200):
        _, pieces = multipart_pieces(luna.read_bytes(), 1)
        answer = http.post("/videos/characters", content=pieces, headers=headers)
        assert answer.status_code == status, answer.text
        assert simulator.requests()[-1]["headers"]["transfer-encoding"] == "chunked"
        simulator.settings(require_length=False)
    assert simulator.requests()[-1]["files"][0]["bytes"] == len(luna.read_bytes()) + _MIB + 8
    # Only files need one: JSON may come in pieces.
    simulator.settings(require_length=True)
    json_header = {"Content-Type": "application/json"}
    assert http.post("/videos", content=iter([b'{"prompt":', b'"x"}']), headers=json_header).status_code == 200


def test_too_large(http: httpx.Client, simulator: Simulator, luna: Path) -> None:
    simulator.settings(max_body_bytes=_MIB)
    size, pieces = multipart_pieces(luna.read_bytes(), 2)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Content-Length": str(size)}
    assert http.post("/videos/characters", content=pieces, headers=headers).status_code == 413


def test_refusal_is_heard_although_the_body_is_large(anonymous: httpx.Client, simulator: Simulator, luna: Path) -> None:
    size, pieces = multipart_pieces(luna.read_bytes(), 20)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Content-Length": str(size)}
    answer = anonymous.post("/videos/characters", content=pieces, headers=headers)
    assert answer.status_code == 401 and simulator.requests()[-1]["bytes"] == size


def test_a_client_that_goes_away_leaves_nothing(simulator: Simulator, luna: Path) -> None:
    size, pieces = multipart_pieces(luna.read_bytes(), 5)
    with socket.create_connection(("127.0.0.1", simulator.port)) as connection:
        head = "POST /v1/videos/characters HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sim-a\r\n"
        head += f"Content-Length: {size}\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n".encode())
        connection.sendall(next(pieces))
    until = time.monotonic() + 10
    # Nobody has answered, so the simulator may not even have read the head yet.
    while not (outcomes := [one["outcome"] for one in simulator.requests()]) or outcomes[-1] is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert outcomes == ["client_gone"]
    assert simulator.counts()["created"] == {} and list((simulator.state / "incoming").iterdir()) == []


def test_expect_100_continue(simulator: Simulator) -> None:
    """The simulator answers `Expect: 100-continue` at once; without an answer curl waits a second for nothing."""
    body = b'{"prompt": "x"}'
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as connection:
        head = (
            "POST /v1/videos HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sim-a\r\nContent-Type: application/json\r\n"
        )
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")

"""`python -m cli upload luna.mp4 --name Luna`: a clip of any size into a character, with a progress bar.

Over 100 MB the parts go up side by side, and a broken upload goes on where it stopped: the same command asks which
parts have arrived. The base URL and key come from UNDERSTUDY_BASE_URL and UNDERSTUDY_API_KEY.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import httpx

CHUNK = 256 * 1024
WORKERS = 4
TRIES = 4
WAIT_SECONDS = 600


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("upload", help="upload a clip and make a character of it")
    parser.add_argument("file", type=Path)
    parser.add_argument("--name", help="of the character; without it the upload is a video to edit or extend")
    parser.add_argument("--model", help="the model it is made for first (the default one)")
    parser.add_argument("--base-url", default=os.environ.get("UNDERSTUDY_BASE_URL", "http://127.0.0.1:4000/v1"))
    parser.add_argument("--key", default=os.environ.get("UNDERSTUDY_API_KEY", ""), help=argparse.SUPPRESS)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    if not arguments.key:
        raise ValueError("Set UNDERSTUDY_API_KEY to your API key.")
    file: Path = arguments.file
    api = Api(arguments.base_url, arguments.key)
    bar = Bar(file.name, file.stat().st_size)
    memory = _Memory(file, arguments)
    upload = _resumable(api, memory) or _created(api, file, arguments)
    how = upload["upload"]
    if how["method"] == "POST":
        send_form(how, file, upload["mime_type"], bar)
    else:
        memory.keep(upload["id"])
        send_parts(api, upload["id"], file, bar)
        api.call("POST", f"/videos/uploads/{upload['id']}/complete")
    bar.close()
    done = _finished(api, upload["id"])
    memory.forget()
    if done.get("error"):
        print(f"Note: {done['error']['message']}", file=sys.stderr)
    print(done["character"]["id"] if done["character"] else done["id"])


class Api:
    """The gateway's JSON calls."""

    def __init__(self, base_url: str, key: str) -> None:
        self._http = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer. Raises RuntimeError with the message of a refusal."""
        answer = self._http.request(method, path, json=body)
        if answer.is_error:
            try:
                message = answer.json()["error"]["message"]
            except (ValueError, KeyError, TypeError):
                message = answer.text[:200]
            raise RuntimeError(f"{answer.status_code}: {message}")
        return dict(answer.json())


class Bar:
    """A progress bar on standard error; a plain last line where nobody looks."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._sent = name, total, 0
        self._started, self._shown, self._lock = time.monotonic(), 0.0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._sent += count
            if sys.stderr.isatty() and time.monotonic() - self._shown > 0.1:
                self._draw("\r")

    def close(self) -> None:
        self._draw("\r" if sys.stderr.isatty() else "")
        print(file=sys.stderr)

    def _draw(self, start: str) -> None:
        self._shown = time.monotonic()
        share = self._sent / self._total if self._total else 1.0
        rate = self._sent / max(self._shown - self._started, 0.001) / 1_000_000
        blocks = "█" * round(share * 30)
        line = f"{self._name}  {blocks:░<30}  {share:4.0%}  {self._sent / 1_000_000:.1f} MB  {rate:.1f} MB/s"
        print(f"{start}{line}", end="", file=sys.stderr, flush=True)


class _Memory:
    """Remembers, beside the clip, the upload of a large file, so that the same command resumes it."""

    def __init__(self, file: Path, arguments: argparse.Namespace) -> None:
        self._path = file.with_name(f".{file.name}.upload.json")
        status = file.stat()
        self._for = [arguments.base_url, arguments.name, arguments.model, status.st_size, status.st_mtime_ns]

    def recall(self) -> str | None:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return str(kept["id"]) if kept.get("for") == self._for else None

    def keep(self, upload_id: str) -> None:
        self._path.write_text(json.dumps({"id": upload_id, "for": self._for}), "utf-8")

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def _resumable(api: Api, memory: _Memory) -> dict[str, Any] | None:
    upload_id = memory.recall()
    if upload_id is None:
        return None
    try:
        upload = api.call("GET", f"/videos/uploads/{upload_id}")
    except RuntimeError:
        return None
    return upload | {"upload": {"method": "PUT"}} if upload["status"] == "pending" else None


def _created(api: Api, file: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    wanted = {
        "purpose": "character" if arguments.name else "video",
        "filename": file.name,
        "bytes": file.stat().st_size,
        "mime_type": mimetypes.guess_type(file.name)[0] or "video/mp4",
        "name": arguments.name,
        "model": arguments.model,
    }
    return api.call("POST", "/videos/uploads", {name: value for name, value in wanted.items() if value is not None})


def send_form(how: dict[str, Any], file: Path, mime_type: str, bar: Bar) -> None:
    """Send a file by a presigned POST. Raises RuntimeError when the bucket refuses it."""
    with file.open("rb") as opened:
        files = {"file": (file.name, _Watched(opened, bar), mime_type)}
        answer = httpx.post(how["url"], data=how["fields"], files=files, timeout=300)  # type: ignore[arg-type]
    if answer.is_error:
        raise RuntimeError(f"The bucket refused the upload ({answer.status_code}): {answer.text[:300]}")


def send_parts(api: Api, upload_id: str, file: Path, bar: Bar) -> None:
    """Send what has not arrived, some parts at a time, with fresh URLs for each batch."""
    counted: set[int] = set()
    while True:
        plan = api.call("POST", f"/videos/uploads/{upload_id}/parts", {})
        for part in plan["arrived"]:
            if part["part_number"] not in counted:
                counted.add(part["part_number"])
                bar.add(part["bytes"])
        if not plan["parts"]:
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            sent = [pool.submit(_send, file, plan["part_size"], part, bar) for part in plan["parts"]]
        counted |= {one.result() for one in sent}


def _send(file: Path, part_size: int, part: dict[str, Any], bar: Bar) -> int:
    """Send one part; returns its number. Raises RuntimeError when it cannot be sent."""
    number, length = int(part["part_number"]), int(part["bytes"])
    for attempt in range(1, TRIES + 1):
        piece = _Piece(file, (number - 1) * part_size, length, bar)
        try:
            headers = {"Content-Length": str(length)}
            httpx.put(part["url"], content=iter(piece), headers=headers, timeout=300).raise_for_status()
            return number
        except httpx.HTTPError:
            bar.add(-piece.sent)
            time.sleep(2**attempt if attempt < TRIES else 0)
    raise RuntimeError(f"Part {number} could not be sent. The same command goes on from here.")


def _finished(api: Api, upload_id: str) -> dict[str, Any]:
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        upload = api.call("GET", f"/videos/uploads/{upload_id}")
        if upload["status"] == "completed":
            return upload
        if upload["status"] in {"failed", "expired"}:
            raise RuntimeError((upload["error"] or {}).get("message", f"The upload has {upload['status']}."))
        time.sleep(1)
    raise RuntimeError(
        f"The upload is still {upload['status']}; GET /v1/videos/uploads/{upload_id} tells when it is done."
    )


class _Piece:
    """A piece of a file that tells the bar what was sent of it."""

    def __init__(self, file: Path, start: int, length: int, bar: Bar) -> None:
        self._file, self._start, self._length, self._bar, self.sent = file, start, length, bar, 0

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as opened:
            opened.seek(self._start)
            while self.sent < self._length and (data := opened.read(min(CHUNK, self._length - self.sent))):
                self.sent += len(data)
                self._bar.add(len(data))
                yield data


class _Watched:
    """A file that tells the bar what was read of it; seekable, so that httpx knows its length."""

    def __init__(self, file: BinaryIO, bar: Bar) -> None:
        self._file, self._bar = file, bar

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._bar.add(len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

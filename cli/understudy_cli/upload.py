"""`understudy upload luna.mp4 --name Luna`: makes a character from a clip of any size, with a progress bar.

A clip over 100 MB is uploaded in parts, several at a time. After an interruption the same command asks which parts have
arrived and continues. The base URL and the API key come from UNDERSTUDY_BASE_URL and UNDERSTUDY_API_KEY.
"""

from __future__ import annotations

import json
import mimetypes
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TransferSpeedColumn

CHUNK = 256 * 1024
WORKERS = 4
TRIES = 4
WAIT_SECONDS = 600


@dataclass(frozen=True)
class Wish:
    """The purpose of an upload: a character if it has a name, else a video to edit or extend."""

    base_url: str
    name: str | None
    model: str | None


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Name of the character. Without it the upload is a video to edit or extend.")
@click.option("--model", help="Model that the character is made for first. Default: the default one.")
@click.option(
    "--base-url",
    envvar="UNDERSTUDY_BASE_URL",
    default="http://127.0.0.1:4000/v1",
    show_default=True,
    show_envvar=True,
    help="Base URL of the gateway.",
)
@click.option("--key", envvar="UNDERSTUDY_API_KEY", hidden=True)
def upload(file: Path, name: str | None, model: str | None, base_url: str, key: str | None) -> None:
    """Upload FILE and print the id of the character, or of the upload. Set UNDERSTUDY_API_KEY to the API key."""
    if not key:
        raise click.UsageError("Set UNDERSTUDY_API_KEY to your API key.")
    wish, api = Wish(base_url, name, model), Api(base_url, key)
    memory = _Memory(file, wish)
    begun = _resumable(api, memory) or _created(api, file, wish)
    how = begun["upload"]
    bar = Bar(file.name, file.stat().st_size)
    try:
        if how["method"] == "POST":
            send_form(how, file, begun["mime_type"], bar)
        else:
            memory.keep(begun["id"])
            send_parts(api, begun["id"], file, bar)
            api.call("POST", f"/videos/uploads/{begun['id']}/complete")
    finally:
        bar.close()
    done = _finished(api, begun["id"])
    memory.forget()
    if done.get("error"):
        click.echo(f"Note: {done['error']['message']}", err=True)
    click.echo(done["character"]["id"] if done["character"] else done["id"])


class Api:
    """The gateway's JSON calls."""

    def __init__(self, base_url: str, key: str) -> None:
        self._http = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Call the gateway and return the answer. Raises RuntimeError with the status and message of an error."""
        answer = self._http.request(method, path, json=body)
        if not answer.is_success:
            try:
                message = answer.json()["error"]["message"]
            except (ValueError, KeyError, TypeError):
                message = answer.text[:200]
            raise RuntimeError(f"{answer.status_code}: {message}")
        return dict(answer.json())


class Bar:
    """A progress bar on standard error. If standard error is not a terminal, only the last state is shown."""

    def __init__(self, name: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn())
        self._progress = Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True))
        self._task = self._progress.add_task(name, total=total)
        self._progress.start()

    def add(self, count: int) -> None:
        """Add bytes that were sent. A negative `count` takes bytes back that have to be sent again."""
        self._progress.advance(self._task, count)

    def close(self) -> None:
        self._progress.stop()


class _Memory:
    """The id of a large file's upload, saved in a file beside the clip, so that the same command resumes the upload."""

    def __init__(self, file: Path, wish: Wish) -> None:
        self._path = file.with_name(f".{file.name}.upload.json")
        status = file.stat()
        self._for = [wish.base_url, wish.name, wish.model, status.st_size, status.st_mtime_ns]

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


def _created(api: Api, file: Path, wish: Wish) -> dict[str, Any]:
    wanted = {
        "purpose": "character" if wish.name else "video",
        "filename": file.name,
        "bytes": file.stat().st_size,
        "mime_type": mimetypes.guess_type(file.name)[0] or "video/mp4",
        "name": wish.name,
        "model": wish.model,
    }
    return api.call("POST", "/videos/uploads", {name: value for name, value in wanted.items() if value is not None})


def send_form(how: dict[str, Any], file: Path, mime_type: str, bar: Bar) -> None:
    """Send a file by a presigned POST. Raises RuntimeError when the bucket refuses it."""
    with file.open("rb") as opened:
        files = {"file": (file.name, _Watched(opened, bar), mime_type)}
        answer = httpx.post(how["url"], data=how["fields"], files=files, timeout=300)  # type: ignore[arg-type]
    if not answer.is_success:  # a 307 of a new bucket, too: the bytes did not arrive
        raise RuntimeError(f"The bucket refused the upload ({answer.status_code}): {answer.text[:300]}")


def send_parts(api: Api, upload_id: str, file: Path, bar: Bar) -> None:
    """Send the parts that have not arrived, several at a time, with new presigned URLs for each batch."""
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
    """Send one part, with retries. Return its number. Raises RuntimeError if the part cannot be sent."""
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
    """A piece of a file that reports the sent bytes to the progress bar."""

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
    """A file that reports the bytes read to the progress bar. It is seekable, so that httpx knows its length."""

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

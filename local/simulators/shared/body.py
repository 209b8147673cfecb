"""Reads the body of a request: counts and hashes its bytes, and streams files to the disk, not into memory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

import multipart  # type: ignore[import-untyped]  # a single-file package has no py.typed

from local.simulators.shared.errors import Refusal

_CHUNK = 256 * 1024
_MEMORY_LIMIT = 48 * 1024 * 1024  # JSON bodies and plain form fields: room for a data URL of 20 MB and more
_SHOWN = 2000  # characters of one value that the recorder keeps unchanged; longer values are shortened


@dataclass(frozen=True)
class File:
    """A file part. `path` is a temporary file, which a handler may move away; otherwise the server deletes the file."""

    path: Path
    filename: str
    content_type: str
    size: int
    sha256: str


@dataclass
class Body:
    """A parsed body. `kind` is json, multipart, urlencoded, other or empty; `parts` are in the order of the request."""

    kind: str = "empty"
    size: int = 0
    json: Any = None
    parts: list[tuple[str, str | File]] = field(default_factory=list)

    def files(self) -> list[File]:
        return [value for _, value in self.parts if isinstance(value, File)]

    def discard(self) -> None:
        for file in self.files():
            file.path.unlink(missing_ok=True)

    def describe(self) -> dict[str, Any]:
        """Return everything for the recorder except the bytes of files. Long strings are shortened and hashed."""
        fields: dict[str, Any] = {}
        files = []
        for name, value in self.parts:
            if isinstance(value, File):
                facts = {"filename": value.filename, "content_type": value.content_type, "bytes": value.size}
                files.append({"name": name, **facts, "sha256": value.sha256})
            elif name in fields:
                known = fields[name] if isinstance(fields[name], list) else [fields[name]]
                fields[name] = [*known, _shortened(value)]
            else:
                fields[name] = _shortened(value)
        return {"body": self.kind, "bytes": self.size, "fields": fields, "files": files, "json": _shortened(self.json)}


class Incoming(Iterator[bytes]):
    """An iterator over the bytes of one request body, sent with a Content-Length or in chunks.

    `count` is the number of bytes read so far. Raises ConnectionError if the client disconnects before the end.
    """

    def __init__(self, stream: BinaryIO, headers: Message) -> None:
        self._stream = stream
        self.chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        length = headers.get("Content-Length", "0")
        if not length.isdigit():
            raise Refusal(400, "The Content-Length header is not a number.", "invalid_header")
        self.length = 0 if self.chunked else int(length)
        self.count = 0
        self._source = self._by_chunk() if self.chunked else self._by_length(self.length)

    def __next__(self) -> bytes:
        data = next(self._source)
        self.count += len(data)
        return data

    def drain(self) -> None:
        """Read the rest of the body and discard it."""
        for _ in self:
            pass

    def _by_length(self, left: int) -> Iterator[bytes]:
        while left:
            data = self._stream.read(min(_CHUNK, left))
            if not data:
                raise ConnectionError("the client went away in the middle of its body")
            left -= len(data)
            yield data

    def _by_chunk(self) -> Iterator[bytes]:
        while True:
            line = self._stream.readline(100)
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError as error:
                raise ConnectionError("the chunks of the body are malformed or end too early") from error
            if size == 0:
                while self._stream.readline(8192).strip():
                    pass
                return
            yield from self._by_length(size)
            self._stream.readline(3)


def read(incoming: Incoming, headers: Message, folder: Path, limit: int) -> Body:
    """Read and parse a body. Raises Refusal (400, 413), and ConnectionError if the client disconnects."""
    if incoming.length > limit:
        raise Refusal(413, f"The request is larger than {limit} bytes.", "request_too_large")
    body = Body()
    kind, options = multipart.parse_options_header(headers.get("Content-Type", ""))
    try:
        if kind == "multipart/form-data":
            body.kind = "multipart"
            _read_multipart(body, incoming, options.get("boundary", ""), folder, limit)
        else:
            _read_other(body, incoming, kind)
    except BaseException:
        body.discard()
        raise
    finally:
        body.size = incoming.count
    return body


def _read_other(body: Body, incoming: Incoming, kind: str) -> None:
    data = bytearray()
    for chunk in incoming:
        data += chunk
        if len(data) > _MEMORY_LIMIT:
            raise Refusal(413, "The request is too large.", "request_too_large")
    if not data:
        return
    body.kind = {"application/json": "json", "application/x-www-form-urlencoded": "urlencoded"}.get(kind, "other")
    try:
        if body.kind == "json":
            body.json = json.loads(data)
        elif body.kind == "urlencoded":
            body.parts.extend(parse_qsl(data.decode(), keep_blank_values=True))
    except ValueError as error:
        raise Refusal(400, "The body could not be parsed.", "invalid_body") from error


def _read_multipart(body: Body, incoming: Incoming, boundary: str, folder: Path, limit: int) -> None:
    part: _Part | None = None
    try:
        with multipart.PushMultipartParser(boundary, max_segment_count=200) as parser:
            for chunk in incoming:
                if incoming.count > limit:
                    raise Refusal(413, f"The request is larger than {limit} bytes.", "request_too_large")
                for event in parser.parse(chunk) if not parser.closed else ():
                    if isinstance(event, multipart.MultipartSegment):
                        part = _Part(event, folder)
                    elif event is not None and part is not None:
                        part.add(event)
                    elif part is not None:
                        done, part = part, None
                        body.parts.append((done.name, done.finish()))
    except multipart.MultipartError as error:
        raise Refusal(400, f"The multipart body could not be parsed: {error}.", "invalid_body") from error
    finally:
        if part is not None:
            part.abandon()


class _Part:
    """A part that is still being read. A file goes to the disk, a plain field to memory."""

    def __init__(self, segment: multipart.MultipartSegment, folder: Path) -> None:
        self.name = segment.name
        self._filename = segment.filename
        self._type = segment.content_type or "application/octet-stream"
        self._hash = hashlib.sha256()
        self._text = bytearray()
        self._size = 0
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        if segment.filename is not None:
            handle, path = tempfile.mkstemp(dir=folder)
            self._path, self._file = Path(path), os.fdopen(handle, "wb")

    def add(self, data: bytes) -> None:
        self._size += len(data)
        if self._file is not None:
            self._hash.update(data)
            self._file.write(data)
            return
        self._text += data
        if len(self._text) > _MEMORY_LIMIT:
            raise Refusal(413, f"The field {self.name} is too large.", "request_too_large")

    def abandon(self) -> None:
        """Delete the file of a part that was not received completely."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def finish(self) -> str | File:
        if self._file is None or self._path is None:
            try:
                return self._text.decode()
            except UnicodeDecodeError as error:
                raise Refusal(400, f"The field {self.name} is not UTF-8.", "invalid_body", self.name) from error
        self._file.close()
        return File(self._path, self._filename or "", self._type, self._size, self._hash.hexdigest())


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN:
        return {"start": value[:80], "length": len(value), "sha256": hashlib.sha256(value.encode()).hexdigest()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    return value

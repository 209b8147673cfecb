"""Reading a request's body: counted, hashed, files streamed to the disk and never held in memory."""

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
_SHOWN = 2000  # characters of one value that the recorder repeats


@dataclass(frozen=True)
class File:
    """A file part: `path` is a temporary file that the handler may take; what it leaves is removed."""

    path: Path
    filename: str
    content_type: str
    size: int
    sha256: str


@dataclass
class Body:
    """A parsed body. `kind` is json, multipart, urlencoded, other or empty; `parts` keep the order of the wire."""

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
        """For the recorder: everything but the bytes of files; long strings are cut and hashed."""
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
    """The bytes of one request, by Content-Length or in chunks, handed out once; `count` is how many came so far.

    Raises ConnectionError when the client goes away in the middle.
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
        """Reads what is left and forgets it."""
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
    """Parses the body. Raises Refusal (400, 413) for what cannot be read, ConnectionError when the client has gone."""
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
    """One part in the making: a file goes to the disk, a plain field to memory."""

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
        """For a part that never came to its end."""
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

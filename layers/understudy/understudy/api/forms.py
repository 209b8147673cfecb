"""Forms: the parts of a multipart body and the pairs of a urlencoded body.

Limits are checked before work is done, and every reader goes forward only. File contents are views into the body, never
copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.api.text import BodyError, decoded

if TYPE_CHECKING:
    from multipart import MultipartSegment  # type: ignore[import-untyped]  # a single-file package has no py.typed

MAX_PARTS = 64
MAX_HEADERS = 16
MAX_HEADER_BYTES = 8 * 1024
MAX_FIELDS = 256
# urllib's decoder takes up to a second and 20 MB for a hostile MiB; larger things travel as JSON or multipart.
MAX_URLENCODED = 1024 * 1024

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046, section 5.1.1
_BLANK = re.compile(rb"[ \t\r\n]*+")
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file in a form. `data` is a view into the request body and keeps the body alive.

    `filename` is a base name for display, never for storage keys. `content_type` is only the client's claim.
    """

    name: str
    filename: str | None
    content_type: str | None
    data: memoryview


def _malformed(why: str, param: str | None = None) -> BodyError:
    return BodyError("malformed_multipart", f"The multipart body is malformed: {why}.", param)


def parts(body: bytes, content_type: str) -> Iterator[tuple[MultipartSegment, memoryview]]:
    """Yield the headers of each part and a view of its content.

    The multipart library parses and checks, but it returns copies of the content. So the library gets the body in
    chunks, its copies are dropped, and only their total size is used: the content of a part starts after the blank line
    that ends its headers. Raises BodyError.
    """
    import multipart

    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its Content-Type needs a boundary of 1 to 70 permitted characters")
    delimiter = b"--" + boundary.encode()
    position = 2 if body.startswith(b"\r\n") else 0
    if not body.startswith(delimiter, position):
        raise _malformed("it does not start with its boundary")
    # Not strict: the library's strict mode refuses a chunk that begins right after the last boundary.
    parser = multipart.PushMultipartParser(
        boundary,
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER_BYTES,
        max_segment_count=MAX_PARTS,
        header_charset="utf-8",
    )
    view = memoryview(body)
    done = 0
    try:
        with parser:
            for chunk in range(0, len(body), _CHUNK):
                for event in parser.parse(body[chunk : chunk + _CHUNK]):
                    if isinstance(event, multipart.MultipartSegment):
                        segment = event
                    elif event is None:
                        start = body.index(b"\r\n\r\n", position) + 4
                        end = start + segment.size
                        position = end + 2
                        if not body.startswith(delimiter, position):
                            raise _malformed("a part does not end at a boundary")
                        done += 1
                        yield segment, view[start:end]
    except multipart.ParserLimitReached:
        if done == MAX_PARTS:
            raise BodyError("too_many_fields", f"The form has more than {MAX_PARTS} parts.") from None
        limits = f"{MAX_HEADERS} headers, or one over {MAX_HEADER_BYTES} bytes"
        raise BodyError("headers_too_large", f"A part of the form has more than {limits}.") from None
    except multipart.MultipartError as error:
        raise _malformed(str(error.args[0]).lower()) from None
    if not _BLANK.fullmatch(body, position + len(delimiter) + 2):
        raise _malformed("something follows its last boundary")


def check_headers(segment: MultipartSegment, name: str) -> None:
    """Raise BodyError for headers that would give the content another meaning than its plain bytes."""
    headers = [header for header, _ in segment.headerlist]
    if headers.count("Content-Disposition") > 1 or headers.count("Content-Type") > 1:
        raise _malformed("a part has a header twice", name)
    if segment.header("Content-Transfer-Encoding", "binary").strip().lower() not in ("binary", "8bit", "7bit"):
        raise _malformed("a part has a Content-Transfer-Encoding; send the plain bytes", name)
    if (segment.content_type or "").startswith("multipart/"):
        raise _malformed("a part is multipart itself", name)


def base_name(filename: str | None) -> str | None:
    """Return the last component of a file name that may be a path, cleaned for display, or None if nothing is left."""
    last = re.split(r"[/\\]", filename or "")[-1]
    shown = "".join(character for character in last if character.isprintable()).strip()[:255]
    return shown if shown.strip(".") else None


def pairs(body: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a urlencoded body. Raises BodyError."""
    from urllib.parse import parse_qsl

    if len(body) > MAX_URLENCODED:
        hint = f"A urlencoded body may have {MAX_URLENCODED} bytes: send this one as JSON or multipart/form-data."
        raise BodyError("body_too_large", hint)
    if body.count(b"&") >= MAX_FIELDS:
        raise BodyError("too_many_fields", f"The form has more than {MAX_FIELDS} fields.")
    try:
        return parse_qsl(decoded(body, None), keep_blank_values=True, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        raise BodyError("malformed_text", "Text must be UTF-8.") from None

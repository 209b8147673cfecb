"""Turns every body shape that clients send into one plain structure.

JSON, multipart and urlencoded bodies that mean the same give the same `dict`. Bracket keys (`video[id]`,
`characters[][id]`, `characters[0][id]`) are unfolded; JSON text in a form is read for the few fields that are objects
by contract. What fields mean is not known here.

Work is bounded before it is done: parts, headers, fields, brackets, JSON depth and JSON size all have a limit, and
every reader goes forward only. File contents are views into the body, never copies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from multipart import MultipartSegment  # type: ignore[import-untyped]  # a single-file package has no py.typed

MAX_PARTS = 64
MAX_HEADERS = 16
MAX_HEADER_BYTES = 8 * 1024
MAX_FIELDS = 256
MAX_NAME = 256
MAX_BRACKETS = 8
MAX_JSON_DEPTH = 32
MAX_JSON_TOKENS = 65_536
MAX_DIGITS = 64
MAX_CONTENT_TYPE = 1000
# urllib's decoder takes up to a second and 20 MB for a hostile MiB; larger things travel as JSON or multipart.
MAX_URLENCODED = 1024 * 1024

#: Form fields whose text may be JSON, because the API knows them as objects or lists.
STRUCTURED = frozenset({"characters", "input_reference", "video"})

#: The codes of `WireError`, each with the HTTP status that fits it.
STATUS = {
    "malformed_json": 400,
    "malformed_multipart": 400,
    "malformed_field_name": 400,
    "malformed_text": 400,
    "duplicate_field": 400,
    "ambiguous_field": 400,
    "nesting_too_deep": 400,
    "too_many_fields": 413,
    "headers_too_large": 413,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "unsupported_charset": 415,
}


class WireError(Exception):
    """The body cannot be read. `message` is for the caller and quotes no values; `param` names the field to blame."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.status = STATUS[code]


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file in a form; `data` is a view into the request body, which it keeps alive.

    `filename` is a base name to show, never to build keys from; `content_type` is only what the client claims.
    """

    name: str
    filename: str | None
    content_type: str | None
    data: memoryview


Value: TypeAlias = "str | int | float | bool | FilePart | list[Value] | dict[str, Value] | None"
_Path: TypeAlias = "tuple[str, ...]"
_Entry: TypeAlias = "tuple[_Path, Value]"


def parse(body: bytes, content_type: str | None, *, structured: frozenset[str] = STRUCTURED) -> dict[str, Value]:
    """The fields of a request body, whatever its shape. An empty body has none. Raises `WireError`.

    Form values are strings, files `FilePart`. A form field named in `structured`, or an element of one
    (`characters[]`), is decoded when its text looks like a JSON object or array, or its part says that it is JSON.
    """
    if not body:
        return {}
    content_type = content_type or ""
    if len(content_type) > MAX_CONTENT_TYPE:
        raise WireError("unsupported_media_type", "The Content-Type header is too long.")
    charset = _CHARSET.search(content_type)
    _require_utf8(charset[1] if charset else None)
    media_type = content_type.partition(";")[0].strip().lower()
    json = _Json()
    if media_type == "application/json" or (not media_type and _looks_like_json(body)):
        value = json.decode(_text(body, None), None)
        if not isinstance(value, dict):
            raise WireError("malformed_json", "The JSON body must be an object.")
        return value
    if media_type == "multipart/form-data":
        return _unfold([_part_entry(*part, structured, json) for part in _parts(body, content_type)])
    if _looks_like_json(body):
        hint = "The body looks like JSON: send it with the header 'Content-Type: application/json'."
        raise WireError("unsupported_media_type", hint)
    if media_type == "application/x-www-form-urlencoded":
        return _unfold([_text_entry(*pair, structured, json) for pair in _pairs(body)])
    hint = "Send the body as application/json, multipart/form-data or application/x-www-form-urlencoded."
    raise WireError("unsupported_media_type", hint)


# Text

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


def _require_utf8(charset: str | None) -> None:
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise WireError("unsupported_charset", "Text must be UTF-8.")


def _looks_like_json(data: bytes | memoryview) -> bool:
    return bytes(data[:64]).lstrip()[:1] in (b"{", b"[")


def _text(data: bytes | memoryview, param: str | None) -> str:
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError:
        message = (
            f"The field '{param}' is not UTF-8 text; a file needs a file name." if param else "Text must be UTF-8."
        )
        raise WireError("malformed_text", message, param) from None
    _check_text(text, param)
    return text


def _check_text(text: str, param: str | None) -> None:
    """Refuses what no field may hold and JSON's and URL's escapes can spell: NUL, and half of a surrogate pair."""
    if "\0" in text or (not text.isascii() and _SURROGATE.search(text)):
        raise WireError("malformed_text", "Text must not contain NUL or unpaired surrogates.", param)


# JSON

# A string (also an unclosed one, so that no byte is looked at twice), or a piece of structure.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)


class _Json:
    """Decodes the JSON texts of one request; the limit on tokens is for all of them together."""

    def __init__(self) -> None:
        self._tokens = 0

    def decode(self, text: str, param: str | None) -> Value:
        import json

        text = text.removeprefix("\ufeff")
        try:
            self._measure(text)
            value: Value = json.loads(
                text, object_pairs_hook=_unique, parse_int=_number, parse_float=_number, parse_constant=_number
            )
            _check_texts(value)
        except json.JSONDecodeError as error:
            what = f"The field '{param}'" if param else "The body"
            message = f"{what} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
            raise WireError("malformed_json", message, param) from None
        except WireError as error:
            raise WireError(error.code, error.message, param or error.param) from None
        return value

    def _measure(self, text: str) -> None:
        """Refuses what is too deep or too large before anything is built from it."""
        depth = 0
        for token in _TOKEN.finditer(text):
            self._tokens += 1
            if self._tokens > MAX_JSON_TOKENS:
                raise WireError("too_many_fields", "The JSON has too many values.")
            sign = text[token.start()]
            depth += (sign in "[{") - (sign in "]}")
            if depth > MAX_JSON_DEPTH:
                raise WireError("nesting_too_deep", f"The JSON is nested deeper than {MAX_JSON_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise WireError("duplicate_field", "A JSON object has a key twice.", _shown(key))
        members[key] = value
    return members


def _number(word: str) -> int | float:
    if len(word) > MAX_DIGITS:
        raise WireError("malformed_json", f"A JSON number has more than {MAX_DIGITS} digits.")
    if word.removeprefix("-").isdecimal():
        return int(word)
    number = float(word)  # also of Python's own NaN, Infinity and -Infinity, and of 1e999
    if not math.isfinite(number):
        raise WireError("malformed_json", "A JSON number must be finite.")
    return number


def _check_texts(value: Value, param: str | None = None) -> None:
    if isinstance(value, str):
        _check_text(value, param)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, param)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, param)
            _check_texts(item, param or _shown(key))


# Multipart

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046, section 5.1.1
_BLANK = re.compile(rb"[ \t\r\n]*+")
_CHUNK = 64 * 1024


def _malformed(why: str, param: str | None = None) -> WireError:
    return WireError("malformed_multipart", f"The multipart body is malformed: {why}.", param)


def _parts(body: bytes, content_type: str) -> Iterator[tuple[MultipartSegment, memoryview]]:
    """The headers of each part and a view of its content.

    The library parses and checks, but hands out copies of the content. So it is fed in chunks, its copies are dropped
    and only their total is kept: a part's content starts after the blank line that ends its headers.
    """
    import multipart

    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its Content-Type has no boundary, or not one of 1 to 70 permitted characters")
    delimiter = b"--" + boundary.encode()
    position = 2 if body.startswith(b"\r\n") else 0
    if not body.startswith(delimiter, position):
        raise _malformed("it does not start with its boundary")
    # Not in the library's strict mode: that one refuses a chunk which begins right after the last boundary.
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
            raise WireError("too_many_fields", f"The form has more than {MAX_PARTS} parts.") from None
        limits = f"{MAX_HEADERS} headers, or one over {MAX_HEADER_BYTES} bytes"
        raise WireError("headers_too_large", f"A part of the form has more than {limits}.") from None
    except multipart.MultipartError as error:
        raise _malformed(str(error.args[0]).lower()) from None
    if not _BLANK.fullmatch(body, position + len(delimiter) + 2):
        raise _malformed("something follows its last boundary")


def _part_entry(segment: MultipartSegment, data: memoryview, structured: frozenset[str], json: _Json) -> _Entry:
    name: str = segment.name
    path = _path(name)
    _check_headers(segment, name)
    content_type: str | None = segment.content_type
    is_file = segment.filename is not None
    is_json = content_type == "application/json"
    # A browser gives every Blob a file name, also one of JSON.
    if is_json and _is_structured(path, structured) and (not is_file or _looks_like_json(data)):
        return path, json.decode(_text(data, name), name)
    if is_file or not (content_type is None or content_type.startswith("text/") or is_json):
        return path, FilePart(name, _base_name(segment.filename), content_type, data)
    _require_utf8(segment.charset)
    return _text_entry(name, _text(data, name), structured, json)


def _check_headers(segment: MultipartSegment, name: str) -> None:
    """Refuses headers that would make the content mean something else than its bytes."""
    headers = [header for header, _ in segment.headerlist]
    if headers.count("Content-Disposition") > 1 or headers.count("Content-Type") > 1:
        raise _malformed("a part has a header twice", name)
    if segment.header("Content-Transfer-Encoding", "binary").strip().lower() not in ("binary", "8bit", "7bit"):
        raise _malformed("a part has a Content-Transfer-Encoding; send the plain bytes", name)
    if (segment.content_type or "").startswith("multipart/"):
        raise _malformed("a part is multipart itself", name)


def _base_name(filename: str | None) -> str | None:
    """The last component of what may be a path, fit to be shown."""
    last = re.split(r"[/\\]", filename or "")[-1]
    shown = "".join(character for character in last if character.isprintable()).strip()[:255]
    return shown if shown.strip(".") else None


# Form fields

_NAME = re.compile(r"[^\[\]\x00-\x1f\x7f]+(?:\[[^\[\]\x00-\x1f\x7f]*\])*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")


def _pairs(body: bytes) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    if len(body) > MAX_URLENCODED:
        hint = f"A urlencoded body may have {MAX_URLENCODED} bytes: send this one as JSON or multipart/form-data."
        raise WireError("body_too_large", hint)
    if body.count(b"&") >= MAX_FIELDS:
        raise WireError("too_many_fields", f"The form has more than {MAX_FIELDS} fields.")
    try:
        return parse_qsl(_text(body, None), keep_blank_values=True, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        raise WireError("malformed_text", "Text must be UTF-8.") from None


def _text_entry(name: str, text: str, structured: frozenset[str], json: _Json) -> _Entry:
    path = _path(name)
    _check_text(text, name)
    if _is_structured(path, structured) and text.lstrip()[:1] in ("{", "["):
        return path, json.decode(text, name)
    return path, text


def _is_structured(path: _Path, structured: frozenset[str]) -> bool:
    """Whether it is one of those fields, or an element of one: `characters[]`, `characters[0]`."""
    return path[0] in structured and (len(path) == 1 or (len(path) == 2 and (not path[1] or path[1].isdecimal())))


def _path(name: str) -> _Path:
    """`a[b][0][]` as ("a", "b", "0", "")."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        message = f"A field name is a word with [key], [0] or [] after it, of {MAX_NAME} characters at most."
        raise WireError("malformed_field_name", message, _shown(name))
    path = tuple(name.replace("]", "").split("["))
    if len(path) - 1 > MAX_BRACKETS:
        raise WireError("nesting_too_deep", f"A field name has more than {MAX_BRACKETS} brackets.", name)
    if any(step.isdecimal() and not _INDEX.fullmatch(step) for step in path[1:]):
        raise WireError("malformed_field_name", "An index is a number from 0 to 9999.", name)
    if path.count("") > 1:
        raise _ambiguous(path)
    return path


def _shown(name: str) -> str | None:
    return name[:MAX_NAME] if name.isprintable() else None


def _spelled(path: _Path) -> str:
    return path[0] + "".join(f"[{step}]" for step in path[1:])


def _ambiguous(path: _Path) -> WireError:
    message = f"'{_spelled(path)}' can be read in several ways: number the elements ('{path[0]}[0]'), or send JSON."
    return WireError("ambiguous_field", message, _spelled(path))


def _unfold(entries: list[_Entry]) -> dict[str, Value]:
    return {name: _assemble(group, 1) for name, group in _grouped(entries, 0).items()}


def _grouped(entries: list[_Entry], depth: int) -> dict[str, list[_Entry]]:
    groups: dict[str, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry[0][depth], []).append(entry)
    return groups


def _assemble(entries: list[_Entry], depth: int) -> Value:
    """The value that entries spell together whose paths agree in their first `depth` steps."""
    path = entries[0][0][:depth]
    if any(len(entry[0]) == depth for entry in entries):
        if len(entries) > 1:
            name = _spelled(path)
            raise WireError("duplicate_field", f"The field '{name}' is given more than once.", name)
        return entries[0][1]
    groups = _grouped(entries, depth)
    if list(groups) == [""]:
        return [_assemble(row, depth + 1) for row in _rows(entries, depth + 1)]
    numbered = [step for step in groups if step.isdecimal()]
    if "" in groups or 0 < len(numbered) < len(groups):
        raise _ambiguous(path)
    if numbered:  # gaps close up: an index says the order, not the length
        return [_assemble(groups[step], depth + 1) for step in sorted(numbered, key=int)]
    return {step: _assemble(group, depth + 1) for step, group in groups.items()}


def _rows(entries: list[_Entry], depth: int) -> list[list[_Entry]]:
    """The elements of an array of which only the order is given: `a[][id]=1`, `a[][x]=2`, `a[][id]=3` are two.

    openai-node 6.49.0 writes element by element, so that a repeated key starts the next one; openai-python 3.54.0
    writes key by key (both ids, then both xs), so that the nth value of a key belongs to the nth element. Where the
    two readings differ a guess could put a value into the wrong object, unless every key is given equally often.
    """
    by_key: list[int] = []
    by_repetition: list[int] = []
    counts: dict[_Path, int] = {}
    current: set[_Path] = set()
    row = 0
    for path, _ in entries:
        key = path[depth:]
        by_key.append(counts.get(key, 0))
        counts[key] = counts.get(key, 0) + 1
        if key in current:
            row, current = row + 1, set()
        current.add(key)
        by_repetition.append(row)
    if by_key != by_repetition and len(set(counts.values())) > 1:
        raise _ambiguous(entries[0][0][:depth])
    rows: list[list[_Entry]] = [[] for _ in range(max(by_key) + 1)]
    for number, entry in zip(by_key, entries, strict=True):
        rows[number].append(entry)
    return rows

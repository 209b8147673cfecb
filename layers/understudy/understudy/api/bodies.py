"""Parses every body shape that clients send into one plain structure.

JSON, multipart and urlencoded bodies with the same meaning give the same `dict`. JSON text in a form is parsed only for
the few fields that the API defines as objects or lists. This module does not know what the fields mean.

Limits are checked before work is done: on parts, headers, fields, brackets, JSON depth and JSON size. Every reader goes
forward only.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from understudy.api import forms
from understudy.api.fields import Entry, Value, is_structured, path_of, shown, unfold
from understudy.api.text import CHARSET, BodyError, check_text, decoded, looks_like_json, require_utf8

if TYPE_CHECKING:
    from multipart import MultipartSegment  # type: ignore[import-untyped]  # a single-file package has no py.typed

MAX_JSON_DEPTH = 32
MAX_JSON_TOKENS = 65_536
MAX_DIGITS = 64
MAX_CONTENT_TYPE = 1000

#: Form fields whose text may be JSON, because the API knows them as objects or lists.
STRUCTURED = frozenset({"characters", "input_reference", "video"})


def parse(body: bytes, content_type: str | None, *, structured: frozenset[str] = STRUCTURED) -> dict[str, Value]:
    """Return the fields of a request body of any supported type. An empty body has no fields. Raises `BodyError`.

    Form values are strings, and files are `FilePart`. A form field named in `structured`, or an element of such a field
    (`characters[]`), is decoded when its text looks like a JSON object or array, or when its part says that it is JSON.
    """
    if not body:
        return {}
    content_type = content_type or ""
    if len(content_type) > MAX_CONTENT_TYPE:
        raise BodyError("unsupported_media_type", "The Content-Type header is too long.")
    charset = CHARSET.search(content_type)
    require_utf8(charset[1] if charset else None)
    media_type = content_type.partition(";")[0].strip().lower()
    json = _Json()
    if media_type == "application/json" or (not media_type and looks_like_json(body)):
        value = json.decode(decoded(body, None), None)
        if not isinstance(value, dict):
            raise BodyError("malformed_json", "The JSON body must be an object.")
        return value
    if media_type == "multipart/form-data":
        return unfold([_part_entry(*part, structured, json) for part in forms.parts(body, content_type)])
    if looks_like_json(body):
        hint = "The body looks like JSON: send it with the header 'Content-Type: application/json'."
        raise BodyError("unsupported_media_type", hint)
    if media_type == "application/x-www-form-urlencoded":
        return unfold([_text_entry(*pair, structured, json) for pair in forms.pairs(body)])
    hint = "Send the body as application/json, multipart/form-data or application/x-www-form-urlencoded."
    raise BodyError("unsupported_media_type", hint)


def _part_entry(segment: MultipartSegment, data: memoryview, structured: frozenset[str], json: _Json) -> Entry:
    name: str = segment.name
    path = path_of(name)
    forms.check_headers(segment, name)
    content_type: str | None = segment.content_type
    is_file = segment.filename is not None
    is_json = content_type == "application/json"
    # A browser gives every Blob a file name, also one of JSON.
    if is_json and is_structured(path, structured) and (not is_file or looks_like_json(data)):
        return path, json.decode(decoded(data, name), name)
    if is_file or not (content_type is None or content_type.startswith("text/") or is_json):
        return path, forms.FilePart(name, forms.base_name(segment.filename), content_type, data)
    require_utf8(segment.charset)
    return _text_entry(name, decoded(data, name), structured, json)


def _text_entry(name: str, text: str, structured: frozenset[str], json: _Json) -> Entry:
    path = path_of(name)
    check_text(text, name)
    if is_structured(path, structured) and text.lstrip()[:1] in ("{", "["):
        return path, json.decode(text, name)
    return path, text


# JSON

# A string (also an unclosed one, so that no byte is looked at twice), or a piece of structure.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)


class _Json:
    """Decodes the JSON texts of one request. All JSON texts of a request share one limit on tokens."""

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
            _check_all(value)
        except json.JSONDecodeError as error:
            what = f"The field '{param}'" if param else "The body"
            message = f"{what} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
            raise BodyError("malformed_json", message, param) from None
        except BodyError as error:
            raise BodyError(error.code, error.message, param or error.param) from None
        return value

    def _measure(self, text: str) -> None:
        """Raise BodyError for JSON that is too deep or too large, before anything is built from it."""
        depth = 0
        for token in _TOKEN.finditer(text):
            self._tokens += 1
            if self._tokens > MAX_JSON_TOKENS:
                raise BodyError("too_many_fields", "The JSON body has too many values.")
            sign = text[token.start()]
            depth += (sign in "[{") - (sign in "]}")
            if depth > MAX_JSON_DEPTH:
                raise BodyError("nesting_too_deep", f"The JSON is nested deeper than {MAX_JSON_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise BodyError("duplicate_field", "A JSON object has the same key twice. Send each key once.", shown(key))
        members[key] = value
    return members


def _number(word: str) -> int | float:
    if len(word) > MAX_DIGITS:
        raise BodyError("malformed_json", f"A JSON number has more than {MAX_DIGITS} digits.")
    if word.removeprefix("-").isdecimal():
        return int(word)
    number = float(word)  # json also passes NaN, Infinity and -Infinity; 1e999 becomes inf
    if not math.isfinite(number):
        raise BodyError("malformed_json", "A JSON number must be finite.")
    return number


def _check_all(value: Value, param: str | None = None) -> None:
    if isinstance(value, str):
        check_text(value, param)
    elif isinstance(value, list):
        for item in value:
            _check_all(item, param)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key, param)
            _check_all(item, param or shown(key))

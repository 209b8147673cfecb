"""Checks of the text in request bodies, and the error for a body that cannot be read."""

from __future__ import annotations

import re

from understudy.errors import InvalidRequest

#: The codes of `BodyError`, each with the HTTP status that fits it.
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


class BodyError(InvalidRequest):
    """The body cannot be read. `message` is for the caller and quotes no values. `param` names the wrong field."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message, param=param, code=code)
        self.status = STATUS[code]


CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


def require_utf8(charset: str | None) -> None:
    """Raise BodyError if a charset is given that is neither UTF-8 nor ASCII."""
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise BodyError("unsupported_charset", "Text must be UTF-8.")


def looks_like_json(data: bytes | memoryview) -> bool:
    """Return whether the data begins like a JSON object or array."""
    return bytes(data[:64]).lstrip()[:1] in (b"{", b"[")


def decoded(data: bytes | memoryview, param: str | None) -> str:
    """Return the data as text. Raises BodyError, naming `param`, if it is not UTF-8 or `check_text` refuses it."""
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError:
        message = (
            f"The field '{param}' is not UTF-8 text; a file needs a file name." if param else "Text must be UTF-8."
        )
        raise BodyError("malformed_text", message, param) from None
    check_text(text, param)
    return text


def check_text(text: str, param: str | None) -> None:
    """Raise BodyError for NUL and for half of a surrogate pair, which the escapes of JSON and URLs can spell."""
    if "\0" in text or (not text.isascii() and _SURROGATE.search(text)):
        raise BodyError("malformed_text", "Text must not contain NUL or unpaired surrogates.", param)

"""Managed ids: the id alone says who made a resource, where its row is and who owns it, and cannot be forged.

    video_<base64url>        character_<base64url>        upload_<base64url>

The payload, before base64url without padding:

    version (1 byte) · key id (1 byte) · owner tag (8 bytes) · record · provider · model_id · original id
    · MAC (16 bytes)

The four in the middle are UTF-8 strings, each behind its length (unsigned LEB128). `record` is the key of our row,
`model_id` the deployment's stable id, `original id` the provider's own id. The MAC is HMAC-SHA256 over the prefix and
everything before the MAC, cut to 128 bits. It is checked, in constant time, before anything else in the id is trusted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from understudy.errors import NotFound

VERSION = 1
MAC_BYTES = 16
TAG_BYTES = 8
MAX_LENGTH = 1024  # of an id as text; ordinary ones stay under 200
MIN_LENGTH = 64  # characters after the prefix; a shorter text is not taken for a managed id
MAX_ORIGINAL_BYTES = 120  # a longer original id (Vertex operation names) stays in the row


class Kind(StrEnum):
    """The kind of resource that an id names. The value is the id's prefix."""

    VIDEO = "video"
    CHARACTER = "character"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class ManagedId:
    """The contents of a verified id. `original_id` is '' if the provider's own id was too long to carry."""

    kind: Kind
    record: str
    provider: str
    model_id: str
    original_id: str


class IdCodec:
    """Makes managed ids with the current MAC key. Reads ids made with the current key and with its neighbours.

    `others` returns the keys before and after `current`. It is called only if `current` did not make an id.
    """

    def __init__(self, current: bytes, others: Callable[[], Iterable[bytes]] = tuple) -> None:
        self._current = current
        self._others = others

    @property
    def key_id(self) -> int:
        """The id of the key that signs now. A row stores it, so that the resource keeps its id after a key rotation."""
        return _key_id(self._current)

    def encode(self, managed: ManagedId, *, team: str, key_id: int | None = None) -> str:
        """Return the id of a resource that belongs to `team`, signed with the key that `key_id` names.

        Without `key_id`, or if there is no such key any more, the current key signs.
        """
        key = self._current if key_id is None else next(self._keys(key_id), self._current)
        original = managed.original_id.encode()
        if len(original) > MAX_ORIGINAL_BYTES:
            original = b""
        payload = bytes((VERSION, _key_id(key))) + _owner_tag(key, team)
        payload += b"".join(
            _pack(part)
            for part in (managed.record.encode(), managed.provider.encode(), managed.model_id.encode(), original)
        )
        payload += _mac(key, managed.kind, payload)
        return f"{managed.kind}_{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}"

    def decode(self, text: str, kind: Kind, *, team: str) -> ManagedId:
        """Read an id of `kind` that belongs to `team`. Ids that a LiteLLM proxy in front of us has wrapped work, too.

        Raises NotFound for a malformed, tampered or foreign id, and for an id of another kind, version or key. The
        error is always the same, so it tells an attacker nothing.
        """
        managed = self._verified(text, kind, team)
        if managed is None and (wrapped := unwrap(text, kind)):
            managed = self._verified(wrapped.original_id, kind, team)
        if managed is None:
            raise not_found(kind)
        return managed

    def _verified(self, text: str, kind: Kind, team: str) -> ManagedId | None:
        prefix = f"{kind}_"
        if not text.startswith(prefix) or len(text) > MAX_LENGTH:
            return None
        payload = _strict_base64url(text.removeprefix(prefix))
        if payload is None or len(payload) < 2 + TAG_BYTES + MAC_BYTES:
            return None
        body, mac = payload[:-MAC_BYTES], payload[-MAC_BYTES:]
        key = next((key for key in self._keys(body[1]) if hmac.compare_digest(_mac(key, kind, body), mac)), None)
        if key is None:
            return None
        if body[0] != VERSION or not hmac.compare_digest(_owner_tag(key, team), body[2 : 2 + TAG_BYTES]):
            return None
        record, provider, model_id, original_id = _unpack(body[2 + TAG_BYTES :])
        return ManagedId(kind, record, provider, model_id, original_id)

    def _keys(self, key_id: int) -> Iterator[bytes]:
        """Yield the keys that may have made an id. A key id is one byte, so two keys may share it."""
        if key_id == _key_id(self._current):
            yield self._current
        yield from (key for key in self._others() if key_id == _key_id(key))


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The contents of a LiteLLM id. Anybody can write a LiteLLM id: nothing in it is verified."""

    provider: str
    model_id: str
    original_id: str


# LiteLLM's proxy unwraps its ids again, but not in the fields of a form, and openai-python sends characters in a form
# (litellm/types/videos/utils.py, 1.109.1).
_WRAPPED = re.compile(r"litellm:custom_llm_provider:([^;]*);model_id:([^;]*);([a-z]+)_id:([^;]+)(?:;[a-z_]+:[^;]*)*")


def unwrap(text: str, kind: Kind) -> Wrapped | None:
    """Return the contents of a LiteLLM id of this kind, or None if `text` is no such id."""
    if len(text) > MAX_LENGTH:
        return None
    wrapped = text.removeprefix(f"{kind}_")
    try:
        plain = base64.b64decode(wrapped + "=" * (-len(wrapped) % 4), validate=True).decode()
    except ValueError:
        return None
    found = _WRAPPED.fullmatch(plain)
    return Wrapped(found[1], found[2], found[4]) if found is not None and found[3] == kind else None


def new_record() -> str:
    """Return a record id that sorts by creation time (milliseconds) and cannot be guessed."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def resembles(text: str) -> bool:
    """Return True if `text` starts like a managed id and is as long: then it is a managed id or a forgery.

    No other system issues such ids. The shortest managed id has 80 characters after its prefix; OpenAI's own ids have
    48 (2026-09).
    """
    prefix, _, rest = text.partition("_")
    return prefix in list(Kind) and len(rest) >= MIN_LENGTH


def not_found(kind: Kind) -> NotFound:
    """Return the error for every id that does not lead to a resource of the caller."""
    return NotFound(f"No {kind} with this id exists.", code=f"{kind}_not_found")


def _key_id(key: bytes) -> int:
    return hashlib.sha256(b"understudy key id" + key).digest()[0]


def _owner_tag(key: bytes, team: str) -> bytes:
    return hmac.digest(key, b"owner\0" + team.encode(), "sha256")[:TAG_BYTES]


def _mac(key: bytes, kind: Kind, payload: bytes) -> bytes:
    return hmac.digest(key, b"id\0" + kind.encode() + b"\0" + payload, "sha256")[:MAC_BYTES]


def _strict_base64url(text: str) -> bytes | None:
    """Decode unpadded base64url. Return None unless `text` is the canonical spelling.

    In another spelling the unused bits of the last character could be changed unnoticed.
    """
    try:
        raw = text.encode("ascii")
        payload = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return payload if base64.urlsafe_b64encode(payload).rstrip(b"=") == raw else None


def _pack(part: bytes) -> bytes:
    length, prefix = len(part), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + part


def _unpack(packed: bytes) -> list[str]:
    """Split the packed strings. The MAC was checked before, so we packed them and they are well formed."""
    parts, at = [], 0
    while at < len(packed):
        length = shift = 0
        while True:
            byte = packed[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        parts.append(packed[at : at + length].decode())
        at += length
    return parts

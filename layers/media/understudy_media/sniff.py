"""Tells what a file is from its first bytes, never from its name or its declared type."""

from __future__ import annotations

from dataclasses import dataclass

from understudy_media.refusal import Refusal, damaged

HEAD_BYTES = 4096


@dataclass(frozen=True)
class Kind:
    """A container format that is opened: its public name, its MIME type and the only demuxer that reads it."""

    name: str
    mime_type: str
    demuxer: str


MP4 = Kind("mp4", "video/mp4", "mov")
MOV = Kind("mov", "video/quicktime", "mov")
WEBM = Kind("webm", "video/webm", "matroska")
MKV = Kind("mkv", "video/x-matroska", "matroska")

# Pictures in the same box format (HEIF, AVIF, Canon raw), which the mov demuxer would open.
_PICTURE_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"crx "}
# QuickTime files older than `ftyp` begin with one of these.
_CLASSIC_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip"}

_EBML = b"\x1a\x45\xdf\xa3"
_DOCTYPE = b"\x42\x82"
_SEGMENT = b"\x18\x53\x80\x67"


def sniff(head: bytes, size: int) -> Kind:
    """Return the container of a file of `size` bytes that begins with `head` (HEAD_BYTES of it, or the whole file).

    Raises Refusal: `not_a_video` for anything but MP4, MOV, WebM and Matroska; `unreadable` for a WebM that was cut
    off. Sources: ISO/IEC 14496-12 (boxes), RFC 8794 (EBML), RFC 9559 (Matroska).
    """
    if not head:
        raise Refusal("not_a_video", "The file is empty. Send an MP4, MOV or WebM video.")
    if head[4:8] == b"ftyp" and len(head) >= 12:
        brand = head[8:12]
        if brand not in _PICTURE_BRANDS:
            return MOV if brand == b"qt  " else MP4
    elif head[4:8] in _CLASSIC_BOXES:
        return MOV
    elif head.startswith(_EBML):
        return _sniff_ebml(head, size)
    raise Refusal("not_a_video", "The file is not a supported video. Send an MP4, MOV or WebM video.")


def _sniff_ebml(head: bytes, size: int) -> Kind:
    length, body = _vint(head, 4)
    end = body + length
    doctype = b""
    at = body
    while at < min(end, len(head)):
        name, at = head[at : at + _width(head, at)], at + _width(head, at)
        length, at = _vint(head, at)
        if name == _DOCTYPE:
            doctype = head[at : at + length].rstrip(b"\0")
        at += length
    if doctype not in (b"webm", b"matroska"):
        raise Refusal("not_a_video", "The file is not a supported video. Send an MP4, MOV or WebM video.")
    if head[end : end + 4] == _SEGMENT:
        length, body = _vint(head, end + 4)
        unknown = (1 << 7 * _width(head, end + 4)) - 1
        if length != unknown and body + length > size:
            raise damaged()
    return WEBM if doctype == b"webm" else MKV


def _width(data: bytes, at: int) -> int:
    """Return the bytes of the variable-length number at `at`: one more than the zero bits at its beginning."""
    if at >= len(data) or data[at] == 0:
        raise damaged()
    return 9 - data[at].bit_length()


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` without its length marker, and the position after the number."""
    width = _width(data, at)
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return value, at + width

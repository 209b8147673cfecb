"""Tells what a file is from its first bytes, because neither its name nor its declared type can be trusted.

This is a filter before money is spent, not a proof: only the sealed functions open media.
"""

from __future__ import annotations

#: Enough of a video for `video`. Images need more: their size may follow long metadata, so give `image` the whole file.
VIDEO_HEAD = 4096

#: The containers that `video` knows, with their types.
VIDEO_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm"}
JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"

# Major brands of ISO base media files that are pictures (HEIF, AVIF, JPEG 2000, Canon raw) or sound. Their compatible
# brands often name a video format too (`avis` has `iso8`, `M4A ` has `isom`), so the major brand decides.
_NOT_VIDEO = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"miaf", b"msf1"}
    | {b"avif", b"avis", b"avci", b"avcs", b"jpeg", b"jpgs", b"j2ki", b"j2is", b"vvic", b"vvis", b"crx "}
    | {b"jp2 ", b"jpx ", b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax "}
)
# How the brands of MP4 and its relatives begin: ISO, MPEG-4, Apple, 3GPP, Flash, DASH and CMAF, Sony, AV1.
_VIDEO = (b"iso", b"mp4", b"avc", b"M4V", b"3g", b"f4v", b"F4V", b"dash", b"cmf", b"MSNV", b"XAVC", b"mmp4", b"av01")

_MAX_SEGMENTS = 4096  # of a JPEG before its size; each can be 64 kB, so real files have tens


def video(head: bytes | memoryview) -> str | None:
    """Return `mp4`, `mov` or `webm`, or None. Matroska is `webm`: the same container, read by the same demuxer."""
    head = bytes(head[:VIDEO_HEAD])
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm" if _doctype(head) in (b"webm", b"matroska") else None
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind == b"ftyp":
        return _brand(head[8:size])
    # QuickTime files from before 2001, and some cameras' today, have no brand.
    is_movie = kind == b"moov" and head[12:16] in (b"mvhd", b"cmov")
    is_data = kind == b"wide" and size == 8 and head[12:16] in (b"mdat", b"moov")
    return "mov" if is_movie or is_data else None


def _brand(brands: bytes) -> str | None:
    major = brands[:4]
    if len(major) < 4 or major in _NOT_VIDEO:
        return None
    if major == b"qt  ":
        return "mov"
    compatible = [brands[start : start + 4] for start in range(8, len(brands), 4)]
    return "mp4" if any(brand.startswith(_VIDEO) for brand in (major, *compatible)) else None


def _doctype(head: bytes) -> bytes | None:
    """Return the DocType in an EBML header (RFC 8794, section 11.2), or None."""
    size, position = _vint(head, 4)
    end = min(position + size, len(head))
    while position < end:
        identity = position
        _, position = _vint(head, position)
        name = head[identity:position]
        size, position = _vint(head, position)
        if name == b"\x42\x82":
            return head[position : position + size].rstrip(b"\0")
        position += size
    return None


def _vint(head: bytes, position: int) -> tuple[int, int]:
    """Return an EBML number and the position after it. Past the end of `head` the number is 0."""
    first = head[position] if position < len(head) else 0
    length = 9 - first.bit_length()
    number = int.from_bytes(head[position : position + length], "big")
    return number & ((1 << (7 * length)) - 1), position + length


def image(head: bytes | memoryview) -> tuple[str, int, int] | None:
    """Return the MIME type, width and height in pixels of a PNG, JPEG or WebP, or None.

    The width and height are those of the stored pixels: the EXIF rotation of a JPEG is not applied.
    """
    start = bytes(head[:32])
    found: tuple[str, int, int] | None = None
    if start[:8] == b"\x89PNG\r\n\x1a\n" and start[8:16] == b"\0\0\0\rIHDR":
        found = PNG, int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    elif start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        found = _webp(start)
    elif start[:3] == b"\xff\xd8\xff":
        found = _jpeg(head)
    return found if found and found[1] > 0 and found[2] > 0 else None


def _webp(start: bytes) -> tuple[str, int, int] | None:
    """Read the size from the first chunk: lossy, lossless or extended (RFC 9649, section 2)."""
    if len(start) < 30:
        return None
    kind = start[12:16]
    if kind == b"VP8X":
        return WEBP, int.from_bytes(start[24:27], "little") + 1, int.from_bytes(start[27:30], "little") + 1
    if kind == b"VP8L" and start[20] == 0x2F:
        bits = int.from_bytes(start[21:25], "little")
        return WEBP, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and start[23:26] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(start[26:28], "little"), int.from_bytes(start[28:30], "little")
        return WEBP, width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(head: bytes | memoryview) -> tuple[str, int, int] | None:
    """Read the size from the first frame header, after walking over the segments before it (ITU T.81, annex B)."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        segment = bytes(head[position : position + 9])
        if len(segment) < 4 or segment[0] != 0xFF:
            return None
        marker, size = segment[1], int.from_bytes(segment[2:4], "big")
        if marker == 0xFF:  # filling
            position += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # alone, without a size
            position += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
            return (JPEG, width, height) if len(segment) == 9 else None
        elif marker in (0xD8, 0xD9, 0xDA) or size < 2:
            return None
        else:
            position += 2 + size
    return None

"""The type of a file from its first bytes, for files of real encoders and for files that lie."""

from __future__ import annotations

import io
import time
from fractions import Fraction

import av
import pytest
from av import VideoFrame, VideoStream
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from understudy.files import sniff


def clip(container: str, codec: str, **options: str) -> bytes:
    """Return a clip of three frames, as FFmpeg writes them into that container."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=Fraction(10))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            output.mux(stream.encode(VideoFrame(64, 48, "yuv420p")))
        output.mux(stream.encode(None))
    return file.getvalue()


def picture(kind: str, width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height), "teal").save(file, kind, **options)
    return file.getvalue()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + b"\0\0\0\x08free"


def ebml(doctype: bytes, before: bytes = b"\x42\x86\x81\x01") -> bytes:
    inner = before + b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    return b"\x1aE\xdf\xa3" + bytes([0x80 | len(inner)]) + inner


@pytest.mark.parametrize(
    ("container", "codec", "kind"),
    [
        ("mp4", "libx264", "mp4"),
        ("mp4", "mpeg4", "mp4"),
        ("ipod", "libx264", "mp4"),
        ("3gp", "mpeg4", "mp4"),
        ("mov", "libx264", "mov"),
        ("webm", "libvpx", "webm"),
        ("matroska", "libx264", "webm"),
        ("avi", "mpeg4", None),
        ("mpegts", "mpeg2video", None),
        ("gif", "gif", None),
    ],
)
def test_videos_as_encoders_write_them(container: str, codec: str, kind: str | None) -> None:
    data = clip(container, codec) if codec != "gif" else picture("gif", 64, 48)
    assert sniff.video(data) == kind
    assert sniff.video(memoryview(data)[: sniff.VIDEO_HEAD]) == kind
    assert sniff.image(data) is None


def test_fragmented_mp4() -> None:
    assert sniff.video(clip("mp4", "mpeg4", movflags="frag_keyframe+empty_moov")) == "mp4"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (ftyp(b"isom", b"isom", b"iso2", b"avc1", b"mp41"), "mp4"),
        (ftyp(b"mp42", b"mp42", b"isom"), "mp4"),
        (ftyp(b"M4V ", b"M4V ", b"mp42"), "mp4"),
        (ftyp(b"XAVC", b"XAVC", b"mp42"), "mp4"),
        (ftyp(b"NONE", b"\0\0\0\0", b"mp42"), "mp4"),
        (ftyp(b"qt  ", b"qt  "), "mov"),
        (ftyp(b"qt  ", b"mp42", b"qt  "), "mov"),
        (ftyp(b"isom"), "mp4"),
        (ftyp(b"heic", b"mif1", b"heic"), None),
        (ftyp(b"mif1", b"mif1", b"heic"), None),
        (ftyp(b"mif1", b"avif", b"miaf", b"MA1B"), None),
        (ftyp(b"msf1", b"msf1", b"hevc", b"iso8"), None),
        (ftyp(b"hevc", b"msf1", b"hevc", b"mif1", b"heic", b"iso8"), None),
        (ftyp(b"avif", b"avif", b"mif1", b"miaf"), None),
        (ftyp(b"avis", b"avis", b"msf1", b"iso8", b"mif1", b"miaf"), None),
        (ftyp(b"crx ", b"crx ", b"isom"), None),
        (ftyp(b"jp2 ", b"jp2 "), None),
        (ftyp(b"M4A ", b"M4A ", b"mp42", b"isom"), None),
        (ftyp(b"ABCD", b"EFGH"), None),
        (ftyp(b"ABCD") + b"isommp42", None),  # brands behind the box are none
        (b"\0\0\0\x08ftyp" + b"isom" * 4, None),
        (b"\0\0\0\x00ftyp" + b"isom" * 4, None),
        (b"\0\0\0\x20ftypiso", None),
        (b"\0\0\0\x20ftyp", None),
        (b"\xff\xff\xff\xffftypisom\0\0\0\0", "mp4"),
        (b"\0\0\0\x6cmoov\0\0\0\x6cmvhd", "mov"),
        (b"\0\0\0\x08wide\0\x10\0\0mdat", "mov"),
        (b"see moov text here", None),
        (b"so  wide a gap of mdat", None),
        (ebml(b"webm"), "webm"),
        (ebml(b"webm", before=b""), "webm"),
        (ebml(b"matroska"), "webm"),
        (ebml(b"webm\0\0"), "webm"),
        (ebml(b"other"), None),
        (ebml(b"webm")[:9], None),
        (b"\x1aE\xdf\xa3\x84webm", None),
        (b"\x1aE\xdf\xa3" + b"\x01" + b"\xff" * 7 + b"\x42\x82\x84webm", "webm"),  # header of unknown size
        (b"\x1aE\xdf\xa3" + b"\0" * 4000, None),
        (b"\x1aE\xdf\xa3", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"Luna dances through a magical forest.", None),
        (b"", None),
    ],
)
def test_video(head: bytes, kind: str | None) -> None:
    assert sniff.video(head) == kind


def test_every_kind_has_a_type() -> None:
    assert {sniff.video(ftyp(b"isom")), sniff.video(ftyp(b"qt  ")), sniff.video(ebml(b"webm"))} == set(
        sniff.VIDEO_TYPES
    )


SIZES = [(1, 1), (1280, 720), (720, 1280), (3, 4099)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("kind", "mode", "options", "media_type"),
    [
        ("png", "RGB", {}, sniff.PNG),
        ("png", "P", {}, sniff.PNG),
        ("jpeg", "RGB", {}, sniff.JPEG),
        ("jpeg", "RGB", {"progressive": True}, sniff.JPEG),
        ("jpeg", "L", {}, sniff.JPEG),
        ("jpeg", "RGB", {"exif": b"Exif\0\0" + b"\xff\xc0" * 30_000, "comment": b"x" * 60_000}, sniff.JPEG),
        ("webp", "RGB", {}, sniff.WEBP),
        ("webp", "RGB", {"lossless": True}, sniff.WEBP),
        ("webp", "RGBA", {"lossless": True}, sniff.WEBP),
        ("webp", "RGB", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}, sniff.WEBP),
    ],
)
def test_images_as_encoders_write_them(
    kind: str, mode: str, options: dict[str, object], media_type: str, width: int, height: int
) -> None:
    data = picture(kind, width, height, mode, **options)
    assert sniff.image(data) == (media_type, width, height)
    assert sniff.image(memoryview(data)) == (media_type, width, height)
    assert sniff.video(data) is None


def test_the_three_forms_of_webp_are_among_them() -> None:
    lossy, lossless = picture("webp", 9, 9), picture("webp", 9, 9, lossless=True)
    extended = picture("webp", 9, 9, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    assert [data[12:16] for data in (lossy, lossless, extended)] == [b"VP8 ", b"VP8L", b"VP8X"]


FRAME = b"\xff\xc0\x00\x11\x08\x02\xd0\x05\x00\x03"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\xff\xd8" + FRAME, (sniff.JPEG, 1280, 720)),
        (b"\xff\xd8\xff\xff\xff" + FRAME, (sniff.JPEG, 1280, 720)),  # filling
        (b"\xff\xd8\xff\xc4\x00\x04\xff\xc0" + FRAME, (sniff.JPEG, 1280, 720)),  # a table that looks like a frame
        (b"\xff\xd8\xff\xe0\x00\x02\xff\xd0" + FRAME, (sniff.JPEG, 1280, 720)),  # an empty segment, a lone marker
        (b"\xff\xd8" + FRAME[:8], None),
        (b"\xff\xd8\xff\xe0\x00\x01" + FRAME, None),
        (b"\xff\xd8\xff\xe0\xff\xff" + FRAME, None),  # the frame is behind what was given
        (b"\xff\xd8\xff\xda\x00\x02" + FRAME, None),  # pixels before any frame
        (b"\xff\xd8\xff\xd9" + FRAME, None),
        (b"\xff\xd8\xff\xe0\x00\x02x" + FRAME, None),
        (b"\xff\xd8" + FRAME.replace(b"\x02\xd0", b"\0\0"), None),  # height comes later (DNL)
        (picture("png", 5, 7)[:23], None),
        (picture("png", 5, 7)[:24], (sniff.PNG, 5, 7)),
        (picture("png", 5, 7).replace(b"IHDR", b"IDAT"), None),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 8, None),
        (picture("webp", 5, 7)[:29], None),
        (picture("webp", 5, 7).replace(b"VP8 ", b"ANIM"), None),
        (b"RIFF\0\0\0\0WAVEfmt " + b"\0" * 20, None),
        (picture("gif", 5, 7), None),
        (picture("bmp", 5, 7), None),
        (b"<svg width='5' height='7'/>", None),
        (ftyp(b"avif", b"mif1"), None),
        (b"", None),
    ],
)
def test_image(head: bytes, found: tuple[str, int, int] | None) -> None:
    assert sniff.image(head) == found


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xd0", b"\xff\xe0\x00\x02", b"\0", b"\x01"])
def test_hostile_fillings_are_cheap(filling: bytes) -> None:
    many = filling * (10**7 // len(filling))
    started = time.process_time()
    assert sniff.image(b"\xff\xd8\xff" + many) is None
    assert sniff.image(b"\xff\xd8" + many) is None
    assert sniff.video(b"\x1aE\xdf\xa3" + many) is None
    assert sniff.video(b"\xff\xff\xff\xffftyp" + many) is None
    assert time.process_time() - started < 1


MAGIC = [
    b"\x1aE\xdf\xa3",
    b"\0\0\1\0ftyp",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"RIFF\0\0\0\0WEBPVP8",
    b"",
]


@settings(deadline=None)
@given(st.builds(bytes.__add__, st.sampled_from(MAGIC), st.binary(max_size=200)))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    assert sniff.video(head) in (None, *sniff.VIDEO_TYPES)
    found = sniff.image(head)
    assert found is None or (found[0] in (sniff.PNG, sniff.JPEG, sniff.WEBP) and min(found[1:]) > 0)

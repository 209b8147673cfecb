from __future__ import annotations

import pytest

from tests.unit.media.clips import make_clip, make_sound
from understudy_media.refusal import Refusal
from understudy_media.sniff import HEAD_BYTES, MKV, MOV, MP4, WEBM, Kind, sniff


@pytest.mark.parametrize(
    ("container", "codec", "kind"),
    [
        ("mp4", "libx264", MP4),
        ("mov", "libx264", MOV),
        ("3gp", "libx264", MP4),
        ("webm", "libvpx", WEBM),
        ("matroska", "libx264", MKV),
    ],
)
def test_real_files(container: str, codec: str, kind: Kind) -> None:
    data = make_clip(container=container, codec=codec, seconds=0.2)
    assert sniff(data[:HEAD_BYTES], len(data)) == kind


@pytest.mark.parametrize("brand", [b"isom", b"iso5", b"mp42", b"avc1", b"M4V ", b"dash", b"XAVC", b"new!"])
def test_brands_of_mp4(brand: bytes) -> None:
    assert sniff(b"\0\0\0\x14ftyp" + brand + bytes(8), 1000) == MP4


@pytest.mark.parametrize("box", [b"moov", b"mdat", b"wide", b"free", b"skip"])
def test_quicktime_before_brands(box: bytes) -> None:
    assert sniff(b"\0\0\0\x08" + box + bytes(20), 1000) == MOV


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0",
        b"hello, I am a video",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"GIF89a" + bytes(20),
        b"RIFF\0\0\0\0AVI LIST",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"\0\0\x01\xba" + bytes(20),
        b"G" + bytes(187),
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD/>",
        b"\0\0\0\x18ftypheic" + bytes(12),
        b"\0\0\0\x18ftypavif" + bytes(12),
        b"\0\0\0\x08ftyp",
        b"\x1a\x45\xdf\xa3\x84\x42\x82\x81x",
    ],
)
def test_other_files(head: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        sniff(head, len(head))
    assert caught.value.code == "not_a_video"
    assert "MP4, MOV or WebM" in caught.value.message


def test_a_webm_that_was_cut_off() -> None:
    data = make_clip(container="webm", codec="libvpx-vp9", seconds=0.5)
    with pytest.raises(Refusal, match="incomplete"):
        sniff(data[:HEAD_BYTES], len(data) - 1)


@pytest.mark.parametrize("head", [b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\0", b"\x1a\x45\xdf\xa3\xff\0\0"])
def test_broken_headers_of_webm(head: bytes) -> None:
    with pytest.raises(Refusal):
        sniff(head, 1000)


def test_sound_only_is_still_a_container() -> None:
    data = make_sound()
    assert sniff(data[:HEAD_BYTES], len(data)) == MP4

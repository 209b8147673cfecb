"""The simulators' pictures: exact lengths and sizes, and visible content."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from local.simulators.shared import footage, mascot
from local.simulators.shared.render import Role, Scene, render_scene, sample_clip, spritesheet, thumbnail


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures in the colour channel that differs most, 0 to 255."""
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


@pytest.mark.parametrize(("seconds", "size"), [(1, (320, 240)), (3, (640, 360)), (4, (360, 640))])
def test_sample_clip(tmp_path: Path, seconds: int, size: tuple[int, int]) -> None:
    path = sample_clip(tmp_path / "clip.mp4", seconds, size, "Moss")
    facts = footage.probe(path)
    assert footage.sniff(path) == "mp4" and (facts.width, facts.height) == size
    assert facts.duration == pytest.approx(seconds, abs=0.05)
    assert len(list(footage.frames(path, 12, seconds))) == seconds * 12
    assert difference(footage.still(path, 0), footage.still(path, seconds)) > 2  # it moves


def test_names_look_different(tmp_path: Path) -> None:
    one, other = (footage.still(sample_clip(tmp_path / name, 1, (320, 180), name), 0) for name in ("Luna", "Moss"))
    assert difference(one, other) > 10


def test_mascot_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "luna.mp4"
    monkeypatch.setattr("sys.argv", ["mascot", str(path), "--seconds", "2", "--size", "320x180"])
    mascot.main()
    assert footage.probe(path).duration == pytest.approx(2, abs=0.05)


def test_same_scene_same_bytes(tmp_path: Path) -> None:
    scene = Scene("A hill", "generate", 320, 180, 1)
    one, other = (render_scene(scene, tmp_path / name).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert one == other


def test_prompt_time_and_characters_are_seen(tmp_path: Path, luna: Path) -> None:
    plain, asked, played = (
        render_scene(Scene(prompt, "generate", 640, 360, 2, roles=roles, first_frame=None), tmp_path / f"{name}.mp4")
        for name, prompt, roles in (
            ("plain", "A hill", ()),
            ("asked", "A hill with a long road that leads to the sea", ()),
            ("played", "A hill", (Role("Luna", luna),)),
        )
    )
    assert difference(footage.still(plain, 1), footage.still(asked, 1)) > 1
    card = (640 // 2 - 60, 360 * 4 // 10 - 30, 640 // 2 + 60, 360 * 4 // 10 + 30)
    assert difference(footage.still(plain, 1).crop(card), footage.still(played, 1).crop(card)) > 20
    moments = [footage.still(plain, at) for at in (0.1, 0.6, 1.1, 1.6)]
    clock = (0, 360 - 60, 640, 360)
    assert all(difference(one.crop(clock), other.crop(clock)) > 0.5 for one, other in pairwise(moments))


def test_extension_keeps_the_source(tmp_path: Path, luna: Path) -> None:
    scene = Scene("She walks on", "extend", 640, 360, 1, source=luna, source_seconds=2)
    path = render_scene(scene, tmp_path / "long.mp4")
    assert footage.probe(path).duration == pytest.approx(3, abs=0.05)
    for at in (0.0, 1.0, 1.9):
        assert difference(footage.still(path, at), footage.still(luna, at)) < 3
    assert difference(footage.still(path, 2.5), footage.still(luna, 1.9)) > 15


def test_a_first_frame_is_seen_first_and_as_given(tmp_path: Path) -> None:
    given = tmp_path / "given.png"
    Image.new("RGB", (640, 360), (40, 90, 60)).save(given)
    path = render_scene(Scene("A hill", "generate", 640, 360, 2, first_frame=given), tmp_path / "v.mp4")
    with Image.open(given) as image:
        assert difference(footage.still(path, 0.0), image) < 3
        assert difference(footage.still(path, 1.5), image) > 15


def test_previews(tmp_path: Path, luna: Path) -> None:
    small = footage.probe_image(thumbnail(luna, tmp_path / "small.webp"))
    assert (small.media_type, small.width, small.height) == ("image/webp", 480, 270)
    sheet = footage.probe_image(spritesheet(luna, tmp_path / "sheet.jpg"))
    assert (sheet.media_type, sheet.width, sheet.height) == ("image/jpeg", 4 * 320, 2 * 180)


def test_failure_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42 but nothing else")
    with pytest.raises(footage.UnreadableMedia):
        footage.probe(tmp_path / "bad.mp4")
    with pytest.raises(Exception):  # noqa: B017 - whatever FFmpeg makes of it
        render_scene(Scene("x", "edit", 320, 180, 1, source=tmp_path / "bad.mp4"), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists() and not (tmp_path / "out.mp4.part").exists()

"""Renders simulated videos. The picture shows the operation, the source, the prompt and the characters.

`render_scene` draws one picture for each half second and repeats it, so a clip of four seconds at 1280x720 takes a
fraction of a second. The same scene always gives the same file.
"""

from __future__ import annotations

import colorsys
import hashlib
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from local.simulators.shared import footage
from local.simulators.shared.mascot import sample_clip
from local.simulators.shared.writer import FPS, Mp4Writer

__all__ = ["Role", "Scene", "render_scene", "sample_clip", "spritesheet", "thumbnail"]

_STEP = FPS // 2
_TONES = {"generate": 9, "edit": 10, "remix": 11, "extend": 14}
_TINTS = {"edit": (255, 150, 40), "remix": (150, 70, 220)}


@dataclass(frozen=True)
class Role:
    """A character or reference in a scene. The video shows a still of `clip` (a video or an image) above `name`."""

    name: str
    clip: Path


@dataclass(frozen=True)
class Scene:
    """A scene to draw. `seconds` is the length of the new part.

    The operation `extend` puts `source_seconds` of `source` before the new part.
    """

    prompt: str
    operation: str
    width: int
    height: int
    seconds: int
    maker: str = ""
    roles: tuple[Role, ...] = ()
    first_frame: Path | None = None
    source: Path | None = None
    source_seconds: int = 0


def render_scene(scene: Scene, path: Path) -> Path:
    """Write the scene as MP4 (H.264, AAC) to `path` and return `path`. Raises footage.UnreadableMedia."""
    with Mp4Writer(path, scene.width, scene.height, tone=_TONES.get(scene.operation, 0)) as writer:
        if scene.operation == "extend" and scene.source is not None:
            last = None
            for frame in footage.frames(scene.source, FPS, scene.source_seconds):
                writer.add(frame)
                last = frame
            if last is None:
                raise footage.UnreadableMedia("the source is too short to be extended")
            backgrounds = _still_background(scene, footage.as_image(last))
        elif scene.source is not None:
            backgrounds = _tinted_source(scene, scene.source)
        else:
            backgrounds = _still_background(scene, _opening(scene))
        stage = _Stage(scene)
        if scene.first_frame is not None:
            stage.bare_steps = 1  # the first half second shows the given first frame, without captions
        for step, background in enumerate(backgrounds):
            writer.add(stage.draw(step, background), _STEP)
    return path


def thumbnail(video: Path, path: Path) -> Path:
    """Write a WebP of the frame at 0.5 s, at most 480 pixels wide and high. Return `path`."""
    picture = footage.still(video, 0.5)
    picture.thumbnail((480, 480))
    picture.save(path, "WEBP", quality=80)
    return path


def spritesheet(video: Path, path: Path) -> Path:
    """Write a JPEG of eight frames spread over the video, in two rows. Return `path`."""
    seconds = max(1, round(footage.probe(video).duration))
    every = seconds * FPS // 8
    pictures = [footage.as_image(frame) for frame in islice(footage.frames(video, FPS, seconds), 0, None, every)][:8]
    for picture in pictures:
        picture.thumbnail((320, 320))
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * 4, height * 2))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % 4 * width, index // 4 * height))
    sheet.save(path, "JPEG", quality=80)
    return path


def _opening(scene: Scene) -> Image.Image:
    """Return the background of a new video: the given first frame, else a landscape whose colours follow the prompt."""
    size = (scene.width, scene.height)
    if scene.first_frame is not None:
        with Image.open(scene.first_frame) as image:
            return image.convert("RGB").resize(size)
    digest = hashlib.sha256(scene.prompt.encode()).digest()
    low, high, hill = (_colour(digest[0] / 255, *tone) for tone in ((0.35, 0.95), (0.65, 0.45), (0.7, 0.25)))
    picture = Image.composite(
        Image.new("RGB", size, low), Image.new("RGB", size, high), Image.linear_gradient("L").resize(size)
    )
    draw = ImageDraw.Draw(picture)
    sun = scene.width * (0.2 + 0.6 * digest[1] / 255), scene.height * 0.3, min(size) * 0.09
    draw.ellipse((sun[0] - sun[2], sun[1] - sun[2], sun[0] + sun[2], sun[1] + sun[2]), fill=(255, 236, 190))
    for index in range(3):
        middle = scene.width * digest[2 + index] / 255
        shade = tuple(part * (4 - index) // 4 for part in hill)
        top = scene.height * (0.55 + 0.1 * index)
        draw.ellipse((middle - scene.width * 0.7, top, middle + scene.width * 0.7, top + scene.height), fill=shade)
    return picture


def _still_background(scene: Scene, picture: Image.Image) -> Iterator[Image.Image]:
    picture = picture.resize((scene.width, scene.height))
    steps = [picture] * (scene.seconds * FPS // _STEP)
    if scene.operation == "extend":
        steps = [ImageEnhance.Brightness(picture).enhance(0.45)] * len(steps)
    elif scene.first_frame is not None:
        hue = hashlib.sha256(scene.prompt.encode()).digest()[0] / 255
        tinted = Image.blend(picture, Image.new("RGB", picture.size, _colour(hue, 0.9, 0.9)), 0.35)
        steps[1:] = [tinted] * (len(steps) - 1)  # the given frame comes unchanged, all later frames are tinted
    for step in steps:
        yield step.copy()


def _tinted_source(scene: Scene, source: Path) -> Iterator[Image.Image]:
    size = (scene.width, scene.height)
    tint = Image.new("RGB", size, _TINTS.get(scene.operation, (128, 128, 128)))
    for frame in islice(footage.frames(source, FPS, scene.seconds), 0, None, _STEP):
        yield Image.blend(footage.as_image(frame).resize(size), tint, 0.35)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


class _Stage:
    """Draws captions and character cards once, because all steps share them, and puts them over each background."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._unit = min(scene.width, scene.height) / 720
        self._cards = [self._card(role) for role in scene.roles]
        self._captions = self._draw_captions()
        self.bare_steps = 0

    def draw(self, step: int, picture: Image.Image) -> Image.Image:
        if step < self.bare_steps:
            return picture
        scene, unit = self._scene, self._unit
        for index, card in enumerate(self._cards):
            across = (index + 1) / (len(self._cards) + 1) - 0.5
            sway = (1 if (step + index) % 2 else -1) * 14 * unit
            at = int(scene.width * (0.5 + across) - card.width / 2 + sway), int(scene.height * 0.42 - card.height / 2)
            picture.paste(card, at)
        picture.paste(self._captions, (0, 0), self._captions)
        before = scene.source_seconds if scene.operation == "extend" else 0
        total = before + scene.seconds
        now = before + step * _STEP / FPS
        draw = ImageDraw.Draw(picture)
        top = scene.height - 60 * unit
        draw.text(
            (24 * unit, top - 4 * unit),
            f"{now:04.1f} s / {total} s",
            font=self._font(34),
            anchor="lm",
            fill=(255, 226, 120),
        )
        draw.rectangle((24 * unit, top + 26 * unit, scene.width - 24 * unit, top + 38 * unit), fill=(70, 70, 80))
        end = 24 * unit + (scene.width - 48 * unit) * now / total
        draw.rectangle((24 * unit, top + 26 * unit, end, top + 38 * unit), fill=(255, 226, 120))
        return picture

    def _draw_captions(self) -> Image.Image:
        scene, unit = self._scene, self._unit
        layer = Image.new("RGBA", (scene.width, scene.height))
        draw = ImageDraw.Draw(layer)
        panel = (10, 12, 20, 190 if scene.source is None else 255)  # opaque over a source, to hide its captions
        draw.rectangle((0, 0, scene.width, 64 * unit), fill=panel)
        draw.text((24 * unit, 32 * unit), scene.operation.upper(), font=self._font(36), anchor="lm", fill="white")
        facts = f"{scene.maker}  {scene.width}x{scene.height}".strip()
        draw.text((scene.width - 24 * unit, 32 * unit), facts, font=self._font(24), anchor="rm", fill=(190, 200, 215))
        columns = max(16, int(scene.width / unit / 17))
        lines = textwrap.wrap(" ".join(scene.prompt.split()), columns, max_lines=4, placeholder=" ...") or [""]
        top = scene.height - (110 + 38 * 4) * unit
        draw.rectangle((0, top, scene.width, scene.height), fill=panel)
        for index, line in enumerate(lines):
            draw.text((24 * unit, top + (28 + 38 * index) * unit), line, font=self._font(30), anchor="lm", fill="white")
        return layer

    def _card(self, role: Role) -> Image.Image:
        width = int(min(self._scene.width * 0.4, 420 * self._unit))
        picture = ImageOps.pad(_picture_of(role.clip), (width, width * 9 // 16))
        border, foot = max(2, int(6 * self._unit)), int(44 * self._unit)
        card = Image.new("RGB", (picture.width + 2 * border, picture.height + 2 * border + foot), "white")
        card.paste(picture, (border, border))
        at = card.width / 2, card.height - foot / 2 - border / 2
        ImageDraw.Draw(card).text(
            at, textwrap.shorten(role.name, 24, placeholder="..."), font=self._font(28), anchor="mm", fill="black"
        )
        return card

    def _font(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return ImageFont.load_default(max(8, int(size * self._unit)))


def _picture_of(clip: Path) -> Image.Image:
    if footage.sniff(clip) in {"png", "jpeg", "webp"}:
        with Image.open(clip) as image:
            return image.convert("RGB")
    return footage.still(clip, 0.5)

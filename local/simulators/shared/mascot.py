"""Draws a clip of a named animal that walks about. Demos and tests make a character from this clip.

python -m local.simulators.shared.mascot luna.mp4 [--name Luna] [--seconds 3] [--size 1280x720]
"""

from __future__ import annotations

import argparse
import colorsys
import hashlib
import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from local.simulators.shared.writer import FPS, Mp4Writer

Colour = tuple[int, int, int]


def sample_clip(path: Path, seconds: int = 3, size: tuple[int, int] = (1280, 720), label: str = "Luna") -> Path:
    """Write an MP4 of `seconds` at `size` in which a mascot named `label` walks about. Return `path`."""
    width, height = size
    coat, scarf, sky = _palette(label)
    backdrop = _backdrop(width, height, sky)
    steps = seconds * FPS // 2
    with Mp4Writer(path, width, height, tone=12) as writer:
        for step in range(steps):
            picture = backdrop.copy()
            part = step / max(1, steps - 1)
            centre = (int(width * (0.3 + 0.4 * part)), int(height * (0.46 - 0.05 * abs(math.sin(step * 0.8)))))
            _animal(ImageDraw.Draw(picture), centre, min(width, height) * 0.2, coat, scarf, blink=step % 8 == 7)
            _name(picture, label, centre[0])
            writer.add(picture, 2)
    return path


def _palette(label: str) -> tuple[Colour, Colour, Colour]:
    """Return the colours of coat, scarf and sky, always the same for one name."""
    hue = hashlib.sha256(label.encode()).digest()[0] / 255
    return _colour(hue, 0.25, 0.95), _colour(hue + 0.45, 0.75, 0.85), _colour(hue + 0.1, 0.55, 0.35)


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def _backdrop(width: int, height: int, sky: Colour) -> Image.Image:
    shade = Image.linear_gradient("L").resize((width, height))
    picture = Image.composite(
        Image.new("RGB", (width, height), (238, 224, 200)), Image.new("RGB", (width, height), sky), shade
    )
    ground = tuple(part // 2 for part in sky)
    ImageDraw.Draw(picture).ellipse((-width * 0.3, height * 0.68, width * 1.3, height * 1.6), fill=ground)
    return picture


def _animal(
    draw: ImageDraw.ImageDraw, centre: tuple[int, int], radius: float, coat: Colour, scarf: Colour, blink: bool
) -> None:
    x, y = centre
    ink = (40, 34, 52)
    draw.ellipse(
        (x - radius * 0.75, y + radius * 0.5, x + radius * 0.75, y + radius * 2.0), fill=coat, outline=ink, width=4
    )
    for side in (-1, 1):
        tip = (x + side * radius * 0.85, y - radius * 1.45)
        draw.polygon(
            [(x + side * radius * 0.2, y - radius * 0.85), tip, (x + side * radius * 0.95, y - radius * 0.3)],
            fill=coat,
            outline=ink,
        )
        draw.ellipse(
            (
                x + side * radius * 0.4 - radius * 0.22,
                y + radius * 1.75,
                x + side * radius * 0.4 + radius * 0.22,
                y + radius * 2.05,
            ),
            fill=ink,
        )
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=coat, outline=ink, width=4)
    # A crescent on the forehead makes the character recognisable.
    draw.ellipse((x - radius * 0.2, y - radius * 0.85, x + radius * 0.2, y - radius * 0.45), fill=(255, 214, 92))
    draw.ellipse((x - radius * 0.08, y - radius * 0.88, x + radius * 0.28, y - radius * 0.52), fill=coat)
    for side in (-1, 1):
        eye = (x + side * radius * 0.38, y - radius * 0.1)
        high = radius * (0.03 if blink else 0.17)
        draw.ellipse((eye[0] - radius * 0.12, eye[1] - high, eye[0] + radius * 0.12, eye[1] + high), fill=ink)
    draw.polygon(
        [(x - radius * 0.1, y + radius * 0.18), (x + radius * 0.1, y + radius * 0.18), (x, y + radius * 0.32)],
        fill=(228, 112, 122),
    )
    draw.arc((x - radius * 0.3, y + radius * 0.15, x + radius * 0.3, y + radius * 0.55), 20, 160, fill=ink, width=4)
    draw.rounded_rectangle(
        (x - radius * 0.8, y + radius * 0.78, x + radius * 0.8, y + radius * 1.05),
        radius * 0.12,
        fill=scarf,
        outline=ink,
        width=3,
    )


def _name(picture: Image.Image, label: str, x: int) -> None:
    font = ImageFont.load_default(min(picture.size) // 11)
    at = (x, int(picture.height * 0.92))
    ImageDraw.Draw(picture).text(
        at, label, font=font, anchor="mm", fill="white", stroke_width=3, stroke_fill=(40, 34, 52)
    )


def main() -> None:
    """Run the command line that the module's docstring describes."""
    parser = argparse.ArgumentParser(description="Draws a clip of a mascot.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--name", default="Luna")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--size", default="1280x720")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    sample_clip(arguments.path, arguments.seconds, (width, height), arguments.name)


if __name__ == "__main__":
    main()

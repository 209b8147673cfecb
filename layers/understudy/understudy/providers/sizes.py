"""Sizes of pictures, as WIDTHxHEIGHT."""

from __future__ import annotations

SHAPE_TOLERANCE = 0.03


def fit(size: str, sizes: tuple[str, ...]) -> str | None:
    """Return the size to make when `size` is asked for; None if no size fits.

    That is `size` itself, else the smallest size of the same shape that is not smaller. Shapes may differ by 3 %:
    1024x1792 becomes 1080x1920. A lower resolution is never made instead.
    """
    if size in sizes:
        return size
    width, height = pixels(size)
    larger = [
        (wide * high, one)
        for one, (wide, high) in ((one, pixels(one)) for one in sizes)
        if wide >= width and high >= height and abs(wide * height / (high * width) - 1) <= SHAPE_TOLERANCE
    ]
    return min(larger)[1] if larger else None


def pixels(size: str) -> tuple[int, int]:
    """Return width and height in pixels."""
    width, _, height = size.partition("x")
    return int(width), int(height)

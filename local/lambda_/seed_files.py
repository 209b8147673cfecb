"""The files that seeds and events send: a clip, a picture, and a text file."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from local.settings import ROOT

FOLDER = ROOT / ".build" / "seed"
FILES = {"luna.mp4": "video/mp4", "luna.png": "image/png", "notes.txt": "text/plain"}


def file(name: str) -> tuple[str, bytes, str]:
    """Return a file for a form: name, bytes, type. Raises KeyError if the name is not in FILES."""
    return name, path(name).read_bytes(), FILES[name]


@cache
def path(name: str) -> Path:
    """Return the path of a file of FILES, after making the file if it does not exist."""
    found = FOLDER / name
    if found.exists():
        return found
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = FOLDER / f"{os.getpid()}-{name}"  # so that an interrupted run leaves no incomplete file
    if name == "luna.mp4":
        from local.simulators.shared.render import sample_clip

        sample_clip(unfinished, 3, (1280, 720), "Luna")
    elif name == "luna.png":
        from PIL import Image

        Image.linear_gradient("L").resize((1280, 720)).convert("RGB").save(unfinished)
    else:
        unfinished.write_text("Not a video at all.\n" * 100)
    return unfinished.replace(found)

"""`python -m bench.size`: what `sam build` made, on disk and zipped as `sam deploy` sends it.

In 2**20 bytes. The layers are compiled: their .pyc files are in the figures.
"""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bench import litellm_proxy
from local.lambda_ import functions
from local.settings import Settings
from local.stack import lifecycle

MEBIBYTE = 1024 * 1024
LIMIT = 250.0  # MB that Lambda allows a function with its layers, unzipped
LAYERS = {"understudy_layer": "UnderstudyLayer", "media_layer": "MediaLayer"}


@dataclass(frozen=True)
class Size:
    """An artifact, in 2**20 bytes."""

    unzipped: float
    zipped: float | None = None  # of the peer's environment nobody wants to know


def measure(settings: Settings) -> dict[str, Size]:
    """Both layers, all functions together, and the peer's environment where there is one."""
    sizes = {name: _size(functions.layer(settings, layer).parent) for name, layer in LAYERS.items()}
    build = functions.layer(settings, "UnderstudyLayer").parent.parent
    each = [_size(folder) for folder in sorted(build.glob("*Function"))]
    sizes["all_functions"] = Size(sum(one.unzipped for one in each), sum(one.zipped or 0.0 for one in each))
    if litellm_proxy.installed():
        sizes["peer"] = Size(_unzipped(litellm_proxy.FOLDER / "lib") / MEBIBYTE)
    return sizes


def _size(folder: Path) -> Size:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
        return Size(_unzipped(folder) / MEBIBYTE, file.tell() / MEBIBYTE)


def _unzipped(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def table(sizes: dict[str, Size]) -> str:
    """The figures for a terminal."""
    lines = [f"{'artifact':<20}{'MB':>8}{'zipped':>8}"]
    for name, size in sizes.items():
        lines.append(f"{name:<20}{size.unzipped:>8.2f}{'' if size.zipped is None else f'{size.zipped:>8.2f}'}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    settings = Settings.from_environment()
    lifecycle.url(settings)
    print(table(measure(settings)))


if __name__ == "__main__":
    main()

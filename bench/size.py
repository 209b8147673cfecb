"""`python -m bench.size`: measures the artifacts of `sam build`, on disk and zipped as `sam deploy` sends them.

Sizes are in 2**20 bytes. The layers are compiled, so the figures include their .pyc files.
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
LIMIT = 250.0  # MB: Lambda's limit for a function with its layers, unzipped
LAYERS = {"understudy_layer": "UnderstudyLayer", "media_layer": "MediaLayer"}


@dataclass(frozen=True)
class Size:
    """The sizes of an artifact, in 2**20 bytes."""

    unzipped: float
    zipped: float | None = None  # None for the peer's environment


def measure(settings: Settings) -> dict[str, Size]:
    """Measure both layers, all functions together, and the peer's environment if it is installed."""
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
    """Return the figures as a table for a terminal."""
    lines = [f"{'artifact':<20}{'MB':>8}{'zipped':>8}"]
    for name, size in sizes.items():
        lines.append(f"{name:<20}{size.unzipped:>8.2f}{'' if size.zipped is None else f'{size.zipped:>8.2f}'}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    settings = Settings.from_environment()
    lifecycle.url(settings)
    print(table(measure(settings)))


if __name__ == "__main__":
    main()

"""A layer is unpacked once, not for every execution environment.

Unpacking our layer takes half a second and a thousand files. MiniStack has only one process, which answers no requests
meanwhile. Fifty environments at the same time delayed all requests for longer than the gateway's timeout.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import types
import zipfile
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime  # type: ignore[import-not-found]


class Layers(zipfile.ZipFile):
    """A zip file that, if it is a layer (`layer_N`), is unpacked once and extracted as symbolic links."""

    @property
    def _is_layer(self) -> bool:
        return Path(str(self.filename)).name.startswith("layer_")

    def namelist(self) -> list[str]:
        """Return the names in the file; for a layer, the names of its links.

        MiniStack checks each name for a path out of the folder.
        """
        names = super().namelist()
        return sorted({name.partition("/")[0] for name in names}) if self._is_layer else names

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        if not self._is_layer:
            return super().extractall(path, members, pwd)
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        unpacked = Path(tempfile.gettempdir()) / "layers" / digest
        if not unpacked.exists():
            self._unpack(unpacked)
        for entry in unpacked.iterdir():
            (Path(path) / entry.name).symlink_to(entry)
        return None

    def _unpack(self, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=target.parent))
        super().extractall(half, super().namelist())
        try:
            half.rename(target)
        except OSError:  # another environment was first
            shutil.rmtree(half)


def install() -> None:
    """Have MiniStack's runtime of functions open zip files as `Layers`."""
    lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | {"ZipFile": Layers})

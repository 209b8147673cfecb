"""The images and videos of a request: fetched or decoded, checked, and kept in the vault."""

from __future__ import annotations

import base64
import binascii
import hashlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from local.simulators.shared import footage
from local.simulators.shared.body import File
from local.simulators.shared.errors import Refusal
from local.simulators.shared.store import Vault

MAX_IMAGE_URL = 20_971_520
_CHUNK = 256 * 1024


class Inputs:
    """Fetches and checks the inputs of one server; `folder` holds unfinished files."""

    def __init__(self, vault: Vault, folder: Path) -> None:
        self._vault = vault
        self._folder = folder

    def reference(self, value: Any, width: int, height: int) -> str:
        """Check and keep an `input_reference`. Return its vault key.

        It is a file, or an object with exactly one of image_url and file_id. The simulator knows no file_id. The image
        must have exactly the size of the video. Raises Refusal.
        """
        name = "input_reference"
        if isinstance(value, File):
            return self.image(value, name, (width, height))
        if not isinstance(value, dict) or len(value) != 1 or not set(value) <= {"image_url", "file_id"}:
            raise Refusal(
                400, f"'{name}' must be a file, or an object with image_url or file_id.", "invalid_value", name
            )
        url = value.get("image_url")
        if url is None:
            raise Refusal(404, f"No such file: {value['file_id']!r}.", "not_found", f"{name}.file_id")
        if not isinstance(url, str) or len(url) > MAX_IMAGE_URL:
            raise Refusal(
                400,
                f"'{name}.image_url' must be a string of at most {MAX_IMAGE_URL} characters.",
                "invalid_value",
                name,
            )
        return self.image(self.fetch(url, f"{name}.image_url", MAX_IMAGE_URL), name, (width, height))

    def image(self, file: File, name: str, size: tuple[int, int] | None = None) -> str:
        """Check a png, jpeg or webp image and keep it. Return its vault key. Raises Refusal."""
        with _dropped_if_refused(file):
            try:
                facts = footage.probe_image(file.path)
            except footage.UnreadableMedia as error:
                raise Refusal(400, f"Invalid '{name}': {error}.", "invalid_image", name) from error
            if size is not None and (facts.width, facts.height) != size:
                found, wanted = f"{facts.width}x{facts.height}", f"{size[0]}x{size[1]}"
                message = f"'{name}' is {found}, but must match the requested size {wanted}."
                raise Refusal(400, message, "invalid_image_size", name)
        return self._vault.keep(file.path, file.sha256)

    def video(self, file: File, name: str, types: tuple[str, ...] = ("mp4", "mov")) -> tuple[str, footage.VideoFacts]:
        """Check a video by its bytes, not by its declared type, and keep it. Return its vault key and its facts.

        Raises Refusal.
        """
        with _dropped_if_refused(file):
            if footage.sniff(file.path) not in types:
                listed = ", ".join(types)
                raise Refusal(400, f"Invalid '{name}': expected a video ({listed}).", "invalid_video", name)
            try:
                facts = footage.probe(file.path)
            except footage.UnreadableMedia as error:
                raise Refusal(400, f"Invalid '{name}': {error}.", "invalid_video", name) from error
        return self._vault.keep(file.path, file.sha256), facts

    def fetch(self, url: str, name: str, limit: int) -> File:
        """Download an http(s) URL, up to `limit` bytes, or decode a data URL of any size. Raises Refusal."""
        if url.startswith("data:"):
            head, comma, data = url.partition(",")
            try:
                content = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
            except binascii.Error as error:
                raise Refusal(400, f"'{name}' is a malformed data URL.", "invalid_url", name) from error
            if not comma or not content:
                raise Refusal(400, f"'{name}' is an empty data URL.", "invalid_url", name)
            return self._written(iter([content]))
        if not url.startswith(("http://", "https://")):
            raise Refusal(400, f"'{name}' must be an http(s) URL or a data URL.", "invalid_url", name)
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return self._written(iter(lambda: answer.read(_CHUNK), b""), limit)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise Refusal(400, f"'{name}' could not be downloaded: {error}.", "invalid_url", name) from error

    def _written(self, chunks: Any, limit: int | None = None) -> File:
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            path = Path(file.name)
            try:
                for chunk in chunks:
                    size += len(chunk)
                    if limit is not None and size > limit:
                        raise ValueError(f"it is larger than {limit} bytes")
                    digest.update(chunk)
                    file.write(chunk)
            except BaseException:
                path.unlink()
                raise
        return File(path, "upload", "application/octet-stream", size, digest.hexdigest())


@contextmanager
def _dropped_if_refused(file: File) -> Iterator[None]:
    try:
        yield
    except Refusal:
        file.path.unlink(missing_ok=True)
        raise

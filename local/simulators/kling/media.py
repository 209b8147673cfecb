"""The pictures and clips of a request: given by a URL, or (pictures only) as base64 without a data: prefix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from local.simulators.kling import rules
from local.simulators.shared import footage
from local.simulators.shared.body import File
from local.simulators.shared.errors import Refusal
from local.simulators.shared.inputs import Inputs
from local.simulators.shared.store import Vault

Facts = TypeVar("Facts")
_IMAGE_BYTES, _ELEMENT_IMAGE_BYTES, _VIDEO_BYTES = (size * 1024 * 1024 for size in (50, 10, 200))


class Media:
    """Fetches and checks the inputs of one server and keeps them in its vault."""

    def __init__(self, vault: Vault, inputs: Inputs) -> None:
        self._vault, self._inputs = vault, inputs

    def image(self, place: str, name: str, element: bool = False) -> tuple[str, footage.ImageFacts]:
        """Fetch, check and keep a picture. Return its vault key and its facts. Raises Refusal."""
        limit = _ELEMENT_IMAGE_BYTES if element else _IMAGE_BYTES
        if place.startswith("data:"):
            raise rules.invalid(f"{name}: base64 must come without the data: prefix.")
        is_address = place.startswith(("http://", "https://"))
        file = self._fetched(place if is_address else f"data:image/png;base64,{place}", name, limit)
        facts = self._opened(file, name, footage.probe_image)
        if facts.media_type not in ("image/png", "image/jpeg") or file.size > limit:
            raise self._dropped(file, f"{name}: only jpg and png of up to {limit >> 20} MB are supported.")
        if min(facts.width, facts.height) < 300 or not 0.4 <= facts.width / facts.height <= 2.5:
            raise self._dropped(file, f"{name}: sides of at least 300 px, a ratio of 1:2.5 to 2.5:1.")
        return self._vault.keep(file.path, file.sha256), facts

    def video(self, place: str, name: str, seconds: tuple[float, float]) -> tuple[str, footage.VideoFacts]:
        """Fetch, check and keep a clip, given by a URL. Return its vault key and its facts. Raises Refusal."""
        if not place.startswith(("http://", "https://")):
            raise rules.invalid(f"{name}: a video must be given by an https URL.")
        file = self._fetched(place, name, _VIDEO_BYTES)
        if footage.sniff(file.path) not in ("mp4", "mov"):
            raise self._dropped(file, f"{name}: only mp4 and mov are supported.")
        facts = self._opened(file, name, footage.probe)
        if not seconds[0] <= facts.duration <= seconds[1]:
            raise self._dropped(
                file, f"{name}: {facts.duration:.1f} s; {seconds[0]:.0f} to {seconds[1]:.0f} s are allowed."
            )
        return self._vault.keep(file.path, file.sha256), facts

    def _fetched(self, url: str, name: str, limit: int) -> File:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost"):
            raise rules.invalid(f"{name}: the URL must be https.")
        try:
            return self._inputs.fetch(url, name, limit)
        except Refusal as refusal:
            raise rules.invalid(refusal.message) from refusal

    def _opened(self, file: File, name: str, probe: Callable[[Path], Facts]) -> Facts:
        try:
            return probe(file.path)
        except footage.UnreadableMedia as error:
            raise self._dropped(file, f"{name}: {error}.") from error

    def _dropped(self, file: File, message: str) -> Refusal:
        file.path.unlink(missing_ok=True)
        return rules.invalid(message)

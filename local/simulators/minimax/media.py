"""The pictures and clips of a request: given by an https URL or as a data URI, and checked before the job exists."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from local.simulators.minimax import rules
from local.simulators.minimax.settings import Settings
from local.simulators.shared import footage
from local.simulators.shared.body import File
from local.simulators.shared.errors import Refusal
from local.simulators.shared.inputs import Inputs
from local.simulators.shared.store import Vault

_IMAGE_BYTES, _VIDEO_BYTES = 30 * 1024**2, 50 * 1024**2
_SIDES, _SHAPES = (256, 5760), (0.4, 2.5)
_SECONDS, _SECONDS_IN_ALL = (2.0, 15.0), 15.0
_TYPES = {"image": ("jpeg", "png", "webp"), "video": ("mp4", "mov")}


class Media:
    """Fetches and checks the inputs of one server and keeps them in its vault."""

    def __init__(self, vault: Vault, inputs: Inputs, settings: Callable[[], Settings]) -> None:
        self._vault, self._inputs, self._settings = vault, inputs, settings

    def image(self, url: str) -> tuple[str, footage.ImageFacts]:
        """Fetch, check and keep a picture. Return its vault key and its facts. Raises Refusal."""
        file = self._fetched(url, "image", _IMAGE_BYTES)
        try:
            facts = footage.probe_image(file.path)
        except footage.UnreadableMedia as error:
            raise _dropped(file, f"image: {error}") from error
        (low, high), (narrow, wide) = _SIDES, _SHAPES
        if not low <= min(facts.width, facts.height) <= max(facts.width, facts.height) <= high:
            raise _dropped(file, f"image: {facts.width}x{facts.height}, sides must be {low} to {high} px")
        if not narrow <= facts.width / facts.height <= wide:
            raise _dropped(file, f"image: {facts.width}x{facts.height}, the aspect ratio must be {narrow} to {wide}")
        return self._vault.keep(file.path, file.sha256), facts

    def videos(self, urls: list[str]) -> list[tuple[str, footage.VideoFacts]]:
        """Fetch, check and keep the reference clips. Return their vault keys and facts.

        Raises Refusal, also if the clips together are too long.
        """
        found = [self._video(url) for url in urls]
        if (total := sum(facts.duration for _, facts in found)) > _SECONDS_IN_ALL:
            raise rules.invalid(f"reference videos have {total:.1f} s, at most {_SECONDS_IN_ALL:g} s in all")
        return found

    def _video(self, url: str) -> tuple[str, footage.VideoFacts]:
        file = self._fetched(url, "video", _VIDEO_BYTES)
        try:
            facts = footage.probe(file.path)
        except footage.UnreadableMedia as error:
            raise _dropped(file, f"video: {error}") from error
        (shortest, longest), (slowest, fastest) = _SECONDS, self._settings().clip_rates
        if not shortest <= facts.duration <= longest:
            raise _dropped(file, f"video: {facts.duration:.1f} s, must be {shortest:g} to {longest:g} s")
        if not slowest - 0.001 <= facts.fps <= fastest + 0.001:
            raise _dropped(file, f"video: {facts.fps:.3f} fps, must be {slowest:g} to {fastest:g}")
        return self._vault.keep(file.path, file.sha256), facts

    def _fetched(self, url: str, kind: str, limit: int) -> File:
        parts = urlsplit(url)
        here = self._settings().local_inputs and parts.hostname in ("127.0.0.1", "localhost")
        if parts.scheme == "mm_file":
            raise rules.invalid(f"{kind}: no such file (the simulator has no Files API)")
        if parts.scheme not in ("https", "data") and not (parts.scheme == "http" and here):
            raise rules.invalid(f"{kind}: the url must be https, mm_file or a data URI")
        try:
            file = self._inputs.fetch(url, kind, limit)
        except Refusal as refusal:
            raise rules.invalid(refusal.message) from refusal
        if file.size > limit:
            raise _dropped(file, f"{kind}: {file.size} bytes, at most {limit >> 20} MB")
        if footage.sniff(file.path) not in _TYPES[kind]:
            raise _dropped(file, f"{kind}: must be one of {', '.join(_TYPES[kind])}")
        return file


def _dropped(file: File, message: str) -> Refusal:
    file.path.unlink(missing_ok=True)
    return rules.invalid(message)

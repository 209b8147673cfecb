"""Settings that differ between the flavours, and settings that tests may change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.openai.rules import SECONDS
from local.simulators.shared.settings import JobSettings

Flavour = Literal["openai", "azure", "vllm"]

_MODELS: dict[Flavour, tuple[str, ...]] = {
    "openai": ("sora-2", "sora-2-pro", "sora-2-2025-10-06", "sora-2-2025-12-08", "sora-2-pro-2025-10-06"),
    "azure": (),
    "vllm": ("wan-2.2",),
}


class Settings(JobSettings):
    """The settings of this simulator, in addition to those that all simulators have."""

    models: tuple[str, ...] = ()  # names that are served; empty: any
    require_key: bool = True
    variants: bool = True  # False: only the video itself can be downloaded
    unfinished_status: Literal[404, 400] = 404  # the answer if a video's content does not exist yet
    expires_after: float = 3600.0  # real seconds that finished content can be downloaded
    approved_uploads: bool = True  # whether this customer may edit or extend uploaded files
    extend_seconds: tuple[int, ...] = tuple(map(int, SECONDS))  # by how much a video may be extended
    character_types: tuple[str, ...] = ("mp4", "mov")
    character_min_seconds: float = 1.0  # the guide recommends 2 to 4 seconds
    character_max_seconds: float = 12.0
    ids: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - by account: used first for new ids with the same prefix
    poll_after_ms: int | None = None  # the header openai-poll-after-ms


def defaults(flavour: Flavour) -> Settings:
    """Return the initial settings of a flavour."""
    return Settings(models=_MODELS[flavour], require_key=flavour != "vllm")

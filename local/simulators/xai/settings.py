"""Settings that tests may change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings

MODELS = ("grok-imagine-video", "grok-imagine-video-1.5", "grok-imagine-video-1.5-lite")


class Settings(JobSettings):
    """The settings of this simulator, in addition to those that all simulators have."""

    models: tuple[str, ...] = MODELS
    error_shape: Literal["natural", "flat", "nested", "bare"] = "natural"  # natural: the shape depends on the status
    moderation: Literal["flag", "refusal", "failure", "bare"] = "flag"  # how a withheld video shows when polled
    empty_pending: bool = True  # a queued job answers 202 without a body
    output_seconds: float = 86_400.0  # real seconds until a video's address expires

"""Settings that tests may change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """The settings of this simulator, in addition to those that all simulators have."""

    arrears: tuple[str, ...] = ()  # accounts that cannot pay: 429, code 1102
    concurrency: int = 0  # concurrency limit of an account: one task more is a 429, code 1303; 0: no limit
    success: Literal["succeeded", "succeed"] = "succeeded"  # the word for a finished video
    delete_path: Literal["both", "advanced", "plain"] = "both"  # which paths for deleting an element exist
    element_seconds: float = 0.4  # simulated time that an element takes
    output_seconds: float = 2_592_000.0  # real seconds until a video's address expires
    slowest_fps: float = 10.0  # of a video to edit; the vendor says 24, but the simulators' own videos have 12
    charged: Literal["unit", "cash"] = "unit"

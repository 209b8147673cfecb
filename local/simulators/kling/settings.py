"""What tests change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """What this simulator has beside the settings of all."""

    arrears: tuple[str, ...] = ()  # accounts that cannot pay: 429, code 1102
    concurrency: int = 0  # tasks that may run in an account at once, else 429, code 1303; 0: any number
    success: Literal["succeeded", "succeed"] = "succeeded"  # the word for a finished video
    delete_path: Literal["both", "advanced", "plain"] = "both"  # which way of deleting elements exists
    element_seconds: float = 0.4  # simulated time that an element takes
    output_seconds: float = 2_592_000.0  # real seconds that a video's address lives
    slowest_fps: float = 10.0  # of a video to edit; the vendor says 24, but the simulators' own videos have 12
    charged: Literal["unit", "cash"] = "unit"

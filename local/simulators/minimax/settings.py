"""What tests change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """What this simulator has beside the settings of all."""

    arrears: tuple[str, ...] = ()  # accounts without money
    concurrency: int = 0  # tasks of an account at once; 0: no limit
    error_shape: Literal["v2", "base_resp"] = "v2"  # base_resp: as the first API says it, in an answer of 200
    clip_rates: tuple[float, float] = (23.976, 60.0)  # pictures a second of reference clips
    known_seconds: float = 7 * 86_400.0  # real seconds that a task can be asked for
    output_seconds: float = 86_400.0  # real seconds that a video's address lives
    local_inputs: bool = True  # http:// addresses of this machine are allowed for inputs

"""Settings that tests may change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """The settings of this simulator, in addition to those that all simulators have."""

    arrears: tuple[str, ...] = ()  # accounts that cannot pay: 402
    concurrency: int = 0  # concurrency limit of an account; 0: no limit
    error_shape: Literal["v2", "base_resp"] = "v2"  # base_resp: errors as in the first API, with status 200
    clip_rates: tuple[float, float] = (23.976, 60.0)  # frames a second that a reference clip may have
    known_seconds: float = 7 * 86_400.0  # real seconds that a task can be queried
    output_seconds: float = 86_400.0  # real seconds until a video's address expires
    local_inputs: bool = True  # http:// addresses of this machine are allowed for inputs

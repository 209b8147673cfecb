"""Settings of every simulator that has jobs."""

from __future__ import annotations

from local.simulators.shared.provider import BaseSettings


class JobSettings(BaseSettings):
    """The settings of jobs. `--set name=value` on the command line or `POST /_sim/settings` changes a setting."""

    retired: tuple[str, ...] = ()  # names of models that are no longer served
    queued_seconds: float = 0.4  # simulated time: the real time is this divided by `speed`
    run_seconds: float = 1.6
    id_suffix: str = ""  # appended to every new id, to test clients with unusual ids

"""What every simulator with jobs of its own lets tests change while it runs."""

from __future__ import annotations

from local.simulators.shared.provider import BaseSettings


class JobSettings(BaseSettings):
    """All settings may be given on the command line (`--set name=value`) or to `POST /_sim/settings`."""

    retired: tuple[str, ...] = ()  # names of models that were served once
    queued_seconds: float = 0.4  # simulated time, that is divided by `speed`
    run_seconds: float = 1.6
    id_suffix: str = ""  # put at the end of every new id, to see that clients survive odd ones

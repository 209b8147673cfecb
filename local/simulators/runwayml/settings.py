"""What tests change while the simulator runs."""

from __future__ import annotations

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """What this simulator has beside the settings of all."""

    credits: float = 1e9  # of each account; an order that may cost more is refused
    concurrency: int = 0  # tasks of an account at once, those beyond are THROTTLED; 0: no limit
    output_seconds: float = 86_400.0  # real seconds that a signed address of an output lives
    upload_seconds: float = 86_400.0  # real seconds that an upload can be used
    local_inputs: bool = True  # http:// and IP addresses are allowed for inputs by URL

"""Settings that tests may change while the simulator runs."""

from __future__ import annotations

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """The settings of this simulator, in addition to those that all simulators have."""

    credits: float = 1e9  # of each account; a request that may cost more is refused
    concurrency: int = 0  # concurrency limit of an account: tasks beyond the limit are THROTTLED; 0: no limit
    output_seconds: float = 86_400.0  # real seconds until a signed address of an output expires
    upload_seconds: float = 86_400.0  # real seconds that an upload can be used
    local_inputs: bool = True  # http:// and IP addresses are allowed for inputs by URL

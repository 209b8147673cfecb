"""The environment, read once. Nothing else touches `os.environ`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of what the template made. All are required where they are used; an absent one reads as ''."""

    table_name: str
    bucket_name: str
    job_queue_url: str
    upload_queue_url: str
    id_secret: str
    inspect_function: str
    stitch_function: str
    allowed_origin: str
    initialization: str  # "snap-start" while Lambda makes what it takes a snapshot of
    allow_private_networks: bool  # only the local stack says so: providers live on 127.0.0.1 there


@cache
def settings() -> Settings:
    """The settings of this execution environment."""
    env = os.environ.get
    return Settings(
        table_name=env("TABLE_NAME", ""),
        bucket_name=env("BUCKET_NAME", ""),
        job_queue_url=env("JOB_QUEUE_URL", ""),
        upload_queue_url=env("UPLOAD_QUEUE_URL", ""),
        id_secret=env("ID_SECRET", ""),
        inspect_function=env("INSPECT_FUNCTION", ""),
        stitch_function=env("STITCH_FUNCTION", ""),
        allowed_origin=env("ALLOWED_ORIGIN", "*"),
        initialization=env("AWS_LAMBDA_INITIALIZATION_TYPE", ""),
        allow_private_networks=env("ALLOW_PRIVATE_NETWORKS", "") == "1",
    )

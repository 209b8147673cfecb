"""The environment, read once. No other module of this layer reads `os.environ`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of what the template made. Each is required where it is used. A missing one reads as ''."""

    stack: str
    table_name: str
    bucket_name: str
    job_machine: str  # the ARN of the state machine that drives jobs
    upload_queue_url: str
    id_secret: str
    inspect_function: str
    stitch_function: str
    max_characters: int  # for each team, like the next two; 0: no limit
    max_uploads: int  # that are open
    max_storage: int  # bytes
    allowed_origin: str
    initialization: str  # "snap-start" if the function uses SnapStart
    allow_private_networks: bool  # only in the local stack, whose providers are on 127.0.0.1


@cache
def settings() -> Settings:
    """Return the settings of this execution environment."""
    env = os.environ.get
    return Settings(
        stack=env("POWERTOOLS_SERVICE_NAME", ""),  # the stack's name: metrics and secrets of two stacks stay apart
        table_name=env("TABLE_NAME", ""),
        bucket_name=env("BUCKET_NAME", ""),
        job_machine=env("JOB_MACHINE", ""),
        upload_queue_url=env("UPLOAD_QUEUE_URL", ""),
        id_secret=env("ID_SECRET", ""),
        inspect_function=env("INSPECT_FUNCTION", ""),
        stitch_function=env("STITCH_FUNCTION", ""),
        max_characters=int(env("MAX_CHARACTERS") or 0),
        max_uploads=int(env("MAX_UPLOADS") or 0),
        max_storage=int(env("MAX_STORAGE") or 0) * 1024**3,  # the environment has GiB
        allowed_origin=env("ALLOWED_ORIGIN", "*"),
        initialization=env("AWS_LAMBDA_INITIALIZATION_TYPE", ""),
        allow_private_networks=env("ALLOW_PRIVATE_NETWORKS", "") == "1",
    )

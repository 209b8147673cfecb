"""Settings that tests may change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """The settings of this simulator, in addition to those that all simulators have."""

    retired: tuple[str, ...] = ("gemini-omni-flash-preview",)
    array_errors: bool = False  # the front end's errors come in an array of one
    moderation: Literal["silent", "failed", "poll"] = "silent"  # how a withheld video shows when polled
    delivery: Literal["asked", "inline", "uri"] = "asked"  # of videos in the answer to a GET
    processing_seconds: float = 0.3  # simulated time that an uploaded file is PROCESSING
    file_seconds: float = 172_800.0  # real seconds until a file expires
    uploads_edited: bool = True  # False: uploaded clips cannot be edited or extended, as in some regions

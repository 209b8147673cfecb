"""What tests change while the simulator runs."""

from __future__ import annotations

from typing import Literal

from local.simulators.shared.settings import JobSettings


class Settings(JobSettings):
    """What this simulator has beside the settings of all."""

    retired: tuple[str, ...] = ("gemini-omni-flash-preview",)
    array_errors: bool = False  # the front end's errors come in an array of one
    moderation: Literal["silent", "failed", "poll"] = "silent"  # how a withheld video shows when polled
    delivery: Literal["asked", "inline", "uri"] = "asked"  # of videos in the answer to a GET
    processing_seconds: float = 0.3  # simulated time that an uploaded file is looked at
    file_seconds: float = 172_800.0  # real seconds that files live
    uploads_edited: bool = True  # False: the region's law forbids edits and extensions of other people's clips

"""Builds a job from a checked request: fetches and opens the files and adds them to the job."""

from __future__ import annotations

import math
import secrets

from local.simulators.kling import rules
from local.simulators.kling.elements import Elements
from local.simulators.kling.media import Media
from local.simulators.kling.rules import Wish
from local.simulators.kling.settings import Settings
from local.simulators.shared.studio import Job


class Desk:
    """Builds the jobs of one server."""

    def __init__(self, media: Media, elements: Elements) -> None:
        self._media, self._elements = media, elements

    def job(self, account: str, wish: Wish, settings: Settings) -> Job:
        """Build the job of a request: fetch and check every file and add it to the job. Raises Refusal."""
        rules.cited(wish.prompt, wish)
        width, height = rules.pixels(wish.ratio or "16:9", wish.resolution)
        task_id = str(secrets.randbelow(10**17) + 8 * 10**17) + settings.id_suffix
        job = Job(task_id, account, "generate", wish.name, wish.prompt, wish.seconds, width, height)
        for content in wish.of("element"):
            job.roles.append((content.id or "", self._elements.usable(account, content.place).picture))
        for content in wish.of("first_frame", "last_frame", "refer_image"):
            key, picture = self._media.image(content.place, content.kind)
            if content.kind == "first_frame":
                job.first_frame = key
                job.width, job.height = _scaled(picture.width, picture.height, wish.resolution)
            elif content.kind == "refer_image":
                job.roles.append((content.id or "image", key))
        for content in wish.of("base_video", "feature_video"):
            longest = rules.O1_VIDEO_SECONDS if wish.name == "kling-o1" else rules.VIDEO_SECONDS
            key, facts = self._media.video(content.place, content.kind, longest)
            sides = (facts.width, facts.height)
            if min(sides) < 700 or max(sides) > 4553 or facts.width * facts.height > 8_294_400:
                raise rules.invalid(
                    f"{content.kind}: {facts.width}x{facts.height}; sides of 700 to 4553 px are allowed."
                )
            if not settings.slowest_fps <= facts.fps <= 60:
                raise rules.invalid(f"{content.kind}: {facts.fps:g} fps; 24 to 60 are allowed.")
            if content.kind == "base_video":
                job.operation, job.source_file = "edit", key
                job.seconds = max(1, math.floor(facts.duration + 0.5))
                job.width, job.height = _scaled(*sides, wish.resolution)
        return job


def _scaled(width: int, height: int, resolution: str) -> tuple[int, int]:
    """Return the width and height of an input scaled to the requested resolution; both are even."""
    factor = rules.RESOLUTIONS[resolution] / min(width, height)
    return round(width * factor / 2) * 2, round(height * factor / 2) * 2

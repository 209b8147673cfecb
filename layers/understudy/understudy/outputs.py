"""A finished video's file: from its provider into our bucket, and the pictures that stand for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from understudy import accounts, media, sniff, storage
from understudy.deployments import Deployment
from understudy.errors import ApiError, Reason, Refused
from understudy.jobs import File, Job
from understudy.providers import load
from understudy.providers.base import Account, Progress
from understudy.telemetry import logger

MAX_OUTPUT = 5 * 1024**3
UNSEEN = {"too_long", "too_large", "timed_out"}  # refusals to open a video that say nothing against it


def key(job: Job) -> str:
    """Where the video is kept."""
    return f"{storage.video_prefix(job.team, job.id)}video.mp4"


def fetch(deployment: Deployment, progress: Progress, key: str, deadline: float) -> File:
    """Copy what the provider made to `key`. Raises Refused and OutcomeUnknown."""
    provider = load(deployment.provider)

    def copy(account: Account) -> int:
        with provider.open_content(account, progress) as content:
            return storage.save(key, _video_only(content.chunks), "video/mp4")

    return File(key, "video/mp4", accounts.call(deployment, deadline, copy))


def previews(job: Job, *, give_up: bool) -> dict[str, Any]:
    """Make the pictures; returns facts of the video, and none if the pictures are given up.

    Raises ApiError when it may work later. Half a file looks like that, too, so then the file is to be fetched again;
    but bytes that are home are not given up for a thumbnail.
    """
    try:
        return media.previews(key(job), storage.video_prefix(job.team, job.id))
    except ApiError as error:
        if error.code not in UNSEEN and not give_up:
            raise
        logger.warning("no previews", extra={"video": job.id, "code": error.code})
        return {}


def _video_only(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, if they are a video and end. An HTML page called video/mp4 is not stored as one."""
    count, head = 0, b""
    for chunk in chunks:
        if len(head) < 64:
            head += chunk[:4096]
            if len(head) >= 64 and sniff.video(head) is None:
                raise Refused(Reason.UNAVAILABLE, "The provider's file is not a video.")
        count += len(chunk)
        if count > MAX_OUTPUT:
            raise Refused(Reason.UNAVAILABLE, "The provider's file is too large.")
        yield chunk
    if sniff.video(head) is None:
        raise Refused(Reason.UNAVAILABLE, "The provider's file is not a video.")

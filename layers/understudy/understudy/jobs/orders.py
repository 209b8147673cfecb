"""What a provider is told of a job: the order, made of the row at the moment at which it is sent."""

from __future__ import annotations

from collections.abc import Iterator

from understudy.characters import handles
from understudy.characters.character import Character
from understudy.deployments.config import Deployment
from understudy.errors import Reason, Refused
from understudy.files.media import media_at
from understudy.jobs.job import Job
from understudy.providers.base import CastMember, Media, Order, Profile, Source
from understudy.providers.prices import Bill
from understudy.providers.sizes import fit
from understudy.store import bucket
from understudy.store.bucket import File


def order_of(job: Job, deployment: Deployment, profile: Profile) -> Order:
    """The order as the provider gets it. What is put together here is a new video to its provider."""
    size, seconds = _measure(job, profile)
    return Order(
        operation="create" if job.emulated else job.operation,  # type: ignore[arg-type]
        model=deployment.models.get(job.model, job.model),
        prompt=job.prompt,
        reference=job.id,
        seconds=seconds,
        size=size,
        image=_media(job.image, "image"),
        cast=tuple(_cast(job, deployment, profile)),
        source=None if job.emulated else _source(job, deployment, profile),
    )


def size(job: Job, profile: Profile) -> str:
    """The size that is going to be ordered."""
    return _measure(job, profile)[0] or profile.default_size


def price(job: Job, profile: Profile, size: str | None = None, seconds: int | None = None) -> int:
    """What making the job costs, in micro-dollars: as it is ordered, or as it was made with this size and length."""
    ordered, length = _measure(job, profile)
    seconds = (seconds or length) if job.operation == "create" else job.billed_seconds
    bill = Bill(
        operation="create" if job.emulated else job.operation,
        size=size or ordered or job.size or profile.default_size,
        seconds=seconds or profile.default_seconds,
        source_seconds=0 if job.emulated else job.source_seconds,
        clips=[profile.characters.sent(milliseconds) for milliseconds in job.clips],
    )
    return profile.prices.cost(bill)


def cast_of(job: Job) -> Iterator[Character]:
    """Its characters, without those deleted since the request: the prompt still names them."""
    for record in job.characters:
        if character := Character.find(job.team, record):
            yield character


def source_of(job: Job) -> Job:
    """The video that the job is made from. Raises Refused when there will be none: it failed, or was deleted."""
    source = Job.find(job.team, job.source or "")
    if source is None:
        message = "The video that this one was to be made from has been deleted meanwhile. Nothing was ordered."
        raise Refused(Reason.INVALID, message, param="video", code="source_deleted")
    if source.error is not None:
        message = f"The video that this one was to be made from has failed: {source.error['message']}"
        raise Refused(Reason.INVALID, message, param="video", code="source_failed")
    return source


def maker(source: Job) -> str | None:
    """The deployment whose provider has this video as a whole; of one that was put together here none has."""
    return None if source.emulated else source.deployment


def _measure(job: Job, profile: Profile) -> tuple[str | None, int | None]:
    """Size and seconds of the order."""
    profile = profile.playing(cast=bool(job.characters))
    seconds, size = job.seconds, fit(job.size, profile.sizes) if job.size else None
    if job.operation == "create":
        # What this one cannot make was not asked for: it is the default of the deployment that was to make it first.
        seconds = seconds if seconds in profile.seconds else profile.default_seconds
        size = size or profile.default_size
    return size, seconds


def _cast(job: Job, deployment: Deployment, profile: Profile) -> list[CastMember]:
    cast = []
    for character in cast_of(job):
        handle = handles.find(character, deployment) if profile.characters.native else None
        cast.append(character.cast(profile.characters, handle.reference if handle else None))
    return cast


def _source(job: Job, deployment: Deployment, profile: Profile) -> Source | None:
    seconds = job.source_seconds or None
    if job.source_clip:
        return Source(clip=_media(job.source_clip, "video"), seconds=seconds)
    if job.source is None:
        return None
    source = source_of(job)
    if maker(source) == deployment.id and not profile.source_by_clip:
        return Source(upstream_id=source.upstream_id, seconds=seconds)
    if job.operation == "remix":  # it was not there yet when it was to be remixed, and was then made elsewhere
        message = "This video was made by another deployment and cannot be remixed. Use POST /v1/videos/edits."
        raise Refused(Reason.INVALID, message, param="video_id", code="unsupported_operation")
    return Source(clip=_media(source.output, "video"), seconds=seconds)


def _media(file: File | None, name: str) -> Media | None:
    if file is None:
        return None
    filename = f"{name}.{bucket.EXTENSIONS.get(file.mime_type, 'bin')}"
    return media_at(file.key, filename=filename, mime_type=file.mime_type, byte_count=file.byte_count)

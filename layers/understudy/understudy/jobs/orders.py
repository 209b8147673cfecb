"""The order that a provider gets for a job. It is built from the row when it is sent."""

from __future__ import annotations

from collections.abc import Iterator

from understudy.characters import handles
from understudy.characters.character import Character
from understudy.deployments.config import Deployment
from understudy.errors import Ours, Reason, Refused
from understudy.files.media import media_at
from understudy.jobs.job import Job
from understudy.providers.base import CastMember, Media, Order, Profile, Source
from understudy.providers.prices import Bill
from understudy.providers.sizes import fit
from understudy.store import bucket
from understudy.store.bucket import File
from understudy.telemetry import needs_attention


def order_of(job: Job, deployment: Deployment, profile: Profile) -> Order:
    """Return the order for the provider. For the provider, an emulated extension is a new video.

    Raises Refused for any failure: nothing has been sent yet.
    """
    try:
        return _built(job, deployment, profile)
    except Refused:
        raise
    except Exception as error:  # the table or S3 is away, or an error of ours
        needs_attention("step_died", "order not built", video=job.id, state=job.state)
        raise Ours(Reason.UNAVAILABLE, "The order could not be put together.") from error


def _built(job: Job, deployment: Deployment, profile: Profile) -> Order:
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
    """Return the size that will be ordered."""
    return _measure(job, profile)[0] or profile.default_size


def price(job: Job, profile: Profile, size: str | None = None, seconds: int | None = None) -> int:
    """Return the price of the job in micro-dollars: as ordered, or as made with this size and length."""
    ordered, length = _measure(job, profile)
    seconds = (seconds or length) if job.operation == "create" else _remade(job, seconds or 0)
    bill = Bill(
        operation="create" if job.emulated else job.operation,
        size=size or ordered or job.size or profile.default_size,
        seconds=seconds or profile.default_seconds,
        source_seconds=0 if job.emulated else job.source_seconds,
        clips=[profile.characters.sent(milliseconds) for milliseconds in job.clips],
    )
    return profile.prices.cost(bill)


def _remade(job: Job, delivered: int) -> int:
    """Return the seconds of an edit, remix or extension that are billed: as ordered, or more if more was delivered.

    An extension is delivered as a whole and billed by the added part.
    """
    if job.operation == "extend":
        delivered = delivered - job.source_seconds if job.source_seconds else 0
    return max(job.billed_seconds or 0, delivered)


def cast_of(job: Job) -> Iterator[Character]:
    """Yield the job's characters, without those deleted since the request. The prompt still names the deleted ones."""
    for record in job.characters:
        if character := Character.find(job.team, record):
            yield character


def source_of(job: Job) -> Job:
    """Return the video that the job is made from. Raises Refused if that video failed or was deleted."""
    source = Job.find(job.team, job.source or "")
    if source is None:
        message = "The source video was deleted before the order was sent. Nothing was created."
        raise Refused(Reason.INVALID, message, param="video", code="source_deleted")
    if source.error is not None:
        message = f"The source video failed: {source.error['message']}"
        raise Refused(Reason.INVALID, message, param="video", code="source_failed")
    return source


def maker(source: Job) -> str | None:
    """Return the deployment whose provider has this video as a whole, or None if Understudy joined the video."""
    return None if source.emulated else source.deployment


def _measure(job: Job, profile: Profile) -> tuple[str | None, int | None]:
    """Return the size and the seconds of the order."""
    profile = profile.playing(cast=bool(job.characters))
    seconds, size = job.seconds, fit(job.size, profile.sizes) if job.size else None
    if job.operation == "create":
        # A value that this model cannot make is not the caller's: it is the default of the deployment that was first.
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
    if job.operation == "remix":  # the source was unfinished at the request, and was then made elsewhere
        message = "This video was made by another deployment and cannot be remixed. Use POST /v1/videos/edits."
        raise Refused(Reason.INVALID, message, param="video_id", code="unsupported_operation")
    return Source(clip=_media(source.output, "video"), seconds=seconds)


def _media(file: File | None, name: str) -> Media | None:
    if file is None:
        return None
    filename = f"{name}.{bucket.EXTENSIONS.get(file.mime_type, 'bin')}"
    return media_at(file.key, filename=filename, mime_type=file.mime_type, byte_count=file.byte_count)

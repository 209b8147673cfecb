"""Jobs and errors in xAI's format."""

from __future__ import annotations

from typing import Any

from local.simulators.shared import triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.provider import Response
from local.simulators.shared.studio import Job
from local.simulators.xai.rules import MODELS, RESOLUTIONS, SOURCE_PRICE
from local.simulators.xai.settings import Settings

WITHHELD = "Generated video rejected by content moderation."
_TICKS = 10_000_000_000  # of a US dollar


def pending(status: str, progress: int, prompt: str, settings: Settings) -> Response:
    """Build the answer for an unfinished job: 202, without a body for a queued job if the settings say so."""
    if status == "queued" and settings.empty_pending:
        return Response(202)
    word = "pending" if triggers.status_word(prompt, status) == status else "post_processing"
    return Response.of({"status": word, "progress": min(progress, 99)}, 202)


def done(job: Job, url: str) -> Response:
    video = {"url": url, "duration": job.total_seconds, "respect_moderation": True}
    return Response.of({"status": "done", "progress": 100, "model": job.model, "video": video, "usage": usage(job)})


def failed(code: str, message: str) -> Response:
    return Response.of({"status": "failed", "error": {"code": code, "message": message}})


def withheld(job: Job, settings: Settings) -> Response:
    """Build the answer for a video that moderation withholds, in one of the forms that were seen."""
    match settings.moderation:
        case "refusal":  # the poll itself is refused, and the video is billed
            body = {"code": "Client specified an invalid argument", "error": WITHHELD, "usage": usage(job)}
            return Response.of(body, 400)
        case "bare":
            return Response.of({"code": "imagine:content-moderated", "error": WITHHELD}, 400)
        case "failure":
            return failed("internal_error", WITHHELD)
        case "flag":
            video = {"url": "", "duration": job.total_seconds, "respect_moderation": False}
            return Response.of({"status": "done", "progress": 100, "model": job.model, "video": video})


def usage(job: Job) -> dict[str, int]:
    """Compute the price: seconds of the new video by resolution, plus the input images and seconds of input video."""
    model = MODELS.get(job.model, MODELS["grok-imagine-video"])
    short = min(job.width, job.height)
    resolution = next((name for name, side in RESOLUTIONS.items() if short <= side), "1080p")
    images = len(job.roles) + (job.first_frame is not None)
    source = job.source_seconds or (job.seconds if job.operation == "edit" else 0)
    dollars = job.seconds * model.prices.get(resolution, max(model.prices.values()))
    dollars += images * model.image_price + source * SOURCE_PRICE
    return {"cost_in_usd_ticks": round(dollars * _TICKS)}


def error(refusal: Refusal, settings: Settings) -> Response:
    """Build an error in one of three shapes. With `natural`, a 422 is bare, a 429 is nested, and others are flat."""
    natural = {422: "bare", 429: "nested"}.get(refusal.status, "flat")
    shape = natural if settings.error_shape == "natural" else settings.error_shape
    body: dict[str, Any] = {"error": refusal.message}
    if shape == "flat":
        body = {"code": refusal.code or "invalid-argument", "error": refusal.message}
    if shape == "nested":
        kind = "invalid_request_error" if refusal.status < 500 else "server_error"
        body = {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}}
    return Response.of(body, refusal.status, refusal.headers)

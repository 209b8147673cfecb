"""Objects in OpenAI's format: videos, pages of videos, errors."""

from __future__ import annotations

from typing import Any

from local.simulators.openai.settings import Flavour, Settings
from local.simulators.shared import triggers
from local.simulators.shared.errors import Refusal
from local.simulators.shared.provider import Response
from local.simulators.shared.studio import Job, Studio


def video_document(job: Job, studio: Studio, settings: Settings) -> dict[str, Any]:
    """Build the current Video object. It always has all keys."""
    status, progress = studio.status(job)
    error = None
    if status == "failed":
        code, message, _ = triggers.FAILURES[triggers.fate(job.prompt)]
        error = {"code": code, "message": message}
    completed = status == "completed" and job.completed_at is not None
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": triggers.status_word(job.prompt, status),
        "progress": progress,
        "created_at": job.created_at,
        "completed_at": int(job.completed_at or 0) if completed else None,
        "expires_at": int((job.completed_at or 0) + settings.expires_after) if completed else None,
        "prompt": job.prompt,
        "size": f"{job.width}x{job.height}",
        "seconds": str(job.total_seconds),
        "remixed_from_video_id": job.remixed_from,
        "error": error,
    }


def page(jobs: list[Job], query: dict[str, str]) -> dict[str, Any]:
    """Return a page of jobs by `limit` (0 to 100, default 20), `order` (default desc) and `after`.

    `jobs` has the oldest job first. Raises Refusal (400, 404).
    """
    limit, order, after = query.get("limit", "20"), query.get("order", "desc"), query.get("after")
    if not limit.isdigit() or int(limit) > 100:
        raise Refusal(400, "Invalid 'limit': expected an integer from 0 to 100.", "invalid_value", "limit")
    if order not in ("asc", "desc"):
        raise Refusal(400, "Invalid 'order': expected asc or desc.", "invalid_value", "order")
    if order == "desc":
        jobs = jobs[::-1]
    if after is not None:
        places = [index for index, job in enumerate(jobs) if job.id == after]
        if not places:
            raise Refusal(404, f"Video with id '{after}' not found.", "not_found", "after")
        jobs = jobs[places[0] + 1 :]
    data = jobs[: int(limit)]
    ends = {"first_id": data[0].id if data else None, "last_id": data[-1].id if data else None}
    return {"object": "list", "data": data, **ends, "has_more": len(jobs) > len(data)}


def error_envelope(refusal: Refusal, flavour: Flavour) -> Response:
    """Build the error response of a flavour. Azure's has more keys; vLLM's code is the HTTP status."""
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    error: dict[str, Any] = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    if flavour == "azure":
        error |= {"details": [], "additionalInfo": [], "debugInfo": None, "misalignment": None}
    if flavour == "vllm":
        error |= {"type": "BadRequestError" if refusal.status < 500 else "InternalServerError", "code": refusal.status}
    return Response.of({"error": error}, refusal.status, refusal.headers)

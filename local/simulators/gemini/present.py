"""Interactions and errors in Google's format."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.simulators.gemini.rules import RESOLUTIONS
from local.simulators.shared.errors import Refusal
from local.simulators.shared.provider import Response

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
_LAYER = {"invalid_request", "not_found", "content_blocked", "unimplemented"}  # codes of the Interactions layer


def error(refusal: Refusal, array: bool) -> Response:
    """Return an error response.

    Errors of the Interactions layer have a word as their code. Errors of Google's front end have a number, a status and
    details; with `array` they come in an array of one.
    """
    if refusal.code in _LAYER:
        return Response.of({"error": {"code": refusal.code, "message": refusal.message}}, refusal.status)
    status = refusal.code if refusal.code in {*_STATUSES.values(), "FAILED_PRECONDITION"} else None
    details: dict[str, Any] = {
        "code": refusal.status,
        "message": refusal.message,
        "status": status or _STATUSES.get(refusal.status, "UNKNOWN"),
    }
    if status is None and refusal.code and refusal.code.isupper():
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refusal.code, "domain": "googleapis.com"}
        details["details"] = [info]
    document: Any = {"error": details}
    return Response.of([document] if array else document, refusal.status, refusal.headers)


def interaction(
    interaction_id: str, model: str, status: str, created_at: int, prompt: str, previous: str | None
) -> dict[str, Any]:
    """Build the fields that every Interaction has."""
    created = datetime.fromtimestamp(created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "id": interaction_id,
        "object": "interaction",
        "model": model,
        "status": status,
        "created": created,
        "updated": datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "steps": [{"type": "user_input", "content": [{"type": "text", "text": prompt}]}],
    }
    return document | ({"previous_interaction_id": previous} if previous else {})


def with_video(document: dict[str, Any], place: Path | str, resolution: str, new_seconds: int) -> dict[str, Any]:
    """Add a video and its usage to an Interaction. `place` is a file's URI, or the path of a file to send inline."""
    video: dict[str, Any] = {"type": "video", "mime_type": "video/mp4"}
    if isinstance(place, Path):
        video["data"] = base64.b64encode(place.read_bytes()).decode()
    else:
        video["uri"] = place
    steps = [{"type": "thought", "signature": "c2lt"}, {"type": "model_output", "content": [video]}]
    tokens = RESOLUTIONS[resolution][1] * new_seconds
    usage = {
        "total_input_tokens": 32,
        "total_output_tokens": tokens,
        "total_tokens": tokens + 32,
        "output_tokens_by_modality": [{"modality": "video", "tokens": tokens}],
    }
    return document | {"steps": [*document["steps"], *steps], "usage": usage}


def with_text(document: dict[str, Any], text: str) -> dict[str, Any]:
    """Add a text instead of a video to an Interaction: a refusal that looks like a success."""
    step = {"type": "model_output", "content": [{"type": "text", "text": text}]}
    return document | {"steps": [*document["steps"], step]}


def with_error(document: dict[str, Any], code: str, message: str) -> dict[str, Any]:
    return document | {"errors": [{"code": code, "message": message}]}

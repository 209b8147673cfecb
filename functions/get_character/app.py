"""GET /videos/characters/{character_id}: returns a character."""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response


@Endpoint("GET", "/videos/characters/{character_id}", summary="Get character", answer=resources.CharacterObject)
def handler(call: Call) -> Response:
    """Return one of the caller's characters."""
    return Response(resources.character(lookup.character(call, call.text("character_id"))))

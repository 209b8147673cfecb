"""GET /videos/characters/{character_id}"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response


@Endpoint("GET", "/videos/characters/{character_id}", summary="Get character", answer=resources.CharacterObject)
def handler(call: Call) -> Response:
    """Read a character of the caller's."""
    return Response(resources.character(lookup.character(call, call.text("character_id"))))

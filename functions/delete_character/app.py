"""DELETE /videos/characters/{character_id}: deletes a character."""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup, responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.ids import Kind


@Endpoint(
    "DELETE", "/videos/characters/{character_id}", counts="touch", summary="Delete character", answer=responses.Deleted
)
def handler(call: Call) -> Response:
    """Delete a character with its clip and its stills, and at the providers that can delete it."""
    character = lookup.character(call, call.text("character_id"))
    character.delete()
    return Response(responses.deleted(Kind.CHARACTER, resources.character_id(character)))

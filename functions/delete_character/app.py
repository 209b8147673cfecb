"""DELETE /videos/characters/{character_id}"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup as owned
from understudy.api import responses as present
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.ids import Kind


@Endpoint(
    "DELETE", "/videos/characters/{character_id}", counts="touch", summary="Delete character", answer=present.Deleted
)
def handler(call: Call) -> Answer:
    """Delete a character with its clip, its stills and what providers keep of it."""
    character = owned.character(call, call.text("character_id"))
    character.delete()
    return Answer(present.deleted(Kind.CHARACTER, resources.character_id(character)))

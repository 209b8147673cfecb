"""GET /videos/characters/{character_id}"""

from __future__ import annotations

from understudy import characters, present
from understudy.endpoint import Answer, Call, Endpoint
from understudy.ids import Kind, not_found


@Endpoint("GET", "/videos/characters/{character_id}", summary="Get character", answer=present.CharacterObject)
def handler(call: Call) -> Answer:
    """Read a character of the caller's."""
    managed = call.id("character_id", Kind.CHARACTER)
    character = characters.find(call.caller.team, managed.record)
    if character is None:
        raise not_found(Kind.CHARACTER)
    return Answer(present.character(character))

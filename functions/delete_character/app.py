"""DELETE /videos/characters/{character_id}"""

from __future__ import annotations

from understudy import characters, handles, present
from understudy.endpoint import Answer, Call, Endpoint
from understudy.ids import Kind, not_found


@Endpoint(
    "DELETE", "/videos/characters/{character_id}", counts="touch", summary="Delete character", answer=present.Deleted
)
def handler(call: Call) -> Answer:
    """Delete a character with its clip, its stills and what providers keep of it."""
    managed = call.id("character_id", Kind.CHARACTER)
    character = characters.find(call.caller.team, managed.record)
    if character is None:
        raise not_found(Kind.CHARACTER)
    handles.delete_all(character)
    characters.delete(character)
    return Answer(present.deleted(Kind.CHARACTER, call.text("character_id")))

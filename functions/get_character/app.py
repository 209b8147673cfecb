"""GET /videos/characters/{character_id}"""

from __future__ import annotations

from understudy import owned, present
from understudy.endpoint import Answer, Call, Endpoint


@Endpoint("GET", "/videos/characters/{character_id}", summary="Get character", answer=present.CharacterObject)
def handler(call: Call) -> Answer:
    """Read a character of the caller's."""
    return Answer(present.character(owned.character(call, call.text("character_id"))))

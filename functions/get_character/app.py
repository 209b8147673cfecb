"""GET /videos/characters/{character_id}"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup as owned
from understudy.api.endpoint import Answer, Call, Endpoint


@Endpoint("GET", "/videos/characters/{character_id}", summary="Get character", answer=resources.CharacterObject)
def handler(call: Call) -> Answer:
    """Read a character of the caller's."""
    return Answer(resources.character(owned.character(call, call.text("character_id"))))

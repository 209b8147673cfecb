"""POST /videos/characters"""

from __future__ import annotations

from understudy import resources
from understudy.api import characters as casting
from understudy.api import responses as present
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.api.requests import CreateCharacter


@Endpoint(
    "POST",
    "/videos/characters",
    counts="make",
    summary="Create character",
    body=CreateCharacter,
    answer=resources.CharacterObject,
)
def handler(call: Call) -> Answer:
    """Turn a short clip into a reusable character. The clip comes as a file or as the id of a finished video."""
    character, replayed = casting.create(call, call.body(CreateCharacter))
    return Answer(resources.character(character), headers=present.replayed(replayed))

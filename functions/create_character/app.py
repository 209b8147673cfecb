"""POST /videos/characters"""

from __future__ import annotations

from understudy import casting, present
from understudy.endpoint import Answer, Call, Endpoint
from understudy.schema import CreateCharacter


@Endpoint(
    "POST",
    "/videos/characters",
    counts="make",
    summary="Create character",
    body=CreateCharacter,
    answer=present.CharacterObject,
)
def handler(call: Call) -> Answer:
    """Turn a short clip into a reusable character. The clip comes as a file or as the id of a finished video."""
    character, replayed = casting.create(call, call.body(CreateCharacter))
    return Answer(present.character(character), headers=present.replayed(replayed))

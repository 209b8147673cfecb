"""POST /videos/characters: makes a character."""

from __future__ import annotations

from understudy import resources
from understudy.api import characters, responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import CreateCharacter


@Endpoint(
    "POST",
    "/videos/characters",
    counts="make",
    operation="create_character",
    summary="Create character",
    body=CreateCharacter,
    answer=resources.CharacterObject,
)
def handler(call: Call) -> Response:
    """Make a reusable character from a short clip. The clip is a file, an upload or a finished video."""
    character, replayed = characters.create(call, call.body(CreateCharacter))
    return Response(resources.character(character), headers=responses.replayed(replayed))

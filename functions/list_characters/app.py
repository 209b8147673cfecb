"""GET /videos/characters: lists characters."""

from __future__ import annotations

from understudy import resources
from understudy.api import responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.characters.character import Character
from understudy.ids import Kind


@Endpoint("GET", "/videos/characters", summary="List characters", paged=True, answer=responses.CharacterPage)
def handler(call: Call) -> Response:
    """List the caller's characters, newest first by default."""
    limit, newest_first, after = call.paging(Kind.CHARACTER)
    found = Character.page(call.caller.team, limit=limit + 1, newest_first=newest_first, after=after)
    return Response(responses.page([resources.character(one) for one in found[:limit]], has_more=len(found) > limit))

"""GET /videos/characters"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses as present
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.characters.character import Character
from understudy.ids import Kind


@Endpoint("GET", "/videos/characters", summary="List characters", paged=True, answer=present.CharacterPage)
def handler(call: Call) -> Answer:
    """List the caller's characters, newest first."""
    limit, newest_first, after = call.paging(Kind.CHARACTER)
    found = Character.page(call.caller.team, limit=limit + 1, newest_first=newest_first, after=after)
    return Answer(present.page([resources.character(one) for one in found[:limit]], has_more=len(found) > limit))

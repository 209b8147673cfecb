"""GET /videos"""

from __future__ import annotations

from understudy import resources
from understudy.api import responses as present
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.ids import Kind
from understudy.jobs.job import Job


@Endpoint("GET", "/videos", summary="List videos", paged=True, answer=present.VideoPage)
def handler(call: Call) -> Answer:
    """List the caller's videos across providers, newest first."""
    limit, newest_first, after = call.paging(Kind.VIDEO)
    found = Job.page(call.caller.team, limit=limit + 1, newest_first=newest_first, after=after)
    return Answer(present.page([resources.video(one) for one in found[:limit]], has_more=len(found) > limit))

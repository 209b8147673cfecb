"""GET /videos: lists videos."""

from __future__ import annotations

from understudy import resources
from understudy.api import responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.ids import Kind
from understudy.jobs.job import Job


@Endpoint("GET", "/videos", summary="List videos", paged=True, answer=responses.VideoPage)
def handler(call: Call) -> Response:
    """List the caller's videos across providers, newest first by default."""
    limit, newest_first, after = call.paging(Kind.VIDEO)
    found = Job.page(call.caller.team, limit=limit + 1, newest_first=newest_first, after=after)
    return Response(responses.page([resources.video(one) for one in found[:limit]], has_more=len(found) > limit))

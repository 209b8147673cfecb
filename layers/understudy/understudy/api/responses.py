"""Responses that hold the API's resources, and the headers that go with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict  # pydantic, which describes these, takes no other before Python 3.12

from understudy.api.endpoint import Response
from understudy.ids import Kind
from understudy.resources import CharacterObject, Video, video

if TYPE_CHECKING:
    from understudy.jobs.job import Job

# Lambda's limit is 6,291,556 bytes for the response, in which our JSON is a string in JSON: a quote in a prompt takes
# four bytes. Python 3.11's runtime also escapes all that is not ASCII (awslambdaric 4.2.2), so a page is measured so.
PAGE_BYTES = 4_000_000


class VideoPage(TypedDict):
    object: str
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class CharacterPage(TypedDict):
    object: str
    data: list[CharacterObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(TypedDict):
    id: str
    object: str
    deleted: bool


def page(data: list[Any], *, has_more: bool) -> dict[str, Any]:
    """Return the body of a response to a list call.

    The page ends early, and says that there are more items, before the response would be too large for Lambda.
    """
    fitting = _fitting(data)
    data, has_more = data[:fitting], has_more or fitting < len(data)
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def _fitting(data: list[Any]) -> int:
    """Return how many items fit into one page: at least one, if there are any."""
    left = PAGE_BYTES
    for count, item in enumerate(data):
        left -= len(json.dumps(json.dumps(item, ensure_ascii=False)))
        if left < 0 and count:
            return count
    return len(data)


def deleted(kind: Kind, public_id: str) -> Deleted:
    """Return the body of a response to a delete call."""
    return {"id": public_id, "object": f"{kind}.deleted", "deleted": True}


def created(job: Job, replay: bool) -> Response:
    """Return the response to a call that makes a video."""
    return Response(video(job, created=True), headers=pace(job) | emulated(job) | replayed(replay))


def pace(job: Job) -> dict[str, str]:
    """Return the header with the polling interval, which the official clients keep (openai-python 3.54.0)."""
    return {"openai-poll-after-ms": str(job.pace)}


def emulated(job: Job) -> dict[str, str]:
    """Return the header for an operation that the model lacks and Understudy emulated, or {} for other videos."""
    return {"x-understudy-emulated": job.emulated} if job.emulated else {}


def replayed(replay: bool) -> dict[str, str]:
    """Return the header that marks a response to a retry of an earlier call, or {} for a first attempt."""
    return {"idempotent-replayed": "true"} if replay else {}

"""Responses that hold the API's resources, and the headers that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict  # pydantic, which describes these, takes no other before Python 3.12

from understudy.api.endpoint import Response
from understudy.ids import Kind
from understudy.resources import CharacterObject, Video, video

if TYPE_CHECKING:
    from understudy.jobs.job import Job


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
    """Return the body of a response to a list call."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


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

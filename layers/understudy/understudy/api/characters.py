"""POST /videos/characters: makes a character from the clip that a request sends or names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.api import inputs, lookup
from understudy.api.forms import FilePart
from understudy.characters import creation, making
from understudy.characters.character import Character
from understudy.deployments.config import deployments
from understudy.errors import ApiError
from understudy.ids import new_record
from understudy.store import bucket
from understudy.store.bucket import File

if TYPE_CHECKING:
    from understudy.api.endpoint import Call
    from understudy.api.requests import CreateCharacter


def create(call: Call, request: CreateCharacter) -> tuple[Character, bool]:
    """Make a character. Return the character, and whether an earlier attempt of this call had made it."""
    attempt = call.attempt
    if made := attempt.earlier(call.deadline):
        return made, True
    call.check_model(request.named_model or deployments().default_model)
    home = creation.home_of(request.named_model, request.custom_llm_provider)
    team, record = call.caller.team, new_record()
    source = _source(call, request, record)
    with making.begun(team, record, source.byte_count, call.deadline) as begun:
        if isinstance(request.video, FilePart):
            inputs.store(team, source, request.video.data)
        clip = creation.examine(begun, source.key, call.deadline)
        character = creation.keep(begun, source.key, clip, request.name, home)
        if made := attempt.write_together(record, call.deadline, *creation.rows(begun, character)):
            begun.give_up()
            return made, True
    return creation.introduce(character, home, call.deadline)[0], False


def _source(call: Call, request: CreateCharacter, record: str) -> File:
    """Return the clip of the request. An uploaded clip and a video are in the bucket already, and a file is not yet."""
    if isinstance(request.video, FilePart):
        mime_type = inputs.video_type(request.video)
        key = bucket.input_key(call.caller.team, record, f"clip.{bucket.EXTENSIONS[mime_type]}")
        return File(key, mime_type, len(request.video.data))
    if request.video.upload_id is not None:
        return inputs.uploaded(call, request.video.upload_id, "video", "video.upload_id")
    source = lookup.finished(call, request.video.id or "", "video")
    if source.output is None:
        raise ApiError("This video is completed, but its file is missing.")
    return source.output

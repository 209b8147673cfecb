"""POST /videos/characters: makes a character from the clip that a request sends or names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.api import inputs, lookup
from understudy.api.forms import FilePart
from understudy.characters import creation
from understudy.characters.character import Character, clip_key
from understudy.deployments.config import deployments
from understudy.errors import ApiError
from understudy.ids import new_record
from understudy.store import bucket

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
    _store_clip(call, request, record)
    clip = creation.examine(team, record, call.deadline)
    character = Character.new(team, record, request.name, clip, home=home.id, provider=home.provider)
    if made := attempt.write_together(record, call.deadline, character.new_row()):
        bucket.delete_all(bucket.character_prefix(team, record))
        return made, True
    return creation.introduce(character, home, call.deadline)[0], False


def _store_clip(call: Call, request: CreateCharacter, record: str) -> None:
    key = clip_key(call.caller.team, record)
    if isinstance(request.video, FilePart):
        bucket.put(key, request.video.data, inputs.video_type(request.video))
    elif request.video.upload_id is not None:
        file = inputs.uploaded(call, request.video.upload_id, "video", "video.upload_id")
        bucket.copy(file.key, key, mime_type=file.mime_type)
    else:
        source = lookup.finished(call, request.video.id or "", "video")
        if source.output is None:
            raise ApiError("This video is completed, but its file is missing.")
        bucket.copy(source.output.key, key)

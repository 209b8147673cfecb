"""From a clip to a character: stored, examined, and introduced to the provider it was made for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from understudy import characters, handles, inputs, jobs, routing, storage, table, videos
from understudy.characters import Character
from understudy.deployments import Deployment, deployments
from understudy.errors import ApiError, Conflict, ProviderError
from understudy.once import Attempt
from understudy.telemetry import logger
from understudy.wire import FilePart

if TYPE_CHECKING:
    from understudy.endpoint import Call
    from understudy.schema import CreateCharacter

MAKE_SECONDS = 8.0  # what must be left of the request to make a native handle in it


def create(call: Call, request: CreateCharacter) -> tuple[Character, bool]:
    """Make a character. Returns it and whether an earlier arrival of this call had made it already."""
    attempt = call.attempt("create_character")
    row = attempt.earlier()
    if row is not None and (made := characters.find(call.caller.team, row["record"])):
        return made, True
    home = _home(request)
    record = jobs.new_id()
    _store_clip(call, request, record)
    clip = characters.examine(call.caller.team, record)
    character = characters.new(call.caller.team, record, request.name, clip, home=home.id, provider=home.provider)
    _write(character, attempt)
    return _introduce(character, home, call.deadline), False


def _home(request: CreateCharacter) -> Deployment:
    """The deployment that the character is made on: of the model if one is named, else the default one."""
    model = request.named_model
    if model is None and request.custom_llm_provider is None:
        return deployments().default()
    named = model or next(iter(deployments().default().models))
    return routing.candidates(deployments(), named, provider=request.custom_llm_provider)[0]


def _store_clip(call: Call, request: CreateCharacter, record: str) -> None:
    key = characters.clip_key(call.caller.team, record)
    if isinstance(request.video, FilePart):
        storage.put(key, request.video.data, inputs.video_type(request.video))
        return
    source = videos.finished(call, request.video.id)
    if source.output is None:
        raise ApiError("This video is completed and has no file.")
    storage.copy(source.output.key, key)


def _write(character: Character, attempt: Attempt) -> None:
    try:
        table.write_together(characters.put(character), *attempt.rows(character.id))
    except table.RowChanged:
        storage.delete_all(storage.character_prefix(character.team, character.id))
        raise Conflict(
            "The first request with this Idempotency-Key is still running.", code="request_in_progress"
        ) from None


def _introduce(character: Character, home: Deployment, deadline: float) -> Character:
    """Make the native handle now, if the provider has such and is quick. The character exists whatever comes of it."""
    support = routing.profile_of(home, next(iter(home.models))).characters
    shortest, longest = support.clip_seconds
    fits = shortest <= character.milliseconds / 1000 <= longest
    if not support.native or support.native_slow or not fits or time.monotonic() + MAKE_SECONDS > deadline:
        return character
    try:
        handle = handles.ensure(character, home, deadline)
    except (ProviderError, ApiError) as error:
        # Another provider may take it, and this one is asked again at its first use, unless it refused for good.
        logger.warning("character not made at its home", extra={"character": character.id, "error": str(error)})
        return character
    return characters.name_original(character, handle.reference) if handle.ready and handle.reference else character

"""From a clip to a character: stored, examined, and introduced to the provider it was made for.

A clip in a request and one that landed in the bucket go the same way.
"""

from __future__ import annotations

import contextlib
import time

from understudy.characters import handles
from understudy.characters.character import Character, clip_key
from understudy.deployments import routing
from understudy.deployments.config import Deployment, deployments
from understudy.errors import ApiError, ProviderError
from understudy.files import clips
from understudy.store import bucket, table
from understudy.telemetry import logger

MAKE_SECONDS = 8.0  # what must be left of the time to make a native handle in it


def adopt(
    team: str, record: str, name: str, home: Deployment, key: str, version: str | None, mime_type: str, deadline: float
) -> tuple[Character, ProviderError | None]:
    """Make a character of an object in the bucket, or find the one that this `record` has become already.

    Returns it and what its home said against it. Raises InvalidRequest for what is not a usable video.
    """
    character = Character.find(team, record)
    if character is None:
        bucket.copy(key, clip_key(team, record), version=version, mime_type=mime_type)
        clip = examine(team, record)
        character = Character.new(team, record, name, clip, home=home.id, provider=home.provider)
        with contextlib.suppress(table.RowChanged):  # another delivery was first, with the same bytes
            table.write_together(character.new_row())
    # A repeated delivery may have drawn another home than the first one.
    return introduce(character, deployments().find(character.home) or home, deadline)


def examine(team: str, record: str) -> clips.Inspection:
    """Look into the clip that was just stored and take its stills.

    Raises InvalidRequest for what is not a usable video; then nothing of it is kept.
    """
    prefix = bucket.character_prefix(team, record)
    try:
        return clips.inspect(clip_key(team, record), stills_prefix=prefix)
    except ApiError:
        bucket.delete_all(prefix)
        raise


def home_of(model: str | None, provider: str | None) -> Deployment:
    """The deployment that a character is made on: of the model if one is named, else the default one."""
    if model is None and provider is None:
        return deployments().default()
    return routing.candidates(deployments(), model or deployments().default_model, provider=provider)[0]


def introduce(character: Character, home: Deployment, deadline: float) -> tuple[Character, ProviderError | None]:
    """Make the native handle now, if the provider has such and is quick.

    The character exists whatever comes of it: another provider may take it, and its home is asked again at the first
    use unless it refused for good. Returns it and what its home said against it.
    """
    support = routing.profile_of(home, next(iter(home.models))).characters
    shortest, longest = support.clip_seconds
    fits = shortest <= character.milliseconds / 1000 <= longest
    if not support.native or support.native_slow or not fits or time.monotonic() + MAKE_SECONDS > deadline:
        return character, None
    try:
        handle = handles.introduce(character, home, deadline)
    except ProviderError as error:
        logger.warning("character not made at its home", extra={"character": character.id, "error": str(error)})
        return character, error
    if handle.ready and handle.reference and character.original == character.id:
        character = character.name_original(handle.reference)
    return character, None

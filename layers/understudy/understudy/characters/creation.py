"""Makes a character from a clip: stores the clip, examines it, and makes the native character at the home deployment.

A clip from a request and a clip that arrived in the bucket are handled in the same way.
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

MAKE_SECONDS = 8.0  # seconds that must be left to make a native character


def adopt(
    team: str, record: str, name: str, home: Deployment, key: str, version: str | None, mime_type: str, deadline: float
) -> tuple[Character, ProviderError | None]:
    """Return the character of this `record`, and make it from an object in the bucket if it does not exist yet.

    Returns the character, and the error of its home deployment or None. Raises InvalidRequest if the object is not a
    usable video.
    """
    character = Character.find(team, record)
    if character is None:
        bucket.copy(key, clip_key(team, record), version=version, mime_type=mime_type)
        clip = examine(team, record, deadline)
        character = Character.new(team, record, name, clip, home=home.id, provider=home.provider)
        with contextlib.suppress(table.RowChanged):  # another delivery was first, with the same bytes
            table.write_together(character.new_row())
    # A repeated delivery may have chosen another home than the first delivery.
    return introduce(character, deployments().find(character.home) or home, deadline)


def examine(team: str, record: str, deadline: float) -> clips.Inspection:
    """Inspect the clip that was just stored, and take its stills.

    Raises InvalidRequest if it is not a usable video. After an ApiError nothing of the clip is kept.
    """
    prefix = bucket.character_prefix(team, record)
    try:
        return clips.inspect(clip_key(team, record), deadline, stills_prefix=prefix)
    except ApiError:
        bucket.delete_all(prefix)
        raise


def home_of(model: str | None, provider: str | None) -> Deployment:
    """Return the home of a new character: a deployment of the named model or provider, else the default one."""
    if model is None and provider is None:
        return deployments().default()
    return routing.candidates(deployments(), model or deployments().default_model, provider=provider)[0]


def introduce(character: Character, home: Deployment, deadline: float) -> tuple[Character, ProviderError | None]:
    """Make the native character now, if the provider makes native characters, and quickly.

    The character exists in any case. Another provider may take it, and its home is asked again at the first use, unless
    the home refused for good. Returns the character, and the error of its home or None.
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
        with contextlib.suppress(table.RowChanged):  # deleted, or another delivery was first
            character = character.name_original(handle.reference)
    return character, None

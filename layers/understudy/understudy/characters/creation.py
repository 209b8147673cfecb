"""Makes a character from a clip: examines the clip, keeps it, and makes the native character at the home deployment.

A clip from a request and a clip that arrived in the bucket are handled in the same way. A clip is examined where the
bucket's lifecycle rule deletes it, in media/inputs/, or where it is already. Only a usable clip is copied to
media/characters/, with its stills, and making.py sees to it that it does not stay there without a row.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from understudy.characters import handles, making
from understudy.characters.character import Character, clip_key
from understudy.characters.making import Making
from understudy.deployments import routing
from understudy.deployments.config import Deployment, deployments
from understudy.errors import ProviderError
from understudy.files import clips
from understudy.files.s3_event import Landed, Passing
from understudy.store import bucket, table
from understudy.store.table import Change, Put
from understudy.telemetry import logger

MAKE_SECONDS = 8.0  # seconds that must be left to make a native character


def adopt(
    team: str,
    record: str,
    name: str,
    home: Deployment,
    thing: Landed,
    mime_type: str,
    deadline: float,
    *,
    counted: bool,
) -> tuple[Character, ProviderError | None]:
    """Return the character of this `record`, and make it from an object that has arrived if it does not exist yet.

    `counted`: the bytes of the object are counted for the team already. Returns the character, and the error of its
    home deployment or None. Raises InvalidRequest if the object is not a usable video, StorageFull, and Passing while
    another delivery makes the character.
    """
    character = Character.find(team, record)
    if character is None:
        try:
            with making.begun(team, record, thing.byte_count, deadline, admitted=counted) as begun:
                character = _adopted(begun, name, home, thing, mime_type, deadline)
        except making.Busy as busy:
            raise Passing(str(busy), seconds=busy.seconds) from busy
    # A repeated delivery may have chosen another home than the first delivery.
    return introduce(character, deployments().find(character.home) or home, deadline)


def _adopted(begun: Making, name: str, home: Deployment, thing: Landed, mime_type: str, deadline: float) -> Character:
    if character := Character.find(begun.team, begun.record):  # another delivery was first, with the same bytes
        begun.give_up()
        return character
    key = bucket.input_key(begun.team, begun.record, "clip")
    version = bucket.copy(thing.key, key, version=thing.version, mime_type=mime_type)
    try:
        clip = examine(begun, key, deadline)
        character = keep(begun, key, clip, name, home)
    finally:
        bucket.delete_version(key, version)
    table.write_together(*rows(begun, character))
    return character


def examine(begun: Making, key: str, deadline: float) -> clips.Inspection:
    """Inspect the clip under `key`, and take stills from it under media/inputs/.

    Raises InvalidRequest if it is not a usable video.
    """
    prefix = bucket.input_key(begun.team, begun.record, "")
    return clips.inspect(key, deadline, stills_prefix=prefix)


def keep(begun: Making, key: str, clip: clips.Inspection, name: str, home: Deployment) -> Character:
    """Copy the clip under `key` and its stills to where a character has them. Return the character, without a row."""
    prefix, stills = bucket.character_prefix(begun.team, begun.record), []
    for still in clip.stills:
        kept = prefix + still["key"].rpartition("/")[2]
        bucket.copy(still["key"], kept)
        stills.append({**still, "key": kept})
    bucket.copy(key, clip_key(begun.team, begun.record))
    clip = replace(clip, stills=stills)
    return Character.new(begun.team, begun.record, name, clip, home=home.id, provider=home.provider)


def rows(begun: Making, character: Character) -> list[Put | Change]:
    """Return the writes that end the making of a character: from now on the character has a row."""
    return [character.new_row(), begun.end(character.stored or 0)]


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

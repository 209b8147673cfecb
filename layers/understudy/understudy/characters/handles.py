"""Handles: the native characters that providers keep of a character. Each is made when needed, by one maker at a time.

making   a maker is asking the provider now (until `lease_until`)
pending  the provider is still making it; `reference` is polled, but not before `lease_until`, which is set if the
         provider asked for a pause
ready    `reference` is the provider's id
unknown  the provider's answer was lost; a new one is made at the next use, not before
refused  the provider refused, and the row has the reason

If the owner deletes the character while a maker is at work, the maker finds no row, or no character, and has the
native character deleted. `Character.delete` deletes what is there before and after the character's own row. So one of
the two always sees what the other has done.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from understudy.characters.character import Character
from understudy.deployments import upstream_ids
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment
from understudy.errors import OutcomeUnknown, ProviderError, Reason, Refused
from understudy.ids import Kind
from understudy.providers import load
from understudy.providers.base import NativeCharacter
from understudy.store import executions, table
from understudy.store.table import Put
from understudy.telemetry import logger

MAX_PAUSE = 900  # seconds, even if a provider asks for more
MAKE_SECONDS = 300  # after that time a maker is considered dead
REMEMBERED = {Reason.MODERATION, Reason.INVALID}  # a provider refuses the same clip for these reasons again


@dataclass(frozen=True, slots=True)
class Handle:
    """The row of a handle."""

    deployment: str
    state: str
    reference: str | None = None
    reason: str | None = None  # of a refusal
    code: str | None = None
    message: str | None = None
    lease_until: int = 0

    @property
    def ready(self) -> bool:
        return self.state == "ready"


def find(character: Character, deployment: Deployment) -> Handle | None:
    """Return the character's handle at a deployment, or None if there is none."""
    row = table.get(_key(character, deployment))
    return _handle(row) if row else None


def known(character: Character, deployment: Deployment, reference: str) -> Put:
    """Return the row of a handle that the provider already had, to be written together with its new character."""
    return Put(_key(character, deployment), asdict(Handle(deployment.id, "ready", reference)))


def ensure(character: Character, deployment: Deployment, deadline: float) -> Handle:
    """Make the handle, or poll it, with one call to the provider. Return it in the state that it has reached.

    Raises Refused if the provider refuses: the row keeps a refusal for good, but not one that may pass. Raises
    Refused(LOST) if the provider no longer knows the character. Raises OutcomeUnknown if the answer was lost, and the
    row says so.
    """
    handle = find(character, deployment)
    if handle is not None and handle.state == "refused":
        raise _remembered(handle)
    resting = handle is not None and handle.state in {"making", "pending"} and handle.lease_until > time.time()
    if handle is not None and (handle.ready or resting):
        return handle
    if handle is not None and handle.state == "pending" and handle.reference:
        return _poll(character, deployment, deadline, handle)
    return _make(character, deployment, deadline, handle)


def introduce(character: Character, deployment: Deployment, deadline: float) -> Handle:
    """Make the handle of a new character, at most once: what a provider may have made is not made again.

    This is for deliveries that repeat. An existing handle is returned in any state, but a refusal that the row keeps is
    raised again. Raises Refused and OutcomeUnknown.
    """
    handle = find(character, deployment)
    if handle is None:
        return _make(character, deployment, deadline, None)
    if handle.state == "refused":
        raise _remembered(handle)
    if handle.state == "making" and handle.lease_until <= time.time():  # its maker died
        _keep(_key(character, deployment), "unknown")
        return Handle(deployment.id, "unknown")
    return handle


def forget(cast: Iterable[Character], deployment: Deployment) -> bool:
    """Forget the handles of the characters that have a clip, so that `ensure` makes them again.

    Returns False if no character has a clip. This is for a deployment that has lost one of the characters.
    """
    again = [character for character in cast if character.has_clip]
    for character in again:
        table.delete(_key(character, deployment))
    return bool(again)


def _make(character: Character, deployment: Deployment, deadline: float, before: Handle | None) -> Handle:
    """Ask the provider to make the native character, unless another maker has just begun."""
    key, provider = _key(character, deployment), load(deployment.provider)
    try:
        lease = _begin(character, deployment, before)
    except table.RowChanged:
        return Handle(deployment.id, "making")
    if _is_deleted(character):
        table.delete(key)
        return Handle(deployment.id, "unknown")
    try:
        made = call_provider(
            deployment,
            deadline,
            lambda account: provider.make_character(account, character.name, character.clip, character.still_files),
        )
    except Refused as refused:
        _note_refusal(key, refused)
        raise
    except OutcomeUnknown:
        _keep(key, "unknown")
        raise
    handle = _made(character, deployment, made, expect={"state": "making", "lease_until": lease})
    if handle.reference == made.reference and _is_deleted(character):  # by a deletion that broke off
        _delete_native(character, deployment, made)
        table.delete(key)
        return Handle(deployment.id, "unknown")
    return handle


def _begin(character: Character, deployment: Deployment, before: Handle | None) -> int:
    """Become the only maker: the row is written before the call. Return the end of the lease.

    Raises table.RowChanged if another maker was first.
    """
    lease = int(time.time()) + MAKE_SECONDS
    key = _key(character, deployment)
    if before is None:
        table.put(key, {"deployment": deployment.id, "state": "making", "lease_until": lease})
    else:
        expect = {"state": before.state, "lease_until": before.lease_until}
        table.update(key, {"state": "making", "lease_until": lease, "reference": None}, expect=expect)
    return lease


def _poll(character: Character, deployment: Deployment, deadline: float, handle: Handle) -> Handle:
    """Poll a pending character. Transport errors leave it pending."""
    provider, reference = load(deployment.provider), handle.reference or ""
    try:
        made = call_provider(deployment, deadline, lambda account: provider.poll_character(account, reference))
    except Refused as refused:
        if refused.reason in {Reason.NOT_FOUND, Reason.LOST}:
            forget([character], deployment)
            raise Refused(Reason.LOST, refused.message) from refused
        if refused.reason in REMEMBERED:
            _note_refusal(_key(character, deployment), refused)
            raise
        return _left_alone(character, deployment, handle, refused)
    except OutcomeUnknown as unknown:
        return _left_alone(character, deployment, handle, unknown)
    return _made(character, deployment, made, expect={})


def _left_alone(character: Character, deployment: Deployment, handle: Handle, error: ProviderError) -> Handle:
    """Return the pending handle. It is not polled again before the provider's Retry-After has passed."""
    if not error.pause:
        return handle
    with contextlib.suppress(table.RowChanged):
        until = math.ceil(time.time() + min(error.pause, MAX_PAUSE))
        expect = {"state": "pending", "reference": handle.reference}
        return _handle(table.update(_key(character, deployment), {"lease_until": until}, expect=expect))
    return handle


def _note_refusal(key: table.Key, refused: Refused) -> None:
    """Keep a refusal in the row if the provider would repeat it. Otherwise delete the row."""
    if refused.reason in REMEMBERED:
        _keep(key, "refused", reason=refused.reason, code=refused.code, message=refused.message)
    else:
        table.delete(key)


def _remembered(handle: Handle) -> Refused:
    """Return the refusal that the row keeps. Rows of earlier versions keep no reason."""
    reason = Reason(handle.reason or Reason.MODERATION)
    return Refused(reason, handle.message or "The provider refused the character.", code=handle.code)


def _made(character: Character, deployment: Deployment, made: NativeCharacter, *, expect: dict[str, Any]) -> Handle:
    """Write the handle, and the owner of the provider's id in the same transaction. Return the handle.

    If the row is gone or another maker has it, the native character is deleted: no row would ever name it.
    """
    handle = Handle(deployment.id, "ready" if made.ready else "pending", made.reference)
    owner = upstream_ids.made(Kind.CHARACTER, deployment.id, made.reference, character.team, character.id)
    try:
        table.write_together(table.swap(_key(character, deployment), asdict(handle), expect=expect), owner)
    except table.RowChanged:
        _delete_native(character, deployment, made)
        table.write_together(owner)  # so that no other team can claim the id before the provider has deleted it
        return find(character, deployment) or Handle(deployment.id, "unknown")
    return handle


def _is_deleted(character: Character) -> bool:
    return Character.find(character.team, character.id) is None


def _delete_native(character: Character, deployment: Deployment, made: NativeCharacter) -> None:
    """Have a native character deleted that was made for a character which is deleted by now."""
    executions.delete_character(deployment.id, made.reference, pending=not made.ready)
    logger.info("native character deleted again", extra={"character": character.id, "deployment": deployment.id})


def _keep(
    key: table.Key, state: str, *, reason: str | None = None, code: str | None = None, message: str | None = None
) -> None:
    """Write a state without a native character. A row that was deleted is not written again."""
    changes = {"state": state, "reference": None, "reason": reason, "code": code, "message": message, "lease_until": 0}
    with contextlib.suppress(table.RowChanged):
        table.update(key, changes, expect={})


def _key(character: Character, deployment: Deployment) -> table.Key:
    return table.handle_key(character.team, character.id, deployment.id)


def _handle(row: table.Row) -> Handle:
    return Handle(**{name: row[name] for name in Handle.__slots__ if name in row})

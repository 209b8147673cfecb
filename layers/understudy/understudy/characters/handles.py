"""Handles: the native characters that providers keep of a character. Each is made when needed, by one maker at a time.

making   a maker is asking the provider now (until `lease_until`)
pending  the provider is still making it; `reference` is polled, but not before `lease_until`, which is set if the
         provider asked for a pause
ready    `reference` is the provider's id
unknown  the provider's answer was lost; a new one is made at the next use, not before
refused  the provider refused, and the row has the reason
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from understudy.characters.character import Character
from understudy.deployments import upstream_ids
from understudy.deployments.call import call_provider
from understudy.deployments.config import Deployment
from understudy.errors import OutcomeUnknown, ProviderError, Reason, Refused
from understudy.ids import Kind
from understudy.providers import load
from understudy.providers.base import NativeCharacter
from understudy.store import table
from understudy.store.table import Put

MAX_PAUSE = 900  # seconds, even if a provider asks for more
MAKE_SECONDS = 300  # after that time a maker is considered dead


@dataclass(frozen=True, slots=True)
class Handle:
    """The row of a handle."""

    deployment: str
    state: str
    reference: str | None = None
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
        raise Refused(Reason.MODERATION, handle.message or "The provider refused the character.", code=handle.code)
    resting = handle is not None and handle.state in {"making", "pending"} and handle.lease_until > time.time()
    if handle is not None and (handle.ready or resting):
        return handle
    if handle is not None and handle.state == "pending" and handle.reference:
        return _poll(character, deployment, deadline, handle)
    return _make(character, deployment, deadline, handle)


def introduce(character: Character, deployment: Deployment, deadline: float) -> Handle:
    """Make the handle of a new character, at most once: what a provider may have made is not made again.

    This is for deliveries that repeat. An existing handle is returned in any state. Raises Refused and OutcomeUnknown.
    """
    handle = find(character, deployment)
    if handle is None:
        return _make(character, deployment, deadline, None)
    if handle.state == "making" and handle.lease_until <= time.time():
        return _keep(_key(character, deployment), "unknown")  # its maker died
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
        _begin(character, deployment, before)
    except table.RowChanged:
        return Handle(deployment.id, "making")
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
    return _made(character, deployment, made)


def _begin(character: Character, deployment: Deployment, before: Handle | None) -> None:
    """Become the only maker: the row is written before the call. Raises table.RowChanged if another maker was first."""
    lease = int(time.time()) + MAKE_SECONDS
    key = _key(character, deployment)
    if before is None:
        table.put(key, {"deployment": deployment.id, "state": "making", "lease_until": lease})
    else:
        expect = {"state": before.state, "lease_until": before.lease_until}
        table.update(key, {"state": "making", "lease_until": lease, "reference": None}, expect=expect)


def _poll(character: Character, deployment: Deployment, deadline: float, handle: Handle) -> Handle:
    """Poll a pending character. Transport errors leave it pending."""
    provider, reference = load(deployment.provider), handle.reference or ""
    try:
        made = call_provider(deployment, deadline, lambda account: provider.poll_character(account, reference))
    except Refused as refused:
        if refused.reason is Reason.NOT_FOUND:
            forget([character], deployment)
            raise Refused(Reason.LOST, refused.message) from refused
        if refused.reason in {Reason.MODERATION, Reason.INVALID}:
            _note_refusal(_key(character, deployment), refused)
            raise
        return _left_alone(character, deployment, handle, refused)
    except OutcomeUnknown as unknown:
        return _left_alone(character, deployment, handle, unknown)
    return _made(character, deployment, made)


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
    """Delete the row if the refusal may pass. Otherwise keep the refusal in the row."""
    if refused.movable or refused.reason is Reason.NOT_FOUND:
        table.delete(key)
    else:
        _keep(key, "refused", code=refused.code, message=refused.message)


def _made(character: Character, deployment: Deployment, made: NativeCharacter) -> Handle:
    """Write the handle, and the owner of the provider's id in the same transaction. Return the handle."""
    handle = Handle(deployment.id, "ready" if made.ready else "pending", made.reference)
    table.write_together(
        table.swap(_key(character, deployment), asdict(handle), expect={}),
        upstream_ids.made(Kind.CHARACTER, deployment.id, made.reference, character.team, character.id),
    )
    return handle


def _keep(key: table.Key, state: str, *, code: str | None = None, message: str | None = None) -> Handle:
    changes = {"state": state, "reference": None, "code": code, "message": message, "lease_until": 0}
    return _handle(table.update(key, changes, expect={}))


def _key(character: Character, deployment: Deployment) -> table.Key:
    return table.handle_key(character.team, character.id, deployment.id)


def _handle(row: table.Row) -> Handle:
    return Handle(**{name: row[name] for name in Handle.__slots__ if name in row})

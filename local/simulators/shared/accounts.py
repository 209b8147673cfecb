"""API keys: any key `sim-<account>` or `sim-<account>.<number>` is valid until it is revoked."""

from __future__ import annotations

import re
from email.message import Message

from local.simulators.shared.errors import Refusal
from local.simulators.shared.provider import Caller
from local.simulators.shared.store import Store

_KEY = re.compile(r"sim-([\w-]+?)(?:\.\d+)?")


class Accounts:
    """The accounts, with their revoked keys. `sim-a.1` and `sim-a.2` are two keys of one account, for rotation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revoked = {row["name"] for row in store.load("revoked") if row["on"]}

    def identify(self, headers: Message) -> Caller:
        """Return the caller by `Authorization: Bearer` or Azure's `api-key`, without checking whether the key is valid.

        The Caller holds only keys of a simulator, never other keys.
        """
        key = _credential(headers)
        found = _KEY.fullmatch(key)
        return Caller(found[1], key) if found else Caller(None)

    def authorise(self, caller: Caller, headers: Message) -> str:
        """Return the account of a valid key. Raises Refusal (401)."""
        key = _credential(headers)
        if not key:
            raise Refusal(
                401, "You did not provide an API key: send it as 'Authorization: Bearer KEY'.", "missing_api_key"
            )
        if caller.account is None or f"key {key}" in self._revoked:
            # Real providers repeat a part of the key in this message, so Understudy must not pass the message on.
            raise Refusal(401, f"Incorrect API key provided: {key[:4]}****{key[-2:]}.", "invalid_api_key")
        if f"account {caller.account}" in self._revoked:
            raise Refusal(401, "The account behind this API key was deactivated.", "account_deactivated")
        return caller.account

    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        name = f"key {key}" if key is not None else f"account {account}"
        (self._revoked.discard if restore else self._revoked.add)(name)
        self._store.put("revoked", name, {"name": name, "on": not restore})

    def clear(self) -> None:
        self._revoked.clear()
        self._store.clear("revoked")


def _credential(headers: Message) -> str:
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("api-key", "")

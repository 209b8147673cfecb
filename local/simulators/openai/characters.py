"""The characters of a simulated server. A character has a name, a clip and an account."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass
from typing import Any

from local.simulators.shared.store import Store


@dataclass
class Character:
    """A character; `clip` is a vault key, `created_at` unix seconds."""

    id: str
    account: str
    name: str
    clip: str
    created_at: int = 0

    def present(self) -> dict[str, Any]:
        """Build OpenAI's JSON of the character, which has no `object` and no status."""
        return {"id": self.id, "name": self.name, "created_at": self.created_at}


class Cast:
    """All characters of one server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._characters = {each.id: each for each in (Character(**row) for row in store.load("character"))}

    def add(self, character: Character) -> Character:
        character.created_at = int(time.time())
        with self._lock:
            self._characters[character.id] = character
        self._store.put("character", character.id, dataclasses.asdict(character))
        return character

    def get(self, account: str, character_id: str) -> Character | None:
        character = self._characters.get(character_id)
        return character if character is not None and character.account == account else None

    def list(self) -> list[Character]:
        with self._lock:
            return list(self._characters.values())

    def clear(self) -> None:
        with self._lock:
            self._characters.clear()
        self._store.clear("character")

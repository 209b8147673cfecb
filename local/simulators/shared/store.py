"""State that survives the process: documents by kind and key, and files by the hash of their content."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any


class Store:
    """Documents in one SQLite file under `folder`. When a call returns, its write survives the end of the process.

    The store does not force writes to the disk. Only a power failure can lose data, which is acceptable here.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(folder / "state.sqlite", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS document (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key))"
        )

    def put(self, kind: str, key: str, body: dict[str, Any]) -> None:
        row = (kind, key, json.dumps(body))
        with self._lock:
            # Not INSERT OR REPLACE: it would move a changed row to the end, but rows stay in the order of creation.
            self._database.execute(
                "INSERT INTO document VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body", row
            )

    def load(self, kind: str) -> list[dict[str, Any]]:
        """Return all documents of a kind, oldest first."""
        with self._lock:
            rows = self._database.execute("SELECT body FROM document WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return [json.loads(body) for (body,) in rows]

    def clear(self, kind: str) -> None:
        with self._lock:
            self._database.execute("DELETE FROM document WHERE kind = ?", (kind,))

    def close(self) -> None:
        with self._lock:
            self._database.close()


class Vault:
    """Files under `folder`, each kept once under the SHA-256 of its bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, path: Path, sha256: str) -> str:
        """Move a file into the vault. Return its key for `path`."""
        path.replace(self._folder / sha256)
        return sha256

    def path(self, key: str) -> Path:
        return self._folder / key

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)

"""What outlives the process: documents by kind and key, and files by their content."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any


class Store:
    """Documents in one SQLite file under `folder`. A write survives the process from the moment the call returns.

    Nothing is forced to the disk: what may be lost is only what a power cut takes, and a simulator can afford that.
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
            # Not INSERT OR REPLACE: a new row would move to the end, and the order of the rows is that of their making.
            self._database.execute(
                "INSERT INTO document VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body", row
            )

    def load(self, kind: str) -> list[dict[str, Any]]:
        """All documents of a kind, oldest first."""
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
        """Moves a file in; returns the key under which `path` finds it."""
        path.replace(self._folder / sha256)
        return sha256

    def path(self, key: str) -> Path:
        return self._folder / key

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)

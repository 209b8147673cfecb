"""The Files API: resumable uploads, files that are PROCESSING before they are ACTIVE, and downloads."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.simulators.gemini.settings import Settings
from local.simulators.shared.body import File as Part
from local.simulators.shared.clock import Clock
from local.simulators.shared.errors import Refusal
from local.simulators.shared.store import Store, Vault


@dataclass
class File:
    """An uploaded or a generated file.

    `id` is the name without "files/". An uploaded file has `key`, its vault key; a generated file has `job`, the id of
    its job. `created` is simulated time, `created_at` unix seconds.
    """

    id: str
    account: str
    mime_type: str
    size: int
    display_name: str | None = None
    key: str | None = None
    job: str | None = None
    created: float = 0.0
    created_at: float = 0.0


@dataclass
class _Upload:
    account: str
    mime_type: str
    size: int
    display_name: str | None
    path: Path
    written: int = 0


class Files:
    """All files of one server. Unfinished uploads are lost when the process ends."""

    def __init__(
        self, store: Store, vault: Vault, folder: Path, clock: Clock, settings: Callable[[], Settings]
    ) -> None:
        self._store, self._vault, self._folder, self._clock, self._settings = store, vault, folder, clock, settings
        self._lock = threading.Lock()
        self._files = {row["id"]: File(**row) for row in store.load("file")}
        self._clock.advance_to(max((file.created for file in self._files.values()), default=0.0))
        self._uploads: dict[str, _Upload] = {}

    def start(self, account: str, headers: Any, document: Any) -> str:
        """Start a resumable upload and return its id. Raises Refusal (400)."""
        if headers.get("X-Goog-Upload-Protocol") != "resumable" or headers.get("X-Goog-Upload-Command") != "start":
            raise _invalid("The upload must be started as a resumable one.")
        size = headers.get("X-Goog-Upload-Header-Content-Length", "")
        if not size.isdigit() or int(size) == 0 or int(size) > 2 * 1024**3:
            raise _invalid("X-Goog-Upload-Header-Content-Length must be a size of 1 byte to 2 GB.")
        given = document.get("file", {}) if isinstance(document, dict) else None
        if not isinstance(given, dict) or not set(given) <= _NAMES:
            raise _invalid("Invalid JSON payload received. Unknown name.")
        mime_type = headers.get("X-Goog-Upload-Header-Content-Type") or given.get("mimeType") or given.get("mime_type")
        name = given.get("displayName") or given.get("display_name")
        upload = _Upload(account, mime_type or "", int(size), name, self._folder / f"upload-{secrets.token_hex(8)}")
        upload.path.touch()
        upload_id = secrets.token_urlsafe(24)
        self._uploads[upload_id] = upload
        return upload_id

    def add(self, upload_id: str | None, offset: str, command: str, part: Part) -> File | None:
        """Append bytes to an upload. Return the file after the last bytes, else None. Raises Refusal (400, 404)."""
        upload = self._uploads.get(upload_id or "")
        if upload is None:
            raise Refusal(404, "Upload not found.", "NOT_FOUND")
        if offset != str(upload.written):
            raise _invalid(f"X-Goog-Upload-Offset is {offset}, but {upload.written} bytes are here.")
        digest = hashlib.sha256()
        with upload.path.open("ab") as whole, part.path.open("rb") as file:
            while data := file.read(256 * 1024):
                whole.write(data)
        upload.written += part.size
        if command.replace(" ", "") != "upload,finalize":
            return None
        del self._uploads[upload_id or ""]
        if upload.written != upload.size:
            raise _invalid(f"The upload was announced with {upload.size} bytes and has {upload.written}.")
        with upload.path.open("rb") as whole:
            while data := whole.read(256 * 1024):
                digest.update(data)
        key = self._vault.keep(upload.path, digest.hexdigest())
        file_id = secrets.token_hex(6)
        return self.put(File(file_id, upload.account, upload.mime_type, upload.size, upload.display_name, key))

    def put(self, file: File) -> File:
        with self._lock:
            if file.id not in self._files:
                file.created, file.created_at = self._clock.now(), time.time()
                self._files[file.id] = file
                self._store.put("file", file.id, dataclasses.asdict(file))
            return self._files[file.id]

    def get(self, account: str, file_id: str) -> File:
        """Return a file of an account. Raises Refusal: an unknown or expired file is a 403, not a 404."""
        file = self._files.get(file_id)
        if file is None or file.account != account or file.created_at + self._settings().file_seconds <= time.time():
            message = f"You do not have permission to access the File {file_id} or it may not exist."
            raise Refusal(403, message, "PERMISSION_DENIED")
        return file

    def usable(self, account: str, uri: str) -> File:
        """Return the file that a URI names, if the file is ACTIVE. Raises Refusal (400, 403)."""
        name = uri.partition("/files/")[2]
        file = self.get(account, name.partition(":")[0])
        if self.state(file) != "ACTIVE":
            message = f"The File {file.id} is not in an ACTIVE state and usage is not allowed."
            raise Refusal(400, message, "FAILED_PRECONDITION")
        return file

    def delete(self, file: File) -> None:
        file.created_at = 0.0
        self._store.put("file", file.id, dataclasses.asdict(file))

    def state(self, file: File) -> str:
        if not file.mime_type.startswith(("video/", "image/")):
            return "FAILED"
        waiting = file.job is None and self._clock.now() - file.created < self._settings().processing_seconds
        return "PROCESSING" if waiting else "ACTIVE"

    def present(self, file: File, base: str) -> dict[str, Any]:
        address = f"{base}/files/{file.id}"
        made = file.job is not None
        return {
            "name": f"files/{file.id}",
            **({"displayName": file.display_name} if file.display_name else {}),
            "mimeType": file.mime_type,
            "sizeBytes": str(file.size),
            "uri": address,
            **({"downloadUri": f"{address}:download?alt=media"} if made else {}),
            "state": self.state(file),
            "source": "GENERATED" if made else "UPLOADED",
        }

    def clear(self) -> None:
        with self._lock:
            self._files.clear()
            self._uploads.clear()
            self._store.clear("file")


_NAMES = {"displayName", "display_name", "mimeType", "mime_type", "sizeBytes", "size_bytes", "name"}


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, "INVALID_ARGUMENT")

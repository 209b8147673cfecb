"""The shared server, extended for bodies that are neither JSON nor a form: the Files API receives raw bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from local.simulators.shared import server
from local.simulators.shared.body import Body, File, Incoming
from local.simulators.shared.errors import Refusal
from local.simulators.shared.provider import Provider


class GeminiServer(server.SimulatorServer):
    """The server of the Gemini simulator; see the shared server."""

    def __init__(self, host: str, port: int, provider: Provider, quiet: bool = False) -> None:
        super().__init__(host, port, provider, quiet)
        self.RequestHandlerClass = _Handler


class _Handler(server._Handler):
    def _read_body(self, incoming: Incoming) -> Body:
        if not self.path.startswith("/upload/") or "X-Goog-Upload-Offset" not in self.headers:
            return super()._read_body(incoming)
        provider = self.simulator.provider
        if incoming.chunked or incoming.length > provider.settings.max_body_bytes:
            raise Refusal(411 if incoming.chunked else 413, "The upload needs a length, and one that is allowed.")
        digest = hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=provider.folder)
        with os.fdopen(handle, "wb") as file:
            for chunk in incoming:
                digest.update(chunk)
                file.write(chunk)
        sent = File(Path(name), "", self.headers.get("Content-Type", ""), incoming.count, digest.hexdigest())
        return Body("other", incoming.count, parts=[("bytes", sent)])

"""The command line; see the package's docstring."""

from __future__ import annotations

from local.simulators.gemini import __doc__ as description
from local.simulators.gemini.api import GeminiProvider
from local.simulators.gemini.server import GeminiServer
from local.simulators.gemini.settings import Settings
from local.simulators.shared.command import serve

if __name__ == "__main__":
    serve("gemini", description, Settings(), GeminiProvider, GeminiServer)

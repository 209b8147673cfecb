"""The command line; see the package's docstring."""

from __future__ import annotations

from local.simulators.kling import __doc__ as description
from local.simulators.kling.api import KlingProvider
from local.simulators.kling.settings import Settings
from local.simulators.shared.command import serve

if __name__ == "__main__":
    serve("kling", description, Settings(), KlingProvider)

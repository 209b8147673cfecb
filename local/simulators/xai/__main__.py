"""The command line; see the package's docstring."""

from __future__ import annotations

from local.simulators.shared.command import serve
from local.simulators.xai import __doc__ as description
from local.simulators.xai.api import XaiProvider
from local.simulators.xai.settings import Settings

if __name__ == "__main__":
    serve("xai", description, Settings(), XaiProvider)

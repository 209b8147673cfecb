"""The command line; see the package's docstring."""

from __future__ import annotations

from local.simulators.runwayml import __doc__ as description
from local.simulators.runwayml.api import RunwayProvider
from local.simulators.runwayml.settings import Settings
from local.simulators.shared.command import serve

if __name__ == "__main__":
    serve("runwayml", description, Settings(), RunwayProvider)

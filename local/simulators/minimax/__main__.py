"""The command line; see the package's docstring."""

from __future__ import annotations

from local.simulators.minimax import __doc__ as description
from local.simulators.minimax.api import MiniMaxProvider
from local.simulators.minimax.settings import Settings
from local.simulators.shared.command import serve

if __name__ == "__main__":
    serve("minimax", description, Settings(), MiniMaxProvider)

"""The process of the local AWS. It is run as a file, by the Python of MiniStack's environment."""

from __future__ import annotations

import sys
from pathlib import Path

# Not by PYTHONPATH: the functions inherit the environment of this process, and must not find this checkout.
sys.path.append(str(Path(__file__).parents[3]))

from ministack import app as ministack  # type: ignore[import-not-found]

from local.stack.aws import absence, conditions, executions, layers, messages, pages, priorities, quotas

if __name__ == "__main__":
    for change in (layers, messages, priorities, quotas, conditions, executions, absence, pages):
        change.install()
    sys.exit(ministack.main())

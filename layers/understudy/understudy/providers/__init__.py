"""Video providers, one file each. There is no list to edit.

The other files are used by all provider files, or, with a leading underscore, by several of them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.providers.base import Provider

_SHARED = {"base", "common", "http", "prices", "refusals", "sizes"}


def names() -> list[str]:
    """Return the names of the providers: the files of this folder that are not shared."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path.stem not in _SHARED)


@cache
def load(name: str) -> Provider:
    """Return the provider with this name. Only its module is imported. Raises LookupError for a name without a file."""
    if name not in names():
        raise LookupError(f"no provider {name!r}; there are: {', '.join(names())}")
    provider: Provider = import_module(f"{__name__}.{name}").provider
    return provider

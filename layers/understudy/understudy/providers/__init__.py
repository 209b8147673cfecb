"""Video providers: a file each. There is no list to edit.

Beside them stand what all provider files are made of, and, with an underscore, what some of them share.
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
    """The providers that exist: the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path.stem not in _SHARED)


@cache
def load(name: str) -> Provider:
    """The provider of that name; only its own module is imported. Raises LookupError for a name without a file."""
    if name not in names():
        raise LookupError(f"no provider {name!r}; there are: {', '.join(names())}")
    provider: Provider = import_module(f"{__name__}.{name}").provider
    return provider

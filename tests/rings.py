"""Two rings of tests: `make test` runs the inner ring, `make test-all` runs both.

A test is in the outer ring only if it is one cell of a cross product whose rows and columns the inner ring covers. The
tests of the outer ring have the mark `thorough`; `pytest --all` runs them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
THOROUGH = pytest.mark.thorough
_both = False


def inner(cells: Iterable[T], chosen: Container[T]) -> list[Any]:
    """Return all cells as test parameters: the chosen cells run always, the others only in `make test-all`."""
    return [cell if cell in chosen else pytest.param(cell, marks=THOROUGH) for cell in cells]


def size(inner: int, both: int) -> int:
    """Return the number to use in this run: `inner` in `make test`, `both` in `make test-all`.

    Only for numbers that are not themselves a promise.
    """
    return both if _both else inner


def wanted(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """Return the values of a parameter that the requesting module's tests have in this run, each once, in order.

    With these values, a fixture of the module makes only what the tests of this run need.
    """
    values = [
        item.callspec.params[name]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
        if name in item.callspec.params
    ]
    return [value for place, value in enumerate(values) if value not in values[:place]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the tests marked `thorough`, too")


def pytest_configure(config: pytest.Config) -> None:
    global _both
    _both = config.getoption("--all")
    config.addinivalue_line("markers", "thorough: a cell of a cross product that only `make test-all` runs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    outer = [item for item in items if item.get_closest_marker("thorough")]
    if outer:
        config.hook.pytest_deselected(items=outer)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]

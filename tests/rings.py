"""Two rings of tests: `make test` runs the inner one, `make test-all` both.

A test is in the outer ring only if it is one more cell of a cross product whose parts the inner ring covers. It carries
the mark `thorough`; `pytest --all` runs it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
THOROUGH = pytest.mark.thorough
_both = False


def inner(cells: Iterable[T], chosen: Container[T]) -> list[Any]:
    """Return all cells as parameters of a test: the chosen ones run always, the others in `make test-all`."""
    return [cell if cell in chosen else pytest.param(cell, marks=THOROUGH) for cell in cells]


def size(inner: int, both: int) -> int:
    """Return how many there are of something whose number is no promise of its own: fewer in `make test`."""
    return both if _both else inner


def wanted(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """Return the values of a parameter that the requesting module's tests have in this run, each once, in their order.

    A module's fixture makes only what its chosen tests look at.
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

"""`sam local invoke`: every event file gets the answer that it expects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.lambda_ import events, functions, invoke
from local.lambda_.runtime import Outcome

CASES = [
    pytest.param(file, id=file.stem, marks=[pytest.mark.rest] if number else [])
    for name in functions.names()
    for number, file in enumerate(events.files(name))
]


@pytest.mark.parametrize("file", CASES)
def test_the_function_answers_in_its_container(
    outcome: Callable[[Path], tuple[invoke.Case, Outcome]], file: Path
) -> None:
    case, came = outcome(file)
    found = invoke.differences(case, came)
    assert not found, "\n".join([*found, came.log])

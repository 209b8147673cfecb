"""A function alone, under AWS's own runtime client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.runtime import Function, Sandbox

Make = Callable[..., Function]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(code: str, **settings: object) -> Function:
        (tmp_path / "app.py").write_text(code)
        return Function(name="alone", code=tmp_path, **settings)  # type: ignore[arg-type]

    return make


def test_it_is_started_once_and_warm_afterwards(make: Make) -> None:
    code = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return {"event": event, "calls": calls, "name": context.function_name, "mine": os.environ["MINE"],
            "left": context.get_remaining_time_in_millis()}
"""
    with Sandbox(make(code, environment={"MINE": "yes"}, timeout=20)) as sandbox:
        first = sandbox.invoke({"a": "ü"}).result
        second = sandbox.invoke([1]).result
    assert first["event"] == {"a": "ü"} and first["calls"] == 1 and first["name"] == "alone" and first["mine"] == "yes"
    assert 10_000 < first["left"] <= 20_000
    assert second["event"] == [1] and second["calls"] == 2


def test_nothing_of_our_environment_reaches_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "1")
    with Sandbox(make("import os\ndef handler(event, context): return os.environ.get('LEAK')")) as sandbox:
        assert sandbox.invoke({}).result is None


def test_what_it_raises_is_an_outcome_and_it_goes_on(make: Make) -> None:
    code = "def handler(event, context):\n    return 1 / event"
    with Sandbox(make(code)) as sandbox:
        error = sandbox.invoke(0).error
        assert error is not None and error["errorType"] == "ZeroDivisionError"
        assert sandbox.invoke(2).result == 0.5


def test_code_that_cannot_be_imported_says_so(make: Make) -> None:
    with Sandbox(make("import nothing_like_that")) as sandbox:
        error = sandbox.invoke({}).error
    assert error is not None and error["errorType"] == "Runtime.ImportModuleError"


def test_a_function_that_takes_too_long_is_ended(make: Make) -> None:
    code = "import time\ndef handler(event, context): time.sleep(30)"
    with Sandbox(make(code, timeout=1)) as sandbox:
        error = sandbox.invoke({}).error
        assert error is not None and error["errorType"] == "Sandbox.Timedout"


def test_lambdas_limits_of_size_hold(make: Make) -> None:
    with Sandbox(make("def handler(event, context): return 'x' * event['size']")) as sandbox:
        error = sandbox.invoke({"size": 7_000_000}).error
        assert error is not None and error["errorType"] == "Function.ResponseSizeTooLarge"
        error = sandbox.invoke({"pad": "x" * 7_000_000}).error
        assert error is not None and error["errorType"] == "RequestEntityTooLarge"

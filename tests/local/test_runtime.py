"""A sandbox runs a function as Lambda does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.lambda_.runtime import REQUEST_BYTES, Function, RequestTooLarge, Sandbox
from local.lambda_.runtime_api import RESPONSE_BYTES


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A function's folder."""
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


@contextmanager
def sandbox(code: Path, source: str, *, layers: tuple[Path, ...] = (), timeout: float = 5) -> Iterator[Sandbox]:
    (code / "app.py").write_text(source)
    function = Function("f", code, layers, {"MINE": "1"}, timeout=timeout, memory=256, arn="arn:f")
    with Sandbox(function) as running:
        yield running


def test_an_event_goes_in_and_what_the_handler_returns_comes_out(code: Path) -> None:
    source = """
calls = 0
def handler(event, context):
    global calls
    calls += 1
    print("call", calls)
    return {**event, "calls": calls}
"""
    with sandbox(code, source) as running:
        cold, warm = running.invoke({"name": "Lüna"}), running.invoke({})
    assert (cold.error, cold.result) == (None, {"name": "Lüna", "calls": 1})
    assert warm.result == {"calls": 2}
    assert (cold.log, warm.log) == ("call 1\n", "call 2\n")
    assert cold.request_id != warm.request_id
    assert running.init_milliseconds is not None
    assert 0 < warm.milliseconds < 1000


def test_the_context_is_lambda_s(code: Path) -> None:
    source = """
import os
def handler(event, context):
    return {
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
        "id": context.aws_request_id,
        "mine": os.environ["MINE"],
        "trace": os.environ["_X_AMZN_TRACE_ID"],
    }
"""
    with sandbox(code, source, timeout=7) as running:
        outcome = running.invoke({})
    seen = outcome.result
    assert (seen["arn"], seen["name"], seen["memory"], seen["mine"]) == ("arn:f", "f", "256", "1")
    assert seen["id"] == outcome.request_id
    assert 6000 < seen["left"] <= 7000
    assert seen["trace"].startswith("Root=1-")


def test_it_sees_its_layers_and_lambda_s_own_libraries_and_nothing_else(code: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    (layer / "python" / "boto3").mkdir(parents=True)
    (layer / "python" / "boto3" / "__init__.py").write_text("mine = True\n")
    source = """
import boto3, botocore
def handler(event, context):
    try:
        import pytest
    except ImportError:
        return boto3.mine
"""
    with sandbox(code, source, layers=(layer,)) as running:
        outcome = running.invoke({})
    assert (outcome.error, outcome.result) == (None, True)
    assert list(code.iterdir()) == [code / "app.py"], "the artifact stays what was built"


def test_nothing_of_our_environment_reaches_it(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "1")
    with sandbox(code, "import os\ndef handler(event, context):\n    return dict(os.environ)\n") as running:
        seen = running.invoke({}).result
    assert "LEAK" not in seen
    assert seen["MINE"] == "1"


def test_an_exception_is_an_error_with_its_trace_and_the_sandbox_goes_on(code: Path) -> None:
    source = "def handler(event, context):\n    return 1 / event['by']\n"
    with sandbox(code, source) as running:
        failed, fine = running.invoke({"by": 0}), running.invoke({"by": 1})
    assert failed.result is None
    assert failed.error is not None
    assert failed.error["errorType"] == "ZeroDivisionError"
    assert failed.error["stackTrace"]
    assert "ZeroDivisionError" in failed.log
    assert fine.result == 1


def test_a_module_that_cannot_be_imported_is_an_init_error(code: Path) -> None:
    with sandbox(code, "import nothing_of_this_name\n") as running:
        outcome = running.invoke({})
        assert running.ended
    assert outcome.error is not None
    assert outcome.error["errorType"] == "Runtime.ImportModuleError"
    assert "nothing_of_this_name" in outcome.error["errorMessage"]


def test_time_runs_out(code: Path) -> None:
    with sandbox(code, "import time\ndef handler(event, context):\n    time.sleep(30)\n", timeout=0.5) as running:
        outcome = running.invoke({})
        assert running.ended
        with pytest.raises(RuntimeError, match="has ended"):
            running.invoke({})
    assert outcome.error is not None
    assert outcome.error["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 0.50 seconds" in outcome.error["errorMessage"]
    assert 500 <= outcome.milliseconds < 2000


def test_a_crash_is_an_error(code: Path) -> None:
    with sandbox(code, "import os\ndef handler(event, context):\n    os._exit(3)\n") as running:
        outcome = running.invoke({})
    assert outcome.error is not None
    assert outcome.error["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in outcome.error["errorMessage"]


def test_events_and_answers_have_lambda_s_limits(code: Path) -> None:
    with sandbox(code, "def handler(event, context):\n    return 'x' * event['bytes']\n") as running:
        most = running.invoke({"bytes": RESPONSE_BYTES - 2})
        assert most.error is None
        assert len(most.result) == RESPONSE_BYTES - 2
        with pytest.raises(RequestTooLarge):
            running.invoke({"much": "x" * REQUEST_BYTES})
        over = running.invoke({"bytes": RESPONSE_BYTES - 1})
    assert over.result is None
    assert over.error is not None
    assert over.error["errorType"] == "Function.ResponseSizeTooLarge"


def test_stopping_leaves_no_process_and_no_file(code: Path) -> None:
    source = """
import os, subprocess, sys, tempfile
def handler(event, context):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open(tempfile.gettempdir() + "/left", "w").write("1234")
    return [os.getpid(), child.pid, tempfile.gettempdir()]
"""
    with sandbox(code, source) as running:
        parent, child, temporary = running.invoke({}).result
        assert running.disk_bytes == 4
        assert running.peak_memory is None or running.peak_memory > 5_000_000
    assert not Path(temporary).exists()
    for pid in (parent, child):
        assert _gone(pid), pid


def _gone(pid: int) -> bool:
    """Wait until the process has ended, and return False if it still runs after 5 s.

    A child whose parent was killed becomes a child of the init process, which may need a moment to collect it.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False

"""All published figures come from docs/benchmarks.json, and their claims about the goals are true."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import cost, render
from bench.counting.python.capacity import Units, units
from bench.figures import percentile, spread
from bench.warm import Warm

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXT = (DOCS / "benchmarks.json").read_text("utf-8")
FUNCTIONS = sorted(file.parent.name for file in (ROOT / "functions").glob("*/app.py"))
README = (ROOT / "README.md").read_text("utf-8")
COSTS = (ROOT / "docs" / "costs.md").read_text("utf-8")

# Goals that have to stay met. They contain no times, because times depend on the machine.
MOST_LAYER_MB, MOST_ADDED_MB, MOST_IDLE = 40, 64, 2.00


@pytest.fixture
def document() -> dict[str, Any]:
    return dict(json.loads(TEXT))


# ---- What is published -----------------------------------------------------------------------------------------------


def test_the_page_is_made_of_the_figures(document: dict[str, Any]) -> None:
    """The page equals what is rendered from the figures; if it differs, `make bench` writes both."""
    assert (DOCS / "benchmarks.md").read_text("utf-8") == render.markdown(document)


def test_the_readme_says_what_the_figures_say(document: dict[str, Any]) -> None:
    assert render.into_readme(README, document) == README


def test_the_chart_is_of_these_figures() -> None:
    chart = (DOCS / "benchmarks.svg").read_text("utf-8")
    assert hashlib.sha256(TEXT.encode()).hexdigest() in chart


def test_no_figure_is_of_a_quick_run(document: dict[str, Any]) -> None:
    assert document["run"]["quick"] is False


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_was_measured(document: dict[str, Any], name: str) -> None:
    assert document["cold_start"][name]["ratio"] > 1
    assert document["memory"][f"{name}_idle"]["added_mb"] > 0
    assert document["warm"][name]["ms"] > 0


def test_calls_ask_the_same_of_a_table_of_any_size(document: dict[str, Any]) -> None:
    for call, counts in document["growth"].items():
        by_what: dict[str, set[float]] = {}
        for name, value in counts.items():
            by_what.setdefault(name.partition("_")[2], set()).add(value)
        assert all(len(values) == 1 for values in by_what.values()), call


def test_the_goals_that_no_machine_decides_are_met(document: dict[str, Any]) -> None:
    assert document["size"]["understudy_layer_mb"] <= MOST_LAYER_MB
    assert all(one["added_mb"] <= MOST_ADDED_MB for name, one in document["memory"].items() if name.endswith("_1gb"))
    assert document["cost"]["idle_month"] < MOST_IDLE


def test_the_readme_has_the_models_idle_cost(document: dict[str, Any]) -> None:
    (said,) = re.findall(r"^\| \*\*together\*\* .*?\*\*\$([\d.]+)\*\*", COSTS, re.MULTILINE)
    assert f"{document['cost']['idle_month']:.2f}" == said


def test_the_page_calls_a_missed_goal_missed(document: dict[str, Any]) -> None:
    document["cold_start"]["list_models"] |= {"ratio": 4.01, "goal": 4.0}
    document["cold_start"]["get_video"] |= {"ratio": 5.99, "goal": 6.0}
    lines = render.markdown(document).splitlines()
    missed = [next(line for line in lines if line.startswith(f"| `{name}`")) for name in ("list_models", "get_video")]
    assert ["**no**" in line for line in missed] == [True, False]


def test_the_page_does_without_a_peer(document: dict[str, Any]) -> None:
    alone = copy.deepcopy(document)
    alone["run"]["peer"] = None
    for one in alone["overhead"].values():
        for key in [key for key in one if key.startswith("peer")]:
            del one[key]
    assert "LiteLLM" not in render.headlines(alone)
    assert "no peer was installed" in render.markdown(alone)


def test_the_readme_needs_a_place_for_the_figures(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="README"):
        render.into_readme("no place", document)


# ---- What they are made by -------------------------------------------------------------------------------------------


def test_a_series_comes_down_to_its_quartiles() -> None:
    assert f"{spread([4, 1, 3, 2, 5]):.1f}" == "3.0 (2.0 to 4.0)"
    assert spread([7.0]).low == 7.0
    assert percentile(list(range(101)), 95) == 95


ROW = {"pk": {"S": "team#a"}, "text": {"S": "x" * 3000}, "list": {"L": [{"N": "12"}, {"BOOL": True}, {"M": {}}]}}
TRANSACTION = {"TransactItems": [{"Put": {"Item": ROW}}, {"Update": {"Key": 1}}]}
NOTHING: dict[str, Any] = {}


def now_is(row: dict[str, Any]) -> Any:
    return lambda _: row


@pytest.mark.parametrize(
    ("operation", "request_", "answer", "expected"),
    [
        ("GetItem", {"ConsistentRead": True}, {"Item": ROW}, Units(1, read=1)),
        ("GetItem", NOTHING, {"Item": ROW}, Units(1, read=0.5)),
        ("GetItem", {"ConsistentRead": True}, NOTHING, Units(1, read=1)),
        ("Query", {"ConsistentRead": True}, {"ScannedCount": 3, "Items": [ROW] * 3}, Units(3, read=3)),
        (
            "BatchGetItem",
            {"RequestItems": {"t": {"Keys": [1, 2], "ConsistentRead": True}}},
            {"Responses": {"t": [ROW]}},
            Units(2, read=2),
        ),
        ("PutItem", {"Item": ROW}, NOTHING, Units(1, written=3)),
        ("UpdateItem", {"Key": 1}, {"Attributes": ROW}, Units(1, written=3)),
        ("DeleteItem", {"Key": 1}, NOTHING, Units(1, written=1)),
        ("TransactWriteItems", TRANSACTION, NOTHING, Units(2, written=8)),
    ],
)
def test_capacity_is_counted_by_dynamodbs_rules(
    operation: str, request_: dict[str, Any], answer: dict[str, Any], expected: Units
) -> None:
    small: dict[str, Any] = {"pk": {"S": "a"}}
    assert units(operation, request_, answer, now_is(small)) == expected


def test_an_operation_that_nobody_has_thought_of_is_not_free() -> None:
    with pytest.raises(NotImplementedError):
        units("Scan", {}, {}, now_is({}))


def used(memory: int = 1769, cpu: float = 10.0, calls: dict[str, int] | None = None, written: float = 0.0) -> cost.Used:
    warm = Warm(spread([cpu]), cpu, calls or {}, 0.0, written, log_bytes=0)
    return cost.Used(memory, cold_cpu_ms=cpu, provider_calls=0, warm=warm)


def test_half_the_memory_is_half_the_core_and_the_same_price() -> None:
    whole, half = used(1769), used(1769 // 2)
    assert cost.duration(whole) == pytest.approx(0.010)
    assert cost.duration(half) == pytest.approx(0.020, rel=0.01)
    assert cost.invocation(half) == pytest.approx(cost.invocation(whole), rel=0.02)


def test_waiting_for_aws_is_paid_for() -> None:
    assert cost.duration(used(calls={"DynamoDB.GetItem": 2, "S3.GET": 1})) == pytest.approx(0.010 + 0.040)


def test_what_is_asked_of_aws_is_paid_for() -> None:
    base = cost.invocation(used())
    assert cost.invocation(used(written=1_000_000)) - base == pytest.approx(0.625)
    put = cost.invocation(used(calls={"S3.PUT": 1}))
    assert put - cost.invocation(used(calls={"S3.GET": 1})) == pytest.approx(5.00e-6 - 0.40e-6)

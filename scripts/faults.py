"""Generate docs/faults.md from the table of the fault tests: `python scripts/faults.py [--check]`.

With --check the script writes nothing, and a difference is an error.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.integration.fault_servers import SERVERS  # noqa: E402
from tests.integration.fault_table import ROWS, Row  # noqa: E402

TARGET = ROOT / "docs" / "faults.md"
HEAD = """\
# Faults

`scripts/faults.py` generates this page, its first five tables from `tests/integration/fault_table.py`, and a test
compares them. Do not edit it.

The page says for each failure of a provider what the caller sees, how many orders the provider has received, and what
the key's budget is charged. A test runs each line at each provider that the line names. "stack" is a test against the
deployed local stack, which counts the orders at the provider's simulator. "clock" is a test in one process whose clock
is moved, for failures that take hours.

In every line, no order is sent twice, the status is one of OpenAI's four, the slot is free again, and the budget is
right to the micro-dollar. A completed video was downloaded and decoded.

* **Sees**: the status and the code of the refusal, or how the video ends. With `outcome_unknown` there is also a
  failed video with that code, and the response carries `x-should-retry: false`. Any other refusal leaves no video.
* **Ordered**: the orders that the provider has received. If it is 1 after a failure, the video may exist there.
* **Charged**: "its price" is the cost that the provider reports, or the price in the profile if the provider reports
  none. "All that was held" is charged if nobody can know what the provider will bill.
"""
SECTIONS = {
    "ordering": "When the order is sent",
    "preparing": "When `run_job` sends the order",
    "waiting": "While the provider works",
    "fetching": "When the file is fetched",
    "moderation": "Moderation",
}
NOTES = {
    "ordering": "Some providers store a reference of Understudy's with each order"
    f" ({', '.join(server.name for server in SERVERS if server.findable)}). After a lost answer, Understudy finds the"
    " order by this reference. At other providers the job ends at once: an order is never repeated to find out.",
    "preparing": "An order with files that take long to send is sent after the call. If the provider refuses it and a"
    " failover is allowed, another deployment of the model gets the order. If there is none, Understudy waits and"
    " retries a refusal that may pass.",
    "waiting": "Understudy gives up a paid video in two cases: its deadline at the provider has passed, or the provider"
    " has said eight times in a row, for two minutes, that it does not know the video. `Retry-After` is respected, up"
    " to 15 minutes at a time.",
    "fetching": "Each retry asks the provider for the file's address again. Understudy gives up a file that was missing"
    " nine times in a row, or when the job's deadline has passed.",
    "moderation": "Every provider has its own codes for moderation. The code here is always `moderation_blocked`, with"
    " the provider's own message.",
}
HERE = """\
## When something of Understudy's or of Amazon's fails

Each line is a test in `tests/unit/background/test_every_job_ends.py`. Most run for a video that the call orders, one
that `run_job` orders, one with a new native character, and one that waits for its source; that one ends as
`source_failed` if its source fails. In every line the job ends, its slot is free, its cost is settled once, and no
order is sent twice.

| Failure | Sees | Ordered | Charged | Test |
|---|---|---|---|---|
"""
HELD = "all that was held"
HERE_ROWS = (
    ("the process dies once, at any call", "completed", "1", "its price", "test_a_process_that_dies_at_any_call"),
    (
        "the process dies while the order is under way",
        "failed `outcome_unknown`",
        "0 or 1",
        HELD,
        "test_a_process_that_dies_at_any_call",
    ),
    (
        "each try of a step dies or raises, before the order",
        "failed `internal_error`",
        "0",
        "nothing",
        "test_a_step_that_always_dies",
    ),
    (
        "each try of a step dies or raises, after the order",
        "failed `internal_error`",
        "1",
        HELD,
        "test_a_step_that_always_dies",
    ),
    (
        "a bad version between order and poll, and ten minutes later a good one",
        "completed",
        "1",
        "its price",
        "test_a_deployment_that_mends_it_comes_in_time_for_jobs_in_flight",
    ),
    ("each step is taken twice", "completed", "1", "its price", "test_a_step_that_is_always_taken_twice"),
    (
        "an operator stops the execution before the order",
        "failed `stopped`",
        "0",
        "nothing",
        "test_an_execution_that_is_stopped_after_any_step",
    ),
    (
        "an operator stops the execution after the order",
        "failed `stopped`",
        "1",
        HELD,
        "test_an_execution_that_is_stopped_after_any_step",
    ),
    (
        "the execution was never started, or is lost",
        "completed",
        "1",
        "its price",
        "test_an_execution_that_is_lost_after_any_step",
    ),
    (
        "the clip to edit or extend was deleted from the bucket",
        "failed `file_gone`",
        "0",
        "nothing",
        "test_a_clip_whose_object_is_gone",
    ),
    (
        "the provider's answers have no usable status for a while",
        "completed",
        "1",
        "its price",
        "test_answers_of_wrong_types",
    ),
    (
        "the provider's answers have no usable status for good",
        "failed `provider_timeout`",
        "1",
        HELD,
        "test_answers_of_wrong_types",
    ),
)
CHARGED = {"nothing": "nothing", "held": "all that was held", "price": "its price"}


def document() -> str:
    """Return the whole file."""
    ours = HERE + "\n".join(f"| {' | '.join((*cells, f'`{test}`'))} |" for *cells, test in HERE_ROWS)
    return "\n".join([HEAD, *chain.from_iterable(_section(name) for name in SECTIONS), f"{ours}\n"])


def _section(name: str) -> Iterator[str]:
    yield f"## {SECTIONS[name]}\n"
    yield f"{textwrap.fill(NOTES[name], 120)}\n"
    yield "| Failure | At | Sees | Ordered | Charged | Test |"
    yield "|---|---|---|---|---|---|"
    found: dict[tuple[str, ...], list[str]] = {}
    for row in ROWS:
        if _name(row) == name:
            found.setdefault(_cells(row), []).append(row.server.name)
    order = list(dict.fromkeys(fault for fault, *_ in found))
    for (fault, *cells), servers in sorted(found.items(), key=lambda one: order.index(one[0][0])):
        where = "each" if len(servers) == len(SERVERS) else ", ".join(servers)
        yield f"| {' | '.join((fault, where, *cells))} |"
    yield ""


def _name(row: Row) -> str:
    return "moderation" if row.fault.startswith("moderation: ") else row.when


def _cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row without its provider, because providers with equal cells share a line."""
    fault = row.fault.removeprefix("moderation: ").removeprefix("polls: ").removeprefix("orders: ")
    sees = f"{row.sees.status}" + (f" `{row.sees.code}`" if row.sees.code else "")
    if row.sees.retry_after:
        sees += f", `retry-after: {row.sees.retry_after}`"
    return fault, sees, str(row.ordered), CHARGED[row.charged], "clock" if row.hours else "stack"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = document()
    if not check:
        TARGET.write_text(text, "utf-8")
    elif not TARGET.exists() or TARGET.read_text("utf-8") != text:
        print("docs/faults.md is not what the table says: run `python scripts/faults.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

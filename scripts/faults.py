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

`scripts/faults.py` generates this page from `tests/integration/fault_table.py`, and a test compares the two. Do not
edit it.

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
    " has said three times in a row that it does not know the video. `Retry-After` is respected, up to 15 minutes at a"
    " time.",
    "fetching": "Each retry asks the provider for the file's address again. Understudy gives up a file that was missing"
    " nine times in a row, or when the job's deadline has passed.",
    "moderation": "Every provider has its own codes for moderation. The code here is always `moderation_blocked`, with"
    " the provider's own message.",
}
CHARGED = {"nothing": "nothing", "held": "all that was held", "price": "its price"}


def document() -> str:
    """Return the whole file."""
    return "\n".join([HEAD, *chain.from_iterable(_section(name) for name in SECTIONS)])


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

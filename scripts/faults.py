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

Generated from `tests/integration/fault_table.py` by `scripts/faults.py`; a test compares it. Do not edit.

What the caller sees when a provider fails, how many orders the provider has then taken, and what the key's budget is
charged. Each line is played at each of the providers that it names: "stack" against the deployed local stack, where
orders are counted at the provider's simulator; "clock" in one process whose clock is moved, for what takes hours.

In every line nothing is sent twice, the status is one of OpenAI's four, the slot is free again, and the budget stands
to the micro-dollar where it should. A video that is completed has been downloaded and played.

* **Sees**: a status and code with which the call is refused, or how the video ends. With `outcome_unknown` there is a
  failed video that says the same, and the answer carries `x-should-retry: false`; any other refusal leaves none.
* **Ordered**: what the provider has taken. Where that is 1 after a failure, the video may exist there.
* **Charged**: "its price" is what the provider says that it took; where it says nothing, that of the profile. "All that
  was held" is charged where nobody can know what the provider will bill.
"""
SECTIONS = {
    "ordering": "When it is ordered",
    "preparing": "When `run_job` orders it",
    "waiting": "While it is made",
    "fetching": "When its file is fetched",
    "moderation": "Moderation, in each of its disguises",
}
NOTES = {
    "ordering": "A provider that takes a reference of ours with each order can be asked for it, and a lost answer is"
    f" found again ({', '.join(server.name for server in SERVERS if server.findable)}). Elsewhere the job ends at once:"
    " an order is not repeated to find out.",
    "preparing": "Where files take long to travel, an order with one is sent after the call. A refusal that may move"
    " goes to another deployment of the model; without one, a refusal that passes is waited out.",
    "waiting": "A paid video is given up for two reasons: its deadline at the provider has passed, or the provider has"
    " said three times in a row that it does not know it. `Retry-After` is kept to, up to 15 minutes at a time.",
    "fetching": "Each try asks the provider for the file's address again. A file is given up when it has been missing"
    " nine times in a row, or when the job's deadline has passed.",
    "moderation": "Whatever it is called there, here it is `moderation_blocked`, with the provider's own words.",
}
CHARGED = {"nothing": "nothing", "held": "all that was held", "price": "its price"}


def document() -> str:
    """Return the whole file."""
    return "\n".join([HEAD, *chain.from_iterable(_section(name) for name in SECTIONS)])


def _section(name: str) -> Iterator[str]:
    yield f"## {SECTIONS[name]}\n"
    yield f"{textwrap.fill(NOTES[name], 120)}\n"
    yield "| What goes wrong | At | Sees | Ordered | Charged | Played |"
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

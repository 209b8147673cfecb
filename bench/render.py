"""Renders docs/benchmarks.md and the README's headline figures from docs/benchmarks.json only."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]

BEGIN, END = "<!-- figures: make bench -->", "<!-- /figures -->"
MARGIN = 1.0 / 3  # of the peer's overhead, at most

_INTRO = """\
# Benchmarks

`make bench` takes these figures and writes this page in less than ten minutes. Do not edit it. Everything is measured
on the output of `sam build`. Each measurement alternates with its baseline in the same run, so other work on the
machine affects both. A figure is a median; the quartiles are in brackets. 1 MB is 2^20 bytes.
"""

_COLD = """\
## Cold start

The time from the start of the process to the first answer, under AWS's own runtime client (`awslambdaric`), with the
event of `events/<function>.json`. The baseline is an empty handler in the same runtime; the ratio is that of neighbours
in the run. Functions do all of their work: they read secrets, sign requests and parse answers. The answers of AWS come
from a recording without delay, so the time of AWS is not included. The provider is its simulator. All files are in the
page cache. `everything` imports all libraries of the layer and makes three clients, and answers nothing. Goals:
`list_models` 4, functions that use only the table 6, functions that call a provider 9, none above `everything`.
"""

_WARM = """\
## Warm call

The time that a call adds to the same call made directly to the provider (its simulator): through the function under
the runtime client, and through {peer}. The time of AWS is not included: each call to AWS in the last table adds some
milliseconds. The time of API Gateway is not included either. The local gateway, with the authorizer and the local
table, answers `get_character` in {gateway:.0f} ms. Understudy answers `get_character` from its table; directly and
through the peer, the provider answers. The peer runs without a database and stores nothing; Understudy stores each
order before it sends the order. At full load four callers call at the same time, so a function has four environments.
The measured process has one core. Goal: at most a third of the peer's overhead.
"""

_MEMORY = """\
## Memory

The peak resident set of the function's process and of its largest child, with a clip of some kilobytes and with a clip
of {size}. The idle figure is the function's own process minus an empty handler's process. Goal: at most 64 MB.
"""

_SIZE = """\
## Size

Built for this machine's processor. The layers contain compiled files. Goal: at most 40 MB for the layer. Lambda allows
250 MB for a function with its layers.
"""

_GROWTH = """\
## Growth

What one warm call costs at the table: requests, items that DynamoDB reads, and capacity units by DynamoDB's rules,
counted in the client.
"""

_COST = """\
## Cost model

The model combines the measurements, the template's memory sizes, list prices of us-east-1 without free allowances, and
assumptions. Nobody has compared it with a bill: check the price pages before you rely on it. The prices of providers,
storage and outgoing traffic are not included. The right column is a proxy that is always on: {vcpu} vCPU and {gb} GB of
Fargate (the minimum in LiteLLM's documentation), a load balancer, and a small PostgreSQL.
"""


def markdown(document: Document) -> str:
    """Return the whole page."""
    cost = document["cost"]
    parts = [
        _INTRO,
        _run(document["run"]),
        "![The figures of this page as a chart](benchmarks.svg)\n",
        _COLD,
        _cold(document["cold_start"]),
        _prose(_WARM, peer=document["run"]["peer"] or "a peer that was not installed", gateway=_gateway(document)),
        _overhead(document["overhead"]),
        _load(document["overhead"]),
        _warm(document["warm"]),
        _prose(_MEMORY, size="50 MB" if document["run"]["quick"] else "1 GB"),
        _memory(document["memory"]),
        _SIZE,
        _size(document["size"]),
        _GROWTH,
        _growth(document["growth"]),
        _prose(_COST, vcpu=cost["assumed"]["peer_vcpu"], gb=cost["assumed"]["peer_gb"]),
        _cost(cost),
        "Prices:\n",
        _prices(cost["prices"]),
        "Assumed:\n",
        _assumed(cost["assumed"]),
    ]
    return "\n".join(parts)


def headlines(document: Document) -> str:
    """Return the list of figures for the README."""
    cold = {name: one["ratio"] for name, one in document["cold_start"].items() if name not in {"empty", "everything"}}
    fastest, slowest = min(cold, key=lambda name: cold[name]), max(cold, key=lambda name: cold[name])
    cost, memory, sizes = document["cost"], document["memory"], document["size"]
    added = max(one["added_mb"] for name, one in memory.items() if name.endswith("_1gb"))
    lines = [
        f"A cold start takes {cold[fastest]:.1f} (`{fastest}`) to {cold[slowest]:.1f} times (`{slowest}`) an empty "
        f"handler's {document['cold_start']['empty']['ms']:.0f} ms; importing everything takes "
        f"{document['cold_start']['everything']['ratio']:.1f}.",
        _headline_overhead(document),
        f"Copying a file of 1 GB in or out takes {max(added, 0):.0f} MB more memory than copying a small file.",
        f"The layer has {sizes['understudy_layer_mb']:.0f} MB, {sizes['understudy_layer_zipped_mb']:.0f} zipped; the "
        f"media layer of the two sealed functions {sizes['media_layer_mb']:.0f}.",
        "A call reads as much of a table with 50,000 rows as of a table with 100 rows.",
        f"By a model of list prices a thousand videos cost ${cost['per_thousand_videos']:.2f} on AWS, a thousand "
        f"characters ${cost['per_thousand_characters']:.2f}, a million reads "
        f"${cost['per_million_calls']['get_video']:.2f}, a month without calls ${cost['idle_month']:.2f}; a proxy that "
        f"is always on ${cost['always_on_month']:.0f} a month.",
    ]
    return "\n".join(_wrapped(line) for line in lines)


def into_readme(readme: str, document: Document) -> str:
    """Return the README with a new list of figures. Raises ValueError if the README has no markers for the list."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"README.md needs one {BEGIN} and one {END}")
    block = f"{BEGIN}\n{headlines(document)}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, readme, flags=re.DOTALL)


def _headline_overhead(document: Document) -> str:
    calls = {call: one["added_ms"] for call, one in document["overhead"].items()}
    least, most = min(calls.values()), max(calls.values())
    ours = f"A warm call adds {least:.1f} to {most:.1f} ms of its own to the provider's"
    if not document["run"]["peer"]:
        return f"{ours}."
    theirs = [one["peer_added_ms"] for one in document["overhead"].values()]
    return f"{ours}; {document['run']['peer']}'s proxy adds {min(theirs):.1f} to {max(theirs):.1f} ms."


def _run(run: Document) -> str:
    machine, rounds = run["machine"], run["rounds"]
    warning = "**A quick run: these are not figures.** " if run["quick"] else ""
    return _prose(
        f"{warning}Taken on {run['date']} at commit `{run['commit']}` in {run['seconds']} s: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, Python {machine['python']} "
        f"({machine['architecture']}); {rounds['cold_start']} cold starts of each function, "
        f"{rounds['overhead']} blocks of 20 warm calls. Beside it: {run['peer'] or 'no peer was installed'}.\n"
    )


def _gateway(document: Document) -> float:
    return float(document["local_gateway"]["get_character_ms"])


def _cold(cold: Document) -> str:
    rows = []
    limit = cold["everything"]["ratio"] if "everything" in cold else None
    for name, one in sorted(cold.items(), key=lambda item: item[1].get("ratio", 1.0)):
        if name == "empty":
            rows.append([f"`{name}`", _range(one, "ms", 0), "1", "", "", "", ""])
            continue
        goal = one["goal"] or limit
        met = "" if name == "everything" else "yes" if one["ratio"] <= goal else "**no**"
        asked = sum(one["aws_calls"].values())
        rows.append(
            [
                f"`{name}`",
                _range(one, "ms", 0),
                _range(one, "ratio", 1),
                "" if name == "everything" else f"{goal:.1f}",
                met,
                str(asked),
                str(one["provider_calls"]),
            ]
        )
    return _table(["function", "ms", "times empty", "goal", "met", "AWS calls", "provider calls"], rows)


def _overhead(overhead: Document) -> str:
    rows = []
    for call, one in overhead.items():
        theirs = one.get("peer_added_ms")
        rows.append(
            [
                f"`{call}`",
                f"{one['direct_ms']:.1f}",
                _range(one, "added_ms", 1),
                _range(one, "peer_added_ms", 1) if theirs is not None else "",
                f"{one['added_ms'] / theirs:.2f}" if theirs else "",
                ("yes" if one["added_ms"] <= theirs * MARGIN else "**no**") if theirs else "",
            ]
        )
    return _table(["call", "direct, ms", "Understudy adds, ms", "peer adds, ms", "ratio", "goal met"], rows)


def _load(overhead: Document) -> str:
    rows = []
    for call, one in overhead.items():
        for way in ("direct", "ours", "peer"):
            if way in one:
                figures = one[way]
                times = [f"{figures[f'p{percent}_ms']:.1f}" for percent in (50, 95, 99)]
                cpu = f"{figures['cpu_ms']:.1f}" if "cpu_ms" in figures else ""
                rows.append([f"`{call}`", way, *times, cpu, str(figures["requests_per_second"])])
    return _table(["call", "way", "p50, ms", "p95", "p99", "processor, ms", "requests a second"], rows)


def _warm(warm: Document) -> str:
    rows = [
        [
            f"`{name}`",
            _range(one, "ms", 1),
            f"{one['cpu_ms']:.1f}",
            ", ".join(f"{operation} {count}" for operation, count in one["aws_calls"].items()),
        ]
        for name, one in sorted(warm.items())
    ]
    return _table(["function, warm", "ms without AWS", "processor, ms", "calls to AWS"], rows)


def _memory(memory: Document) -> str:
    large = [
        [f"`{name}`", f"{one['small_mb']:.0f}", f"{one['large_mb']:.0f}", f"{one['added_mb']:+.1f}"]
        for name, one in memory.items()
        if "large_mb" in one
    ]
    idle = [
        [f"`{name.removesuffix('_idle')}`", f"{one['added_mb']:+.0f}"]
        for name, one in sorted(memory.items())
        if name.endswith("_idle")
    ]
    return "\n".join(
        [_table(["case", "small file, MB", "large file, MB", "added"], large), _table(["idle function", "MB"], idle)]
    )


def _size(sizes: Document) -> str:
    names = [name.removesuffix("_mb") for name in sizes if not name.endswith("_zipped_mb")]
    rows = [[name.replace("_", " "), _megabytes(sizes, name), _megabytes(sizes, f"{name}_zipped")] for name in names]
    return _table(["artifact", "MB", "MB zipped"], rows)


def _megabytes(sizes: Document, name: str) -> str:
    return f"{sizes[f'{name}_mb']:.2f}" if f"{name}_mb" in sizes else ""


def _growth(growth: Document) -> str:
    rows = []
    for call, one in growth.items():
        for rows_ in sorted({int(name.partition("_")[0]) for name in one}):
            counts = [f"{one[f'{rows_}_{what}']:g}" for what in ("requests", "items", "units")]
            rows.append([f"`{call}`", f"{rows_:,}", *counts])
    return _table(["call", "rows", "requests", "items", "units"], rows)


def _cost(cost: Document) -> str:
    rows = [[f"a million `{call}`", f"${value:.2f}", ""] for call, value in cost["per_million_calls"].items()]
    rows += [
        ["a thousand characters", f"${cost['per_thousand_characters']:.2f}", ""],
        ["a thousand videos, from order to download", f"${cost['per_thousand_videos']:.2f}", ""],
        *(
            [f"of these: a thousand executions of {name.replace('_', ' ')}", f"${value:.2f}", ""]
            for name, value in cost["per_thousand_executions"].items()
        ),
        ["a month without calls", f"${cost['idle_month']:.2f}", f"${cost['always_on_month']:.2f}"],
    ]
    even = _prose(
        f"Both cost the same at {cost['even_at_videos_a_month']:,.0f} videos a month. The template's `SnapStart` "
        f"would cost ${cost['snapstart_month']:.2f} a month for its snapshots, and "
        f"${cost['snapstart_per_million_restores']:.2f} for a million cold starts.\n"
    )
    return "\n".join([_table(["what", "Understudy", "always on"], rows), even])


def _prices(prices: Document) -> str:
    rows = [
        [f"{price['per']:,} {price['unit']}", f"${price['dollars']:,}", price["source"], price["date"]]
        for price in prices.values()
    ]
    return _table(["what", "price", "read at", "of"], rows)


def _assumed(assumed: Document) -> str:
    return _table(["what", "value"], [[f"`{name}`", f"{value:,}"] for name, value in assumed.items()])


def _prose(text: str, **values: Any) -> str:
    """Return the text with its values filled in and its last paragraph wrapped again. Headings are not wrapped."""
    *before, last = text.format(**values).rstrip("\n").split("\n\n")
    return "\n\n".join([*before, textwrap.fill(last, 120, break_on_hyphens=False, break_long_words=False)]) + "\n"


def _range(one: Document, name: str, digits: int) -> str:
    low, high = one[f"{name}_low"], one[f"{name}_high"]
    return f"{one[name]:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, 118, initial_indent="* ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )

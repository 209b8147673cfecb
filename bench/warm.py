"""Measures a warm call of a function: its time and its calls to AWS. The cost model (cost.py) uses the figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

from bench.case import MeasuredCase, again
from bench.counting.python.capacity import units
from bench.figures import Spread, spread
from bench.recording import Player, Recording
from local.lambda_.runtime import cpu_milliseconds

CALLS = 20
BEFORE = 3  # calls that are not counted


@dataclass(frozen=True)
class Warm:
    """One warm call: time without AWS, processor time, calls to AWS, capacity units of the table, logged bytes."""

    milliseconds: Spread
    cpu_milliseconds: float
    aws_calls: dict[str, int]
    read_units: float
    write_units: float
    log_bytes: int


def measure(player: Player, subject: MeasuredCase) -> Warm:
    """Run the function many times with its event. Raises SystemExit if an outcome is not as expected."""
    with subject.start(player) as sandbox:
        ask = partial(subject.ask, sandbox, player, subject.first)
        for _ in range(BEFORE):
            again(ask)
        before = cpu_milliseconds(sandbox.pid)
        outcomes = [again(ask) for _ in range(CALLS)]
        cpu = (cpu_milliseconds(sandbox.pid) - before) / CALLS
        calls = player.played
    read, written = _units(subject.first, calls)
    return Warm(
        spread([one.milliseconds for one in outcomes]), cpu, calls, read, written, len(outcomes[-1].log.encode())
    )


def _units(recorded: Recording, calls: dict[str, int]) -> tuple[float, float]:
    """Return the read and write units of the calls. A row whose size is not in the recording counts as 1 KB."""
    read = written = 0.0
    for operation, count in calls.items():
        service, _, name = operation.partition(".")
        if service == "DynamoDB":
            for one in recorded.answers[operation][:count]:
                if one.status == 200:
                    took = units(name, json.loads(one.request), json.loads(one.body), lambda _: {})
                    read, written = read + took.read, written + took.written
    return read, written

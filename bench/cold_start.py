"""`python -m bench.cold_start [FUNCTION...] [--rounds N]`: measures cold starts, from process start to first answer.

Each function is the build of `sam build`. It runs under AWS's own runtime client, with the event of
events/FUNCTION.json. The baseline is an empty handler in the same runtime. The function and the empty handler start
alternately, and each ratio compares two consecutive starts, because a busy machine slows both. The answers of the local
AWS come from a recording (recording.py), those of a provider from its simulator. The figures do not include disk reads:
all files are in the page cache.

The benchmark uses the running local stack (PORT). Without FUNCTION, it measures all functions, and `everything`: a
handler that imports the layer's libraries at its start.
"""

from __future__ import annotations

import argparse
import compileall
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import warm
from bench.case import MeasuredCase, again, case_of, record
from bench.environment import forget_seeds, nobody_listening, wait_for_quiet
from bench.figures import Spread, say, spread
from bench.recording import Player
from bench.warm import Warm
from local.lambda_ import functions, runtime
from local.lambda_.runtime import Function
from local.settings import Settings
from local.simulators.process import Simulator
from local.stack import lifecycle

ROUNDS = 11
EVERYTHING = "everything"
_EMPTY = "def handler(event, context):\n    return {}\n"
_EVERYTHING = """\
import boto3
import httpx
import pydantic
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from understudy.api import requests

clients = [boto3.client("dynamodb"), boto3.client("s3"), httpx.Client()]
app = APIGatewayRestResolver()


def handler(event, context):
    return {}
"""


@dataclass(frozen=True)
class Start:
    """One cold start: wall-clock time and processor time until the first answer, and the peak memory until then."""

    milliseconds: float
    cpu_milliseconds: float
    peak_bytes: int


@dataclass
class Series:
    """All cold starts of one function. `empty` holds the start of the empty handler for each of them."""

    name: str
    aws_calls: dict[str, int]
    provider_calls: int
    memory: int  # MB that the template gives the function
    warm: Warm | None = None  # None for `everything`, which does nothing
    starts: list[Start] = field(default_factory=list)
    empty: list[Start] = field(default_factory=list)

    @property
    def milliseconds(self) -> Spread:
        return spread([one.milliseconds for one in self.starts])

    @property
    def cpu_milliseconds(self) -> Spread:
        return spread([one.cpu_milliseconds for one in self.starts])

    @property
    def ratio(self) -> Spread:
        """The time of a start, divided by that of the empty handler."""
        pairs = zip(self.starts, self.empty, strict=True)
        return spread([one.milliseconds / other.milliseconds for one, other in pairs])

    @property
    def added_megabytes(self) -> Spread:
        """The peak memory minus that of the empty handler, in 2**20 bytes."""
        pairs = zip(self.starts, self.empty, strict=True)
        return spread([(one.peak_bytes - other.peak_bytes) / 2**20 for one, other in pairs])


def measure(settings: Settings, names: Sequence[str], rounds: int) -> list[Series]:
    """Start each of the functions `rounds` times. Raises SystemExit if an outcome is not as expected."""
    for package in runtime.provided():  # Lambda's own packages are compiled, too
        compileall.compile_dir(package, quiet=2) if package.is_dir() else compileall.compile_file(package, quiet=2)
    folder = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    try:
        with Player(settings.aws_url) as player:
            subjects = [_subject(settings, player, folder, name) for name in names]
            empty = _handler(folder / "empty", _EMPTY)
            with nobody_listening(settings):
                wait_for_quiet(settings)
                provider_calls = [_provider_calls(settings, player, one) for one in subjects]
                series = _interleaved(player, subjects, provider_calls, empty, rounds)
                say("warm calls of each function")
                for subject, one in zip(subjects, series, strict=True):
                    one.warm = warm.measure(player, subject) if subject.case else None
            return series
    finally:
        shutil.rmtree(folder)


def _interleaved(
    player: Player, subjects: list[MeasuredCase], provider_calls: list[int], empty: MeasuredCase, rounds: int
) -> list[Series]:
    series = [
        Series(one.name, one.first.calls, calls, one.function.memory)
        for one, calls in zip(subjects, provider_calls, strict=True)
    ]
    turns = random.Random(0)  # noqa: S311 - the same order each time
    for number in range(rounds):
        say(f"cold starts: round {number + 1} of {rounds}")
        for subject, result in turns.sample(list(zip(subjects, series, strict=True)), len(subjects)):
            if number % 2:
                result.empty.append(_start(player, empty))
                result.starts.append(_start(player, subject))
            else:
                result.starts.append(_start(player, subject))
                result.empty.append(_start(player, empty))
    return series


def _start(player: Player, subject: MeasuredCase) -> Start:
    return again(lambda: _start_once(player, subject))


def _start_once(player: Player, subject: MeasuredCase) -> Start:
    with subject.start(player) as sandbox:
        outcome = subject.ask(sandbox, player, subject.first)
        cpu, peak = runtime.cpu_milliseconds(sandbox.pid), sandbox.peak_memory
    assert sandbox.init_milliseconds is not None and peak is not None
    return Start(sandbox.init_milliseconds + outcome.milliseconds, cpu, peak)


def _subject(settings: Settings, player: Player, folder: Path, name: str) -> MeasuredCase:
    if name != EVERYTHING:
        return record(settings, player, name, case_of(settings, name))
    layer = functions.layer(settings, "UnderstudyLayer").parent
    environment = functions.load(settings, "get_video").environment
    handler = _handler(folder / name, _EVERYTHING)
    return replace(handler, function=replace(handler.function, layers=(layer,), environment=environment))


def _provider_calls(settings: Settings, player: Player, subject: MeasuredCase) -> int:
    """Count the function's requests to the provider, while nothing else sends requests to it."""
    simulator = Simulator(settings.folder / "simulators" / "openai").attach()
    before = simulator.counts()["requests"]
    _start(player, subject)
    return int(simulator.counts()["requests"] - before)


def _handler(folder: Path, code: str) -> MeasuredCase:
    folder.mkdir()
    (folder / "app.py").write_text(code)
    return MeasuredCase(folder.name, Function(folder.name, folder))


def names() -> list[str]:
    """Return the names of everything that is measured by default."""
    return [*functions.names(), EVERYTHING]


def table(series: Sequence[Series]) -> str:
    """Return the figures as a table for a terminal."""
    head = f"{'function':<18}{'ms':>7}{'times empty':>20}{'CPU ms':>8}{'MB more':>9}{'warm ms':>10}"
    lines = [f"{head}  calls to AWS + provider"]
    for one in series:
        calls = f"{sum(one.aws_calls.values())} + {one.provider_calls}"
        more = one.added_megabytes.median
        again = f"{one.warm.milliseconds.median:.1f}" if one.warm else ""
        lines.append(
            f"{one.name:<18}{one.milliseconds.median:>7.0f}{f'{one.ratio:.1f}':>20}{one.cpu_milliseconds.median:>8.0f}"
            f"{more:>9.1f}{again:>10}  {calls}"
        )
    empty = spread([start.milliseconds for one in series for start in one.empty])
    return "\n".join([*lines, f"An empty handler takes {empty:.1f} ms."])


def main() -> None:
    """Run the command line: measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start")
    parser.add_argument("function", nargs="*", help="the functions' folders; without any, all")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    settings = Settings.from_environment()
    lifecycle.url(settings)
    forget_seeds(settings)
    print(table(measure(settings, given.function or names(), given.rounds)))


if __name__ == "__main__":
    main()

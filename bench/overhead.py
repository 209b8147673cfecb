"""`python -m bench.overhead [--rounds N]`: measures what a warm call adds to the same call made directly.

Calls go to the provider's simulator in three ways (routes.py), alternately: directly; through our function under AWS's
runtime client; and through LiteLLM's proxy (litellm_proxy.py), if it is installed. The answers of AWS to the function
come from a recording (recording.py), so the figures do not include the time of AWS. `aws_calls` tells how many calls to
add for the cloud; each takes a few milliseconds. The figures do not include API Gateway either: `gateway` measures the
local gateway separately. Our function answers `get_character` from the table, without a provider. The direct call and
the peer ask the provider.

The measured process has one core for itself. Simulator, player and callers use the other cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench import litellm_proxy, routes
from bench.case import record
from bench.environment import core_of_its_own, forget_seeds, nobody_listening, pin, wait_for_quiet
from bench.figures import Spread, percentile, say, spread
from bench.recording import Player
from bench.routes import CALLS, Ours, Route, Server
from local.lambda_.runtime import cpu_milliseconds
from local.lambda_.seed import Seeds
from local.settings import Settings
from local.simulators.process import Simulator
from local.stack import lifecycle

ROUNDS = 10
BLOCK = 20  # requests in a row
SECONDS = 1.0  # duration of full load in each round
LOAD_ROUNDS = 3
ABREAST = 4  # parallel callers at full load; each has its own execution environment, as in Lambda
GATEWAY_CALLS = 30
PEER_PORT = 20  # above the stack's own
ACCOUNT_KEY = "sim-a"
DIRECT, OURS, PEER = "direct", "ours", "peer"

Makers = dict[str, Callable[[ExitStack], Route]]  # way -> function that makes a route


@dataclass
class Figures:
    """The figures of one call by one way."""

    milliseconds: list[float] = field(default_factory=list)  # of every request, one after the other
    medians: list[float] = field(default_factory=list)  # of each block of requests
    cpu_milliseconds: float = 0.0  # processor time of all requests in the measured process
    rates: list[float] = field(default_factory=list)  # requests a second at full load

    @property
    def cpu(self) -> float:
        """The processor time of one request, in milliseconds."""
        return self.cpu_milliseconds / len(self.milliseconds)

    @property
    def rate(self) -> float:
        """The requests per second at full load."""
        return spread(self.rates).median

    def percentile(self, percent: int) -> float:
        """Return the milliseconds within which `percent` of the requests were answered."""
        return percentile(self.milliseconds, percent)


@dataclass
class Result:
    """The figures of one call by all ways: DIRECT, OURS, and PEER if it is installed."""

    aws_calls: dict[str, int]
    ways: dict[str, Figures]

    def added(self, way: str) -> Spread:
        """Return the milliseconds added to the direct call: the differences between blocks of the same round."""
        pairs = zip(self.ways[way].medians, self.ways[DIRECT].medians, strict=True)
        return spread([one - other for one, other in pairs])


def measure(settings: Settings, rounds: int) -> dict[str, Result]:
    """Measure every call by every way: one after the other, then in parallel. Raises SystemExit for a bad answer."""
    simulator = Simulator(settings.folder / "simulators" / "openai").attach()
    with ExitStack() as at:
        player = at.enter_context(Player(settings.aws_url))
        subjects = {call: record(settings, player, call, routes.case(settings, call), warm=True) for call in CALLS}
        at.enter_context(nobody_listening(settings))
        wait_for_quiet(settings)
        core = at.enter_context(core_of_its_own(settings))
        makers: dict[str, Makers] = {call: {} for call in CALLS}
        for call, request in routes.requests(simulator.port, ACCOUNT_KEY).items():
            makers[call][DIRECT] = lambda _, request=request: Server(simulator.port, ACCOUNT_KEY, request)  # type: ignore[misc]
            makers[call][OURS] = lambda at, subject=subjects[call]: Ours(settings, at, core, subject)  # type: ignore[misc]
        if litellm_proxy.installed():
            proxy = at.enter_context(litellm_proxy.Proxy(simulator.base_url, ACCOUNT_KEY, settings.port + PEER_PORT))
            if core is not None:
                pin(proxy.pid, {core})
            proxy.wait()
            for call, request in routes.requests(proxy.port, litellm_proxy.KEY, target_model_names="sora-2").items():
                makers[call][PEER] = lambda _, request=request: Server(
                    proxy.port, litellm_proxy.KEY, request, proxy.pid
                )  # type: ignore[misc]
        results = {call: Result(subjects[call].later.calls, {way: Figures() for way in makers[call]}) for call in CALLS}
        _one_by_one(makers, results, rounds)
        _abreast(makers, results)
    simulator.clear_requests()
    return results


def gateway(settings: Settings) -> Spread:
    """Measure warm calls of `get_character`, in ms, through the local gateway, its authorizer and the local table."""
    seeds = Seeds(settings)
    request = ("GET", f"/v1/videos/characters/{seeds.value('character')}", None)
    server = Server(settings.port, seeds.value("key"), request)
    server.ask()
    return spread([server.ask() for _ in range(GATEWAY_CALLS)])


def _one_by_one(makers: dict[str, Makers], results: dict[str, Result], rounds: int) -> None:
    """Measure blocks of requests by each way alternately, so that other work on the machine affects all ways alike."""
    with ExitStack() as at:
        lanes = [[(make(at), results[call].ways[way]) for way, make in makers[call].items()] for call in CALLS]
        for lane in lanes:
            for way, _ in lane:
                _block(way, Figures())  # warms up
        for number in range(rounds):
            say(f"warm calls: round {number + 1} of {rounds}")
            for lane in lanes:
                first = number % len(lane)
                for way, figures in lane[first:] + lane[:first]:
                    _block(way, figures)


def _block(way: Route, figures: Figures) -> None:
    before = cpu_milliseconds(way.pid)
    milliseconds = [way.ask() for _ in range(BLOCK)]
    figures.cpu_milliseconds += cpu_milliseconds(way.pid) - before
    figures.milliseconds += milliseconds
    figures.medians.append(spread(milliseconds).median)


def _abreast(makers: dict[str, Makers], results: dict[str, Result]) -> None:
    """Measure full load by each way alternately: parallel callers, each sending its next request after an answer."""
    for call in CALLS:
        say(f"full load: {call}")
        with ExitStack() as at:
            lanes = [(way, [make(at) for _ in range(ABREAST)]) for way, make in makers[call].items()]
            for _ in range(LOAD_ROUNDS):
                for way, callers in lanes:
                    results[call].ways[way].rates.append(_rate(callers))


def _rate(callers: list[Route]) -> float:
    started = time.perf_counter()

    def keep_asking(way: Route) -> int:
        count = 0
        while time.perf_counter() - started < SECONDS:
            way.ask()
            count += 1
        return count

    with ThreadPoolExecutor(len(callers)) as pool:
        asked = sum(pool.map(keep_asking, callers))
    return asked / (time.perf_counter() - started)


def table(results: dict[str, Result]) -> str:
    """Return the figures as a table for a terminal."""
    lines = [f"{'call':<15}{'way':<8}{'p50':>7}{'p95':>7}{'p99':>7}{'CPU':>7} ms{'added, p50':>24}{'a second':>10}"]
    for call, result in results.items():
        for way, figures in result.ways.items():
            p50, p95, p99 = (figures.percentile(percent) for percent in (50, 95, 99))
            cpu = "" if way == DIRECT else f"{figures.cpu:.1f}"
            added = "" if way == DIRECT else f"{result.added(way):.1f}"
            lines.append(
                f"{call:<15}{way:<8}{p50:>7.1f}{p95:>7.1f}{p99:>7.1f}{cpu:>7}   {added:>24}{figures.rate:>10.0f}"
            )
        lines.append(f"{'':<15}AWS calls: {', '.join(f'{name} {count}' for name, count in result.aws_calls.items())}")
    return "\n".join(lines)


def main() -> None:
    """Run the command line: measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    settings = Settings.from_environment()
    lifecycle.url(settings)
    forget_seeds(settings)
    through = gateway(settings)
    print(table(measure(settings, given.rounds)))
    print(f"get_character through the local gateway, authorizer and table: {through:.1f} ms")


if __name__ == "__main__":
    main()

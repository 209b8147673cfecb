"""`make invoke FN=get_character EVENT=events/get_character.json`: runs one function on the running local stack.

The function's built artifact runs as a process on this machine under AWS's runtime client, with the environment and the
rights of the deployed function. The command prints the function's log and answer, and compares the answer with the
expected answer in the event file (events.py). Without EVENT, the event file is events/FN.json. Without FN, the command
lists all functions and event files. With --render, the command only prints the event, in the form for `sam local
invoke` and `sam remote invoke`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.lambda_ import events, functions
from local.lambda_.runtime import Outcome, Sandbox
from local.lambda_.seed import SeedFailed, Seeds
from local.settings import ROOT, Settings
from local.stack import lifecycle, sam


@dataclass(frozen=True)
class Case:
    """An event file with its placeholders filled in."""

    function: str
    event: Any
    expect: dict[str, Any]
    seeds: Seeds


@dataclass(frozen=True)
class Result:
    """The result of a case. `differences` is empty if the outcome is as expected."""

    outcome: Outcome
    init_milliseconds: float
    differences: list[str]


def case(settings: Settings, file: Path, function: str | None = None, *, message: bool = False) -> Case:
    """Read an event file and fill in its placeholders. With `message`, the file is the body of one message.

    Raises BadEventFile, NoSuchFunction and SeedFailed.
    """
    name = function or events.function_of(file)
    seeds = Seeds(settings)
    content = events.read(file)
    if message:
        content = {"messages": [content["event"]]}
    filled = events.fill(content, seeds.value)
    event = events.event(filled, functions.route(settings, name), lambda: seeds.value("caller"))
    return Case(name, event, filled.get("expect", {}), seeds)


def run(settings: Settings, one: Case) -> Result:
    """Run the function with the event, from a cold start, and compare the outcome with the expected outcome.

    Raises SeedFailed if the API call for `afterwards` fails.
    """
    with Sandbox(functions.load(settings, one.function)) as sandbox:
        outcome = sandbox.invoke(one.event)
        init = sandbox.init_milliseconds or 0.0
    return Result(outcome, init, differences(one, outcome))


def differences(one: Case, outcome: Outcome) -> list[str]:
    """Return a sentence for each difference between an outcome and the expected outcome.

    Raises SeedFailed if the API call for `afterwards` fails.
    """
    expect = one.expect
    error = (outcome.error or {}).get("errorType")
    if error != expect.get("error"):
        return [f"the function failed: {json.dumps(outcome.error)}" if error else "the function did not fail"]
    answer: dict[str, Any] = outcome.result if isinstance(outcome.result, dict) else {}
    found: list[str] = []
    if "status" in expect:
        found += events.differences(expect["status"], answer.get("statusCode"), "status")
    if "body" in expect:
        found += events.differences(expect["body"], json.loads(answer.get("body") or "null"), "body")
    if "answer" in expect:
        found += events.differences(expect["answer"], outcome.result, "answer")
    if "afterwards" in expect and not found:
        path = expect["afterwards"]["path"]
        found += events.differences(expect["afterwards"]["body"], one.seeds.call("GET", path), f"GET {path}")
    return found


def _tell(file: Path, result: Result) -> None:
    outcome = result.outcome
    sys.stderr.write(outcome.log)
    print(json.dumps(outcome.error or outcome.result, indent=2), flush=True)
    times = f"init {result.init_milliseconds:.0f} ms, {outcome.milliseconds:.0f} ms"
    print(f"{'NOT ok' if result.differences else 'ok'}  {_shown(file)}  ({times})", file=sys.stderr)
    for difference in result.differences:
        print(f"        {difference}", file=sys.stderr)


def _list() -> str:
    lines = ["make invoke FN=... [EVENT=...]\n"]
    for name in functions.names():
        lines += [name, *(f"    {_shown(file)}" for file in events.files(name))]
    return "\n".join(lines)


def _shown(file: Path) -> str:
    return str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file)


def _warn_if_stale(settings: Settings) -> None:
    deployed = settings.facts().get("sources")
    if deployed != sam.digest(settings.folder / "deployments.toml"):
        print(
            "Note: sources have changed since they were built; `make deploy-local` builds them again.", file=sys.stderr
        )


def main() -> None:
    """Run the command line. Exit with status 1 if the outcome is not the expected outcome."""
    parser = argparse.ArgumentParser(prog="make invoke")
    parser.add_argument("function", nargs="?", help="the function's folder; without one, what there is")
    parser.add_argument("event", nargs="?", type=Path, help="an event file; without one, events/FUNCTION.json")
    parser.add_argument("--render", action="store_true", help="only print the event, with its placeholders filled in")
    parser.add_argument("--message", action="store_true", help="the file is the body of one message: put it into one")
    given = parser.parse_args()
    if given.function is None:
        print(_list())
        return
    if given.function.endswith(".json") and given.event is None:  # FN left out
        given.event, given.function = Path(given.function), events.function_of(Path(given.function))
    settings = Settings.from_environment()
    lifecycle.url(settings)
    try:
        functions.logical_id(settings, given.function)  # first, for a better error message if the name is misspelt
        _warn_if_stale(settings)
        file = given.event or events.FOLDER / f"{given.function}.json"
        Seeds(settings).forget_stale()
        one = case(settings, file, given.function, message=given.message)
        if given.render:
            print(json.dumps(one.event, indent=2))
            return
        result = run(settings, one)
        _tell(file, result)
        sys.exit(1 if result.differences else 0)
    except (events.BadEventFile, functions.NoSuchFunction, SeedFailed) as error:
        raise SystemExit(f"\n{error}") from error


if __name__ == "__main__":
    main()

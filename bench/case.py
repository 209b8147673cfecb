"""A built function with an event of its own and the answers that the local AWS gives it on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bench.recording import NotRecorded, Player, Recording
from local.lambda_ import events, functions, invoke
from local.lambda_.runtime import Function, Outcome, Sandbox
from local.settings import Settings

TRIES = 3
T = TypeVar("T")


@dataclass(frozen=True)
class MeasuredCase:
    """`first` holds the answers of a cold start, `later` those of a warm call; without a case any answer is good."""

    name: str
    function: Function
    case: invoke.Case | None = None
    first: Recording = field(default_factory=Recording)
    later: Recording = field(default_factory=Recording)

    def start(self, player: Player) -> Sandbox:
        """A fresh sandbox of the function that asks the player."""
        return Sandbox(player.wire(self.function))

    def ask(self, sandbox: Sandbox, player: Player, recorded: Recording) -> Outcome:
        """Have it handle its event. Raises SystemExit when the answer is not what the event expects."""
        with player.playing(recorded, otherwise=self.first):
            outcome = sandbox.invoke(self.case.event if self.case else {})
        self.check(outcome)
        return outcome

    def check(self, outcome: Outcome) -> None:
        """Raises SystemExit when the outcome is not what the event expects."""
        if self.case and (differences := invoke.differences(self.case, outcome)):
            raise SystemExit(f"{self.name} did not answer as expected: {differences}\n{outcome.log}")


def again(measure: Callable[[], T]) -> T:
    """What `measure` returns, once the function keeps to its recording. Raises SystemExit when it never does."""
    for _ in range(TRIES):
        try:
            return measure()
        except NotRecorded as error:
            asked = error
    raise SystemExit(f"A function asks what it did not ask when it was recorded: {asked}")


def case_of(settings: Settings, name: str) -> invoke.Case:
    """The event of events/NAME.json, filled in."""
    return invoke.case(settings, events.FOLDER / f"{name}.json")


def record(settings: Settings, player: Player, name: str, case: invoke.Case, *, warm: bool = False) -> MeasuredCase:
    """Have the function handle the event with the local AWS behind the player: once, and with `warm` twice more.

    The event comes unchanged, so `warm` is for those that can be handled again. What a case expects of the API
    afterwards is looked at now; what is played later changes nothing there.
    """
    answer = {key: value for key, value in case.expect.items() if key != "afterwards"}
    subject = MeasuredCase(name, functions.load(settings, name), replace(case, expect=answer))
    with subject.start(player) as sandbox:
        with player.recording() as first:
            outcome = sandbox.invoke(case.event)
        replace(subject, case=case).check(outcome)
        if not warm:
            return replace(subject, first=first)
        subject.check(sandbox.invoke(case.event))  # the second call may still find something to load
        with player.recording() as later:
            subject.check(sandbox.invoke(case.event))
    return replace(subject, first=first, later=later)

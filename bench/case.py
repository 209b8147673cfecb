"""A built function with an event and the recorded answers of the local AWS."""

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
    """A function to measure.

    `first` holds the answers of AWS to a cold start, `later` those to a warm call. Without a case, the function's
    answer is not checked.
    """

    name: str
    function: Function
    case: invoke.Case | None = None
    first: Recording = field(default_factory=Recording)
    later: Recording = field(default_factory=Recording)

    def start(self, player: Player) -> Sandbox:
        """Return a new sandbox of the function, which sends its AWS calls to the player."""
        return Sandbox(player.wire(self.function))

    def ask(self, sandbox: Sandbox, player: Player, recorded: Recording) -> Outcome:
        """Run the function with its event. Raises SystemExit if the outcome is not as expected."""
        with player.playing(recorded, otherwise=self.first):
            outcome = sandbox.invoke(self.case.event if self.case else {})
        self.check(outcome)
        return outcome

    def check(self, outcome: Outcome) -> None:
        """Raise SystemExit if the outcome is not as expected."""
        if self.case and (differences := invoke.differences(self.case, outcome)):
            raise SystemExit(f"{self.name} did not answer as expected: {differences}\n{outcome.log}")


def again(measure: Callable[[], T]) -> T:
    """Return the result of `measure`, after up to two retries for a NotRecorded. Raises SystemExit after that."""
    for _ in range(TRIES):
        try:
            return measure()
        except NotRecorded as error:
            asked = error
    raise SystemExit(f"A function asks what it did not ask when it was recorded: {asked}")


def case_of(settings: Settings, name: str) -> invoke.Case:
    """Return the case of events/NAME.json, with its placeholders filled in."""
    return invoke.case(settings, events.FOLDER / f"{name}.json")


def record(settings: Settings, player: Player, name: str, case: invoke.Case, *, warm: bool = False) -> MeasuredCase:
    """Run the function with the event and record the answers of the local AWS: once, and with `warm` twice more.

    The event is the same each time, so `warm` is only for events that a function can handle again. The expectation
    `afterwards` is checked now, because later runs use the recording and change nothing on the stack.
    """
    answer = {key: value for key, value in case.expect.items() if key != "afterwards"}
    subject = MeasuredCase(name, functions.load(settings, name), replace(case, expect=answer))
    with subject.start(player) as sandbox:
        with player.recording() as first:
            outcome = sandbox.invoke(case.event)
        replace(subject, case=case).check(outcome)
        if not warm:
            return replace(subject, first=first)
        subject.check(sandbox.invoke(case.event))  # the second call may still load something, so it is not recorded
        with player.recording() as later:
            subject.check(sandbox.invoke(case.event))
    return replace(subject, first=first, later=later)

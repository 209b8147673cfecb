from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.fakes.clock import Clock
from understudy.deployments import circuits, routing
from understudy.deployments.config import Deployment, Deployments
from understudy.errors import InvalidRequest, NotFound, OutcomeUnknown, Reason, Refused


def deployment(name: str, *, weight: int = 1, provider: str = "openai", model: str = "m") -> Deployment:
    return Deployment(name, provider, f"https://{name}.example", {model: "x"}, weight=weight, default=name == "a")


def ids(found: list[Deployment]) -> list[str]:
    return [one.id for one in found]


class TestCandidates:
    GROUP = Deployments(
        [
            deployment("a", weight=3),
            deployment("b"),
            deployment("retired", weight=0),
            deployment("other", provider="azure"),
            deployment("elsewhere", model="n"),
        ]
    )

    def test_everybody_who_serves_the_model_and_takes_new_work(self) -> None:
        assert sorted(ids(routing.candidates(self.GROUP, "m"))) == ["a", "b", "other"]

    def test_the_homes_of_characters_go_first_in_their_order(self) -> None:
        for _ in range(20):
            assert ids(routing.candidates(self.GROUP, "m", homes=["other", "b"]))[:2] == ["other", "b"]

    def test_a_retired_home_still_serves_its_characters(self) -> None:
        assert ids(routing.candidates(self.GROUP, "m", homes=["retired"]))[0] == "retired"

    def test_a_home_that_does_not_serve_the_model_counts_for_nothing(self) -> None:
        assert sorted(ids(routing.candidates(self.GROUP, "m", homes=["elsewhere", "gone"]))) == ["a", "b", "other"]

    def test_a_provider_only_narrows(self) -> None:
        assert ids(routing.candidates(self.GROUP, "m", provider="azure")) == ["other"]
        with pytest.raises(InvalidRequest) as caught:
            routing.candidates(self.GROUP, "m", provider="gemini")
        assert caught.value.param == "custom_llm_provider"

    def test_a_model_that_nobody_serves(self) -> None:
        with pytest.raises(NotFound) as caught:
            routing.candidates(self.GROUP, "dall-e")
        assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
        assert "m, n" in caught.value.message

    def test_a_model_that_takes_no_new_work(self) -> None:
        with pytest.raises(InvalidRequest):
            routing.candidates(Deployments([deployment("a", weight=0)]), "m")


class TestWeights:
    def draws(self, monkeypatch: pytest.MonkeyPatch, *weights: int, count: int = 4000) -> list[list[str]]:
        monkeypatch.setattr(routing, "random", random.Random(20261122))
        group = Deployments([deployment(chr(97 + i), weight=weight) for i, weight in enumerate(weights)])
        return [ids(routing.candidates(group, "m")) for _ in range(count)]

    @pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 9), (5, 3, 2), (1000, 1)])
    def test_new_work_is_shared_by_weight(self, monkeypatch: pytest.MonkeyPatch, weights: tuple[int, ...]) -> None:
        draws = self.draws(monkeypatch, *weights)
        first = Counter(draw[0] for draw in draws)
        for i, weight in enumerate(weights):
            assert first[chr(97 + i)] / len(draws) == pytest.approx(weight / sum(weights), abs=0.03)

    def test_the_others_follow_by_weight_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        draws = [draw for draw in self.draws(monkeypatch, 1, 3, 1) if draw[0] == "a"]
        assert sum(draw[1] == "b" for draw in draws) / len(draws) == pytest.approx(3 / 4, abs=0.06)

    def test_no_deployment_is_chosen_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert all(sorted(draw) == ["a", "b", "c"] for draw in self.draws(monkeypatch, 1, 2, 3, count=200))


BUSY = Refused(Reason.BUSY, "busy")


@pytest.mark.usefixtures("aws_stack")
class TestTurns:
    """Each deployment is asked once; a refusal that leads to the next deployment opens a circuit."""

    A, B, C = deployment("a"), deployment("b"), deployment("c")

    def ask(self, answers: dict[str, Exception], *options: Deployment) -> tuple[str | Exception, list[str]]:
        """Return the deployment that accepted or the error, and the deployments that were asked."""
        asked: list[str] = []

        def ask(option: Deployment) -> None:
            asked.append(option.id)
            if option.id in answers:
                raise answers[option.id]

        try:
            return routing.try_in_turn(list(options), lambda one: one, ask).id, asked
        except Exception as error:
            return error, asked

    @pytest.mark.parametrize("reason", [reason for reason in Reason if Refused(reason, "").movable])
    def test_a_refusal_that_moves_goes_to_the_next_and_opens_the_circuit(self, clock: Clock, reason: Reason) -> None:
        assert self.ask({"a": Refused(reason, "no")}, self.A, self.B) == ("b", ["a", "b"])
        assert self.ask({}, self.A, self.B) == ("b", ["b"])

    @pytest.mark.parametrize("reason", [reason for reason in Reason if not Refused(reason, "").movable])
    def test_another_refusal_ends_it_and_says_nothing_against_the_deployment(
        self, clock: Clock, reason: Reason
    ) -> None:
        refused = Refused(reason, "no")
        assert self.ask({"a": refused}, self.A, self.B) == (refused, ["a"])
        assert self.ask({}, self.A, self.B) == ("a", ["a"])

    def test_an_unknown_outcome_never_moves(self, clock: Clock) -> None:
        unknown = OutcomeUnknown("lost")
        assert self.ask({"a": unknown}, self.A, self.B) == (unknown, ["a"])
        assert self.ask({}, self.A, self.B) == ("a", ["a"])

    def test_each_is_asked_once_and_the_last_refusal_counts(self, clock: Clock) -> None:
        last = Refused(Reason.ARREARS, "no money")
        assert self.ask({"a": BUSY, "b": BUSY, "c": last}, self.A, self.B, self.C) == (last, ["a", "b", "c"])

    def test_when_all_circuits_are_open_the_first_is_asked_anyway(self, clock: Clock) -> None:
        self.ask({"a": BUSY, "b": BUSY}, self.A, self.B)
        assert self.ask({}, self.A, self.B) == ("a", ["a"])
        assert self.ask({"a": BUSY}, self.A, self.B) == (BUSY, ["a"])

    def test_alone_there_is_no_circuit(self, clock: Clock) -> None:
        assert self.ask({"a": BUSY}, self.A) == (BUSY, ["a"])
        assert self.ask({}, self.A, self.B) == ("a", ["a"])

    def test_a_circuit_closes_when_its_deployment_is_back(self, clock: Clock) -> None:
        self.ask({"a": BUSY}, self.A, self.B)
        clock.advance(circuits.OPEN_SECONDS - 1)
        assert self.ask({}, self.A, self.B) == ("b", ["b"])
        clock.advance(6)
        assert self.ask({}, self.A, self.B) == ("a", ["a"])
        assert self.ask({}, self.A, self.B) == ("a", ["a"])

    def test_and_opens_again_when_it_is_not(self, clock: Clock) -> None:
        self.ask({"a": BUSY}, self.A, self.B)
        clock.advance(circuits.OPEN_SECONDS + 1)
        assert self.ask({"a": BUSY}, self.A, self.B) == ("b", ["a", "b"])
        clock.advance(6)
        assert self.ask({}, self.A, self.B) == ("b", ["b"])

    def test_a_circuit_is_seen_by_other_environments(self, clock: Clock) -> None:
        from tests.unit.conftest import cold_start

        self.ask({"a": BUSY}, self.A, self.B)
        cold_start()
        assert self.ask({}, self.A, self.B) == ("b", ["b"])


def test_the_pace(configure: Callable[[str], None]) -> None:
    assert routing.pace(deployment("a"), "m") == 5.0
    assert routing.pace(Deployment("a", "openai", "https://a", {}, poll_seconds=1.5), "m") == 1.5

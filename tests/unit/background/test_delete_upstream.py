"""Deletions at providers: each is tried for a day, and then the operator is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Answering, Upstream, lose, refuse
from understudy.background import delete_upstream
from understudy.errors import Reason, Refused
from understudy.providers.base import Account, NativeCharacter
from understudy.providers.openai import OpenAI
from understudy.store import executions

HOST = "solo.example"
HOUR = 3600


@pytest.fixture
def attention(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the operator is told."""
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(delete_upstream, "needs_attention", lambda what, _, **facts: told.append((what, facts)))
    return told


@pytest.fixture
def video(stage: Stage, upstream: Upstream) -> str:
    """A video at the provider that is to be deleted there."""
    upstream.has_video(HOST, "video_9")
    executions.delete_video("solo", "solo", "video_9")
    return "video_9"


@pytest.mark.usefixtures("video")
class TestVideo:
    def test_it_is_deleted(self, stage: Stage, upstream: Upstream) -> None:
        stage.run()
        assert upstream.videos == {}
        assert stage.executions.running == stage.executions.failed == []

    @pytest.mark.parametrize("trouble", [refuse(503), refuse(500), refuse(401), lose(httpx.ConnectError), lose()])
    def test_a_provider_that_is_away_for_hours(
        self, stage: Stage, upstream: Upstream, attention: list[Any], trouble: Answering
    ) -> None:
        upstream.rules["DELETE", HOST, ""] = trouble
        stage.run(20 * HOUR)
        assert upstream.videos
        upstream.rules.clear()
        stage.run()
        assert upstream.videos == {}
        assert attention == []

    def test_after_a_day_the_operator_is_told(self, stage: Stage, upstream: Upstream, attention: list[Any]) -> None:
        upstream.rules["DELETE", HOST, ""] = refuse(503)
        steps = stage.run(3 * 24 * HOUR)
        assert attention == [("deletion_failed", {"delete": "video", "deployment": "solo", "reference": "video_9"})]
        assert stage.executions.running == []
        assert steps < 130  # with growing pauses

    def test_an_error_of_ours_is_told(
        self, stage: Stage, upstream: Upstream, attention: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(provider: OpenAI, account: Account, reference: str) -> None:
            raise TypeError("of ours")

        monkeypatch.setattr(OpenAI, "delete", broken)
        stage.run()
        assert [what for what, _ in attention] == ["deletion_failed"]
        (given_up,) = stage.executions.failed
        assert given_up.stopped_by == "GivenUp"

    def test_a_deployment_that_is_gone(self, stage: Stage, upstream: Upstream, configure: Any, toml: str) -> None:
        configure(toml.replace("[deployments.solo]", "[deployments.other]"))
        stage.run()
        assert stage.executions.running == stage.executions.failed == []


class TestCharacterInTheMaking:
    @pytest.fixture(autouse=True)
    def polled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[NativeCharacter | Refused] = []
        self.deleted: list[str] = []

        def poll(provider: OpenAI, account: Account, reference: str) -> NativeCharacter:
            assert reference == "task_1"
            state = self.states.pop(0)
            if isinstance(state, Refused):
                raise state
            return state

        def delete(provider: OpenAI, account: Account, reference: str) -> None:
            self.deleted.append(reference)

        profile = OpenAI.profile

        def deletable(*given: Any) -> Any:
            known = profile(*given)
            return replace(known, characters=replace(known.characters, deletable=True))

        monkeypatch.setattr(OpenAI, "profile", deletable)
        monkeypatch.setattr(OpenAI, "poll_character", poll)
        monkeypatch.setattr(OpenAI, "delete_character", delete, raising=False)

    def test_it_is_deleted_once_it_is_made(self, stage: Stage, upstream: Upstream) -> None:
        made = NativeCharacter("char_1", ready=True)
        self.states = [
            NativeCharacter("task_1", ready=False),
            Refused(Reason.BUSY, "later"),
            NativeCharacter("task_1", ready=False),
            made,
        ]
        executions.delete_character("solo", "task_1", pending=True)
        stage.run()
        assert self.deleted == ["char_1"]
        assert stage.executions.failed == []

    def test_one_that_was_never_made_needs_no_deletion(self, stage: Stage, upstream: Upstream) -> None:
        self.states = [Refused(Reason.NOT_FOUND, "failed")]
        executions.delete_character("solo", "task_1", pending=True)
        stage.run()
        assert self.deleted == []
        assert stage.executions.running == stage.executions.failed == []

"""The provider's own id of a character: made when needed, by one maker, and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import httpx
import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Answering, Upstream, answer, lose, refuse
from understudy.characters import handles
from understudy.characters.character import Character
from understudy.characters.handles import Handle
from understudy.deployments import upstream_ids
from understudy.deployments.config import Deployment, deployments
from understudy.errors import OutcomeUnknown, ProviderError, Reason, Refused
from understudy.ids import Kind
from understudy.providers.base import Account, NativeCharacter
from understudy.providers.openai import OpenAI
from understudy.store import bucket, table


@pytest.fixture
def luna(stage: Stage, upstream: Upstream) -> Character:
    """A character whose home is another deployment."""
    stage.character()
    (found,) = Character.page("blue", limit=1, newest_first=True, after=None)
    upstream.heard.clear()
    return found


@pytest.fixture
def solo(stage: Stage) -> Deployment:
    return deployments().get("solo")


def ensure(stage: Stage, luna: Character, solo: Deployment) -> Handle | Exception:
    try:
        return handles.ensure(luna, solo, stage.clock.now + 20)
    except (Refused, OutcomeUnknown) as error:
        return error


def state(luna: Character, solo: Deployment) -> str | None:
    handle = handles.find(luna, solo)
    return handle.state if handle else None


def test_it_is_made_once_and_kept(stage: Stage, upstream: Upstream, luna: Character, solo: Deployment) -> None:
    assert handles.find(luna, solo) is None
    for _ in range(3):
        handle = ensure(stage, luna, solo)
        assert isinstance(handle, Handle)
        assert (handle.ready, handle.reference) == (True, "char_solo.example_1")
    assert len(upstream.heard) == 1
    assert upstream.heard[0].body["name"] == "Luna"


def test_whose_the_providers_id_is_is_written_with_it(
    stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
) -> None:
    stage.edges.touched.clear()
    handle = ensure(stage, luna, solo)
    assert isinstance(handle, Handle)
    origin = upstream_ids.find(Kind.CHARACTER, "solo", handle.reference or "")
    assert origin == upstream_ids.Origin("blue", luna.id)
    assert stage.edges.touched.count("TransactWriteItems") == 1


@pytest.mark.parametrize("passing", [refuse(429), refuse(503), refuse(401), lose(httpx.ConnectError)])
def test_a_refusal_that_passes_leaves_nothing(
    stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, passing: Answering
) -> None:
    upstream.script += [passing]
    assert isinstance(ensure(stage, luna, solo), Refused)
    assert state(luna, solo) is None
    assert isinstance(ensure(stage, luna, solo), Handle)


def test_a_character_that_the_provider_lost_is_not_remembered(
    stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def lost(*_: Any) -> NativeCharacter:
            raise Refused(Reason.LOST, "Character not found.")

        patch.setattr(OpenAI, "make_character", lost)
        assert isinstance(refused := ensure(stage, luna, solo), Refused)
        assert refused.reason is Reason.LOST
    assert state(luna, solo) is None
    assert isinstance(ensure(stage, luna, solo), Handle)


def test_a_refusal_of_an_earlier_version_has_no_reason(stage: Stage, luna: Character, solo: Deployment) -> None:
    key = table.handle_key("blue", luna.id, "solo")
    table.put(key, {"deployment": "solo", "state": "refused", "message": "No people.", "code": "moderation_blocked"})
    assert isinstance(refused := ensure(stage, luna, solo), Refused)
    assert (refused.reason, refused.message) == (Reason.MODERATION, "No people.")


def test_a_step_that_is_repeated_is_refused_again(
    stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
) -> None:
    upstream.script.append(refuse(422, "bad_clip", "Too dark."))
    assert isinstance(ensure(stage, luna, solo), Refused)
    with pytest.raises(Refused, match="Too dark"):
        handles.introduce(luna, solo, stage.clock.now + 20)
    assert len(upstream.heard) == 1


@pytest.mark.parametrize(
    ("final", "reason"),
    [
        (refuse(400, "moderation_blocked", "No people."), Reason.MODERATION),
        (refuse(422, "bad_clip", "Too dark."), Reason.INVALID),
    ],
)
def test_a_refusal_that_stays_is_remembered(
    stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, final: Answering, reason: Reason
) -> None:
    upstream.script.append(final)
    first = ensure(stage, luna, solo)
    assert isinstance(first, Refused)
    for _ in range(2):
        again = ensure(stage, luna, solo)
        assert isinstance(again, Refused)
        assert (again.reason, again.message, again.code) == (reason, first.message, first.code)
    assert state(luna, solo) == "refused"
    assert len(upstream.heard) == 1


@pytest.mark.parametrize("lost", [lose(), refuse(500), answer(200, "<html>"), answer(200, b'{"id": null}')])
def test_a_lost_answer_is_remembered_and_a_new_one_made_at_the_next_use(
    stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, lost: Answering
) -> None:
    upstream.script.append(lost)
    assert isinstance(ensure(stage, luna, solo), OutcomeUnknown)
    assert state(luna, solo) == "unknown"
    assert isinstance(ensure(stage, luna, solo), Handle)
    assert len(upstream.heard) == 2


class TestOneMaker:
    def test_the_row_is_there_before_the_call(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        seen: list[Any] = []

        def look(request: httpx.Request) -> httpx.Response:
            seen.append(state(luna, solo))
            seen.append(ensure(stage, luna, solo))
            return upstream.serve(request)

        upstream.script.append(look)
        handle = ensure(stage, luna, solo)
        assert isinstance(handle, Handle)
        assert handle.ready
        assert seen[0] == "making"
        assert (seen[1].state, seen[1].ready) == ("making", False)
        assert len(upstream.heard) == 1

    def test_of_two_at_the_same_moment_one_makes_it(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second maker writes between the first maker's look and its write; only one calls the provider."""
        begin = handles._begin

        def late(*given: Any) -> None:
            monkeypatch.setattr(handles, "_begin", begin)
            assert isinstance(ensure(stage, luna, solo), Handle)
            begin(*given)

        monkeypatch.setattr(handles, "_begin", late)
        handle = ensure(stage, luna, solo)
        assert isinstance(handle, Handle)
        assert not handle.ready
        assert len(upstream.heard) == 1

    def test_a_maker_that_died_is_followed_by_another(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        lease = int(stage.clock.now) + handles.MAKE_SECONDS
        table.put(
            table.handle_key("blue", luna.id, "solo"), {"deployment": "solo", "state": "making", "lease_until": lease}
        )
        waiting = ensure(stage, luna, solo)
        assert isinstance(waiting, Handle)
        assert not waiting.ready
        stage.clock.advance(handles.MAKE_SECONDS + 1)
        assert isinstance(made := ensure(stage, luna, solo), Handle)
        assert made.ready

    def test_a_step_that_is_repeated_does_not_make_what_may_exist(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        table.put(
            table.handle_key("blue", luna.id, "solo"), {"deployment": "solo", "state": "making", "lease_until": 1}
        )
        assert handles.introduce(luna, solo, stage.clock.now + 20).state == "unknown"
        assert handles.introduce(luna, solo, stage.clock.now + 20).state == "unknown"
        assert upstream.heard == []


def deletions(stage: Stage) -> list[dict[str, Any]]:
    """The deletions of native characters that were started."""
    return [one for one in stage.executions.deletions if one["delete"] == "character"]


class TestDeletedDuringTheMaking:
    """The native character of a character that its owner deletes meanwhile does not stay at the provider."""

    GONE: ClassVar[dict[str, str]] = {"delete": "character", "deployment": "solo", "reference": "char_solo.example_1"}

    @pytest.fixture(autouse=True)
    def without_the_home(self, stage: Stage, luna: Character) -> None:
        """Leave only the handle that a test makes."""
        table.delete(table.handle_key("blue", luna.id, "one"))

    def deleting(self, luna: Character, upstream: Upstream) -> Answering:
        """An answer before which the owner deletes the character."""

        def delete_and_serve(request: httpx.Request) -> httpx.Response:
            luna.delete()
            return upstream.serve(request)

        return delete_and_serve

    def test_the_native_character_is_deleted_again(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        upstream.script.append(self.deleting(luna, upstream))
        handle = ensure(stage, luna, solo)
        assert isinstance(handle, Handle)
        assert not handle.ready
        assert deletions(stage) == [self.GONE]
        assert state(luna, solo) is None
        origin = upstream_ids.find(Kind.CHARACTER, "solo", self.GONE["reference"])
        assert origin == upstream_ids.Origin("blue", luna.id)  # no other team can claim the id

    @pytest.mark.parametrize("lost", [refuse(400, "moderation_blocked", "No people."), refuse(429), refuse(500)])
    def test_after_a_refusal_nothing_is_kept(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, lost: Answering
    ) -> None:
        def delete_and_refuse(request: httpx.Request) -> httpx.Response:
            luna.delete()
            return lost(request)

        upstream.script.append(delete_and_refuse)
        assert isinstance(ensure(stage, luna, solo), Refused | OutcomeUnknown)
        assert state(luna, solo) is None

    def test_a_maker_that_begins_after_the_deletion(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        """The maker has read the character, the owner deletes it, and only then the maker writes its row."""
        luna.delete()
        handle = ensure(stage, luna, solo)
        assert isinstance(handle, Handle)
        assert not handle.ready
        assert upstream.heard == []
        assert state(luna, solo) is None

    def test_a_deletion_that_broke_off_after_the_character(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        def delete_row_and_serve(request: httpx.Request) -> httpx.Response:
            table.delete(luna.key)
            return upstream.serve(request)

        upstream.script.append(delete_row_and_serve)
        handle = ensure(stage, luna, solo)
        assert isinstance(handle, Handle)
        assert not handle.ready
        assert deletions(stage) == [self.GONE]
        assert state(luna, solo) is None

    def test_a_maker_that_begins_during_the_deletion(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The handle is written after the deletion has listed the handles, and before it deletes the character."""
        delete_all = bucket.delete_all

        def late(prefix: str) -> None:
            assert isinstance(ensure(stage, luna, solo), Handle)
            delete_all(prefix)

        monkeypatch.setattr(bucket, "delete_all", late)
        luna.delete()
        assert deletions(stage) == [self.GONE]
        assert state(luna, solo) is None

    def test_a_handle_that_is_written_while_it_is_deleted(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The deletion reads a handle in the making; then the maker writes its reference; then the row is deleted."""
        delete, seen = table.delete, []

        def answered_first(key: table.Key, **named: Any) -> None:
            if not seen and key.sk.startswith("handle#"):
                seen.append(key)
                row = {"state": "ready", "reference": self.GONE["reference"]}
                table.update(key, row, expect={"state": "making"})
            delete(key, **named)

        table.put(
            table.handle_key("blue", luna.id, "solo"), {"deployment": "solo", "state": "making", "lease_until": 1}
        )
        monkeypatch.setattr(table, "delete", answered_first)
        luna.delete()
        assert deletions(stage) == [self.GONE]
        assert state(luna, solo) is None

    def test_a_maker_that_was_taken_for_dead(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment
    ) -> None:
        """Another maker has begun anew: the row keeps the native character of one, and the other's is deleted."""
        handles_made: list[Handle | Exception] = []

        def slow(request: httpx.Request) -> httpx.Response:
            stage.clock.advance(handles.MAKE_SECONDS + 1)
            handles_made.append(ensure(stage, luna, solo))
            return upstream.serve(request)

        upstream.script.append(slow)
        late = handles.ensure(luna, solo, stage.clock.now + 2 * handles.MAKE_SECONDS)
        (first,) = handles_made
        assert isinstance(first, Handle)
        assert first.reference == late.reference == "char_solo.example_1"
        assert [one["reference"] for one in deletions(stage)] == ["char_solo.example_2"]

    def test_a_create_call_whose_character_is_deleted_at_once(
        self, stage: Stage, upstream: Upstream, luna: Character
    ) -> None:
        def delete_newest(request: httpx.Request) -> httpx.Response:
            (newest,) = Character.page("blue", limit=1, newest_first=True, after=None)
            newest.delete()
            return upstream.serve(request)

        upstream.script.append(delete_newest)
        assert stage.character("Moss")
        assert len(deletions(stage)) == 1


class TestSlow:
    """A provider that needs time is asked again by the reference that it returned."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        self.answers: list[NativeCharacter | Exception] = []
        asked: list[str] = []

        def poll(provider: OpenAI, account: Account, reference: str) -> NativeCharacter:
            asked.append(reference)
            found = self.answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        make: Callable[..., NativeCharacter] = OpenAI.make_character
        monkeypatch.setattr(OpenAI, "make_character", lambda *given: replace(make(*given), ready=False))
        monkeypatch.setattr(OpenAI, "poll_character", poll)
        return asked

    def test_pending_then_ready(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, asked: list[str]
    ) -> None:
        self.answers += [NativeCharacter("task", ready=False), NativeCharacter("element")]
        found = [ensure(stage, luna, solo) for _ in range(4)]
        states = [(handle.state, handle.reference) for handle in found if isinstance(handle, Handle)]
        assert states == [
            ("pending", "char_solo.example_1"),
            ("pending", "task"),
            ("ready", "element"),
            ("ready", "element"),
        ]
        assert asked == ["char_solo.example_1", "task"]
        assert len(upstream.heard) == 1

    @pytest.mark.parametrize(
        "passing", [Refused(Reason.BUSY, "x"), Refused(Reason.CREDENTIALS, "x"), OutcomeUnknown("x")]
    )
    def test_a_provider_that_is_away_says_nothing_of_the_character(
        self, stage: Stage, luna: Character, solo: Deployment, asked: list[str], passing: Exception
    ) -> None:
        self.answers += [passing, NativeCharacter("element")]
        found = [ensure(stage, luna, solo) for _ in range(3)]
        assert [handle.state for handle in found if isinstance(handle, Handle)] == ["pending", "pending", "ready"]

    @pytest.mark.parametrize("passing", [Refused(Reason.BUSY, "x", retry_after="77"), OutcomeUnknown("x")])
    def test_nobody_asks_before_the_provider_wants_to_be_asked(
        self, stage: Stage, luna: Character, solo: Deployment, asked: list[str], passing: ProviderError
    ) -> None:
        self.answers += [passing, NativeCharacter("element")]
        for _ in range(2):
            ensure(stage, luna, solo)
        stage.clock.advance(passing.pause - 1)
        found = ensure(stage, luna, solo)
        assert isinstance(found, Handle)
        assert (found.ready, len(asked)) == ((False, 1) if passing.pause else (True, 2))
        stage.clock.advance(2)
        assert state(luna, solo) == ("pending" if passing.pause else "ready")
        assert isinstance(found := ensure(stage, luna, solo), Handle)
        assert found.ready

    def test_one_that_is_refused_after_all(
        self, stage: Stage, luna: Character, solo: Deployment, asked: list[str]
    ) -> None:
        self.answers.append(Refused(Reason.MODERATION, "No people.", code="moderation_blocked"))
        ensure(stage, luna, solo)
        assert isinstance(ensure(stage, luna, solo), Refused)
        assert state(luna, solo) == "refused"

    def test_one_that_is_deleted_while_it_is_polled(
        self, stage: Stage, luna: Character, solo: Deployment, asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answers.append(NativeCharacter("element"))
        ensure(stage, luna, solo)
        call = handles.call_provider

        def delete_and_call(*given: Any) -> Any:
            luna.delete()
            return call(*given)

        monkeypatch.setattr(handles, "call_provider", delete_and_call)
        assert isinstance(found := ensure(stage, luna, solo), Handle)
        assert not found.ready
        gone = [
            (one["reference"], one.get("pending", False)) for one in deletions(stage) if one["deployment"] == "solo"
        ]
        assert gone == [("char_solo.example_1", True), ("element", False)]
        assert state(luna, solo) is None

    def test_two_pollers_at_the_same_moment_delete_nothing(
        self, stage: Stage, luna: Character, solo: Deployment, asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answers += [NativeCharacter("element")] * 2
        ensure(stage, luna, solo)
        call = handles.call_provider

        def poll_twice(*given: Any) -> Any:
            monkeypatch.setattr(handles, "call_provider", call)
            assert isinstance(ensure(stage, luna, solo), Handle)
            return call(*given)

        monkeypatch.setattr(handles, "call_provider", poll_twice)
        assert isinstance(found := ensure(stage, luna, solo), Handle)
        assert (found.ready, found.reference) == (True, "element")
        assert deletions(stage) == []

    @pytest.mark.parametrize("lost", [Reason.NOT_FOUND, Reason.LOST])
    def test_one_that_was_lost_there_is_made_again(
        self, stage: Stage, upstream: Upstream, luna: Character, solo: Deployment, asked: list[str], lost: Reason
    ) -> None:
        self.answers.append(Refused(lost, "unknown"))
        ensure(stage, luna, solo)
        assert isinstance(refused := ensure(stage, luna, solo), Refused)
        assert refused.reason is Reason.LOST
        assert state(luna, solo) is None
        ensure(stage, luna, solo)
        assert len(upstream.heard) == 2

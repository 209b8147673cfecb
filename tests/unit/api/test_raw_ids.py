"""Ids that a provider or LiteLLM returned: who may use them, what they become, and which deployments are asked."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.fakes.edges import Killed
from tests.fakes.stage import Form, Reply, Stage
from tests.fakes.upstream import Upstream, lose, refuse
from understudy.access import keys
from understudy.access.keys import Limits
from understudy.deployments import upstream_ids
from understudy.ids import Kind, ManagedId, new_record
from understudy.jobs import budget, transitions
from understudy.jobs.job import Job
from understudy.store import secrets, table

VIDEO, CHARACTER = "video_xyz789", "char_abc123"
HOST = "solo.example"
SOLO = ("raw_ids:solo",)


@pytest.fixture(autouse=True)
def scoped(stage: Stage) -> None:
    """Sign in with a key that may use the ids of the deployment `solo`."""
    stage.sign_in("blue", scopes=SOLO)


def litellm(
    original: str, kind: str = "video", *, model: str = "solo", provider: str = "openai", more: str = ""
) -> str:
    """Return an id as LiteLLM 1.109.1 wraps it."""
    plain = f"litellm:custom_llm_provider:{provider};model_id:{model};{kind}_id:{original}{more}"
    return f"{kind}_{base64.b64encode(plain.encode()).decode()}"


def get_video(stage: Stage, text: str) -> Reply:
    return stage.call("get_video", path={"video_id": text})


def get_character(stage: Stage, text: str) -> Reply:
    return stage.call("get_character", path={"character_id": text})


def record_of(public_id: str, kind: Kind, team: str = "blue") -> str:
    """Decode a managed id of the team and return its record; raise an error for any other id."""
    return secrets.id_codec().decode(public_id, kind, team=team).record


def adopted(stage: Stage) -> Job:
    """Return the only job of the team."""
    (job,) = Job.page("blue", limit=10, newest_first=True, after=None)
    return job


class TestVideos:
    def test_it_is_in_progress_until_the_provider_was_asked(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        first = get_video(stage, VIDEO)
        assert (first.status, first.body["status"], first.body["prompt"]) == (200, "in_progress", None)
        assert upstream.heard == []
        assert first.headers["openai-poll-after-ms"] == "5000"
        stage.work()
        now = get_video(stage, VIDEO).body
        assert now["status"] == "completed"
        assert now["id"] == first.body["id"]
        record_of(now["id"], Kind.VIDEO)
        assert stage.show(now["id"]) == now

    def test_a_finished_one_is_fetched_like_any_other(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        public_id = get_video(stage, VIDEO).body["id"]
        stage.run()
        for text in (VIDEO, public_id):
            for variant in ("video", "thumbnail"):
                reply = stage.call("get_content", path={"video_id": text}, query={"variant": variant})
                assert reply.status == 302
        assert [one["id"] for one in stage.listed()] == [public_id]

    def test_one_that_still_runs_is_waited_for(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO, status="in_progress", progress=40)
        get_video(stage, VIDEO)
        stage.work()
        running = get_video(stage, VIDEO).body
        assert (running["status"], running["progress"]) == ("in_progress", 40)
        assert (running["seconds"], running["size"]) == ("8", "1280x720")
        upstream.finish()
        stage.run()
        assert get_video(stage, VIDEO).body["status"] == "completed"

    def test_one_that_failed_there_says_why(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO, status="failed", error={"code": "moderation_blocked", "message": "no"})
        get_video(stage, VIDEO)
        stage.run()
        failed = get_video(stage, VIDEO).body
        assert (failed["status"], failed["error"]["code"]) == ("failed", "moderation_blocked")

    @pytest.mark.parametrize(
        "no", [refuse(404), refuse(400, "invalid_id"), refuse(410)], ids=["unknown", "unreadable", "gone"]
    )
    def test_one_that_the_provider_does_not_know_fails_at_once(
        self, stage: Stage, upstream: Upstream, no: Callable[[httpx.Request], httpx.Response]
    ) -> None:
        upstream.rules["GET", "*", VIDEO] = no
        public_id = get_video(stage, VIDEO).body["id"]
        stage.run()
        assert len(upstream.heard) == 1
        for text in (VIDEO, public_id):  # whoever polls comes to an end, by either id
            failed = get_video(stage, text).body
            assert (failed["status"], failed["error"]["code"]) == ("failed", "video_not_found")
        assert len(stage.listed()) == 1
        assert len(upstream.heard) == 1

    def test_deleting_such_a_one_frees_the_id(self, stage: Stage, upstream: Upstream) -> None:
        get_video(stage, VIDEO)
        stage.run()
        assert stage.call("delete_video", path={"video_id": VIDEO}).status == 200
        stage.run()
        assert [one.method for one in upstream.heard] == ["GET"]  # nothing was deleted where nothing was known
        upstream.has_video(HOST, VIDEO)
        assert get_video(stage, VIDEO).body["status"] == "in_progress"
        stage.run()
        assert get_video(stage, VIDEO).body["status"] == "completed"

    def test_deleting_a_finished_one_deletes_it_there_too_and_for_good(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        public_id = get_video(stage, VIDEO).body["id"]
        stage.run()
        deleted = stage.call("delete_video", path={"video_id": VIDEO})
        assert deleted.body == {"id": public_id, "object": "video.deleted", "deleted": True}
        stage.run()
        assert upstream.videos == {}
        upstream.heard.clear()
        assert get_video(stage, VIDEO).status == get_video(stage, public_id).status == 404
        assert (upstream.heard, stage.executions.running) == ([], [])

    def test_a_provider_that_is_away_is_asked_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        upstream.script += [refuse(503), lose(), refuse(500)]
        get_video(stage, VIDEO)
        stage.run()
        assert get_video(stage, VIDEO).body["status"] == "completed"

    def test_one_that_cannot_be_asked_about_ends_at_the_deadline(self, stage: Stage, upstream: Upstream) -> None:
        upstream.rules["GET", "*", VIDEO] = refuse(503)
        get_video(stage, VIDEO)
        stage.run()
        failed = get_video(stage, VIDEO).body
        assert (failed["status"], failed["error"]["code"]) == ("failed", "provider_timeout")

    def test_it_is_lost_like_any_other_once_it_was_known(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO, status="in_progress")
        get_video(stage, VIDEO)
        stage.work()
        upstream.videos.clear()
        stage.run()
        assert get_video(stage, VIDEO).body["error"]["code"] == "provider_lost_video"

    @pytest.mark.parametrize(
        ("said", "shown"), [("sora-2-pro", "pro"), ("sora-2", "solo"), ("sora-9", "solo"), (5, "solo")]
    )
    def test_the_model_is_the_one_that_the_provider_says(
        self, stage: Stage, upstream: Upstream, configure: Any, toml: str, said: Any, shown: str
    ) -> None:
        configure(toml.replace('{ "solo" = "sora-2" }', '{ "solo" = "sora-2", "pro" = "sora-2-pro" }'))
        upstream.has_video(HOST, VIDEO, model=said)
        get_video(stage, VIDEO)
        stage.run()
        assert get_video(stage, VIDEO).body["model"] == shown

    def test_nothing_is_paid_and_no_slot_is_taken(self, stage: Stage, upstream: Upstream) -> None:
        caller = stage.sign_in("blue", scopes=SOLO, limits=Limits(concurrent=1, budget=0))
        upstream.has_video(HOST, VIDEO)
        upstream.has_video(HOST, "video_other")
        assert get_video(stage, VIDEO).status == get_video(stage, "video_other").status == 200
        assert (table.get(table.slots_key(caller.key_id)) or {})["open"] == {}
        stage.run()
        assert [one["status"] for one in stage.listed()] == ["completed", "completed"]
        assert list(table.each(table.Key(f"key#{caller.key_id}", ""), "budget#")) == []
        assert list(table.each(table.Key("team#blue", ""), "entry#")) == []
        assert not budget.drop_expired(caller.key_id)

    def test_only_what_is_new_counts_as_a_call(self, stage: Stage, upstream: Upstream) -> None:
        stage.sign_in("blue", scopes=SOLO, limits=Limits(requests_per_minute=1))  # ten that touch something
        for n in range(10):
            assert get_video(stage, f"video_{n}").status == 200
            assert get_video(stage, f"video_{n}").status == 200
        refused = get_video(stage, "video_10")
        assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
        assert len(stage.listed()) == 10

    def test_a_revoked_key_brings_nothing_new(self, stage: Stage, upstream: Upstream) -> None:
        keys.revoke(stage.caller.key_id)
        assert get_video(stage, VIDEO).status == 401
        assert stage.executions.running == []

    @pytest.mark.parametrize("n", range(8))
    def test_a_death_on_the_way_leaves_nothing_half_done(self, stage: Stage, upstream: Upstream, n: int) -> None:
        upstream.has_video(HOST, VIDEO)
        stage.edges.fatal = n
        with contextlib.suppress(Killed):
            get_video(stage, VIDEO)
        stage.edges.fatal = None
        assert get_video(stage, VIDEO).status == 200
        stage.later()  # a job whose execution was not started is found
        assert get_video(stage, VIDEO).body["status"] == "completed"
        assert len(stage.listed()) == 1


class TestWorkOnVideos:
    @pytest.fixture
    def finished(self, stage: Stage, upstream: Upstream) -> str:
        upstream.has_video(HOST, VIDEO)
        public_id = str(get_video(stage, VIDEO).body["id"])
        stage.run()
        upstream.heard.clear()
        return public_id

    @pytest.mark.parametrize("text", [VIDEO, litellm(VIDEO)], ids=["raw", "LiteLLM's"])
    def test_edit_and_extend_where_it_was_made(
        self, stage: Stage, upstream: Upstream, finished: str, text: str
    ) -> None:
        bodies: list[dict[str, Any]] = [
            {"json_body": {"prompt": "dusk", "video": {"id": text}}},
            {"json_body": {"prompt": "dusk", "video": text}},
            {"form": [("prompt", "dusk"), ("video[id]", text)]},
            {"form": [("prompt", "dusk"), ("video", f'{{"id": "{text}"}}')]},
        ]
        for body in bodies:
            reply = stage.call("edit_video", **body)
            assert (reply.status, reply.body["model"]) == (200, "solo"), reply
            assert upstream.submits()[-1].body["video"] == {"id": VIDEO}
            record_of(reply.body["id"], Kind.VIDEO)
        extended = stage.call("extend_video", json_body={"prompt": "on", "video": {"id": text}, "seconds": "8"})
        assert (extended.status, upstream.submits()[-1].host) == (200, HOST)

    def test_a_remix_names_our_id(self, stage: Stage, upstream: Upstream, finished: str) -> None:
        reply = stage.call("remix_video", json_body={"prompt": "snow"}, path={"video_id": VIDEO})
        assert (reply.status, reply.body["remixed_from_video_id"]) == (200, finished)
        assert upstream.submits()[-1].path == f"/v1/videos/{VIDEO}/remix"

    def test_another_model_gets_the_copy(self, stage: Stage, upstream: Upstream, finished: str) -> None:
        body = {"prompt": "dusk", "video": {"id": VIDEO}, "model": "sora-2"}
        assert stage.call("edit_video", json_body=body).status == 200
        assert upstream.submits()[-1].host != HOST
        assert upstream.submits()[-1].body["video"].data

    def test_a_character_of_it(self, stage: Stage, upstream: Upstream, finished: str) -> None:
        reply = stage.call("create_character", json_body={"name": "Luna", "video": {"id": VIDEO}})
        assert reply.status == 200, reply

    @pytest.mark.parametrize(
        ("function", "call"),
        [
            ("edit_video", {"json_body": {"prompt": "dusk", "video": {"id": "video_new"}}}),
            ("extend_video", {"json_body": {"prompt": "on", "video": {"id": "video_new"}, "seconds": "8"}}),
            ("remix_video", {"json_body": {"prompt": "snow"}, "path": {"video_id": "video_new"}}),
            ("create_character", {"json_body": {"name": "Luna", "video": {"id": "video_new"}}}),
            ("get_content", {"path": {"video_id": "video_new"}}),
            ("delete_video", {"path": {"video_id": "video_new"}}),
        ],
    )
    def test_one_that_is_new_has_to_come_home_first(
        self, stage: Stage, upstream: Upstream, function: str, call: dict[str, Any]
    ) -> None:
        upstream.has_video(HOST, "video_new")
        first = stage.call(function, **call)
        assert (first.status, first.error["code"]) == (400, "video_not_ready")
        assert upstream.heard == []
        stage.run()
        assert stage.call(function, **call).status in {200, 302}


class TestCharacters:
    def test_it_is_asked_for_once_and_becomes_ours(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        first = get_character(stage, CHARACTER)
        assert (first.status, first.body["name"], first.body["object"]) == (200, "Luna", "character")
        record_of(first.body["id"], Kind.CHARACTER)
        assert [(one.method, one.host, one.path) for one in upstream.heard] == [
            ("GET", HOST, f"/v1/videos/characters/{CHARACTER}")
        ]
        for text in (CHARACTER, first.body["id"], litellm(CHARACTER, "character")):
            assert get_character(stage, text) == first
        assert len(upstream.heard) == 1
        assert [one["id"] for one in stage.call("list_characters").body["data"]] == [first.body["id"]]

    @pytest.mark.parametrize("text", [CHARACTER, litellm(CHARACTER, "character")], ids=["raw", "LiteLLM's"])
    @pytest.mark.parametrize("form", ["JSON", "bare", "bracket", "numbered", "text"])
    def test_it_is_used_on_its_account(self, stage: Stage, upstream: Upstream, text: str, form: str) -> None:
        upstream.has_character(HOST, CHARACTER)
        fields: Form = [("model", "solo"), ("prompt", "Luna")]
        ways: dict[str, dict[str, Any]] = {
            "JSON": {"json_body": {"model": "solo", "prompt": "Luna", "characters": [{"id": text}]}},
            "bare": {"json_body": {"model": "solo", "prompt": "Luna", "characters": [text]}},
            "bracket": {"form": [*fields, ("characters[][id]", text)]},
            "numbered": {"form": [*fields, ("characters[0][id]", text)]},
            "text": {"form": [*fields, ("characters", f'[{{"id": "{text}"}}]')]},
        }
        assert stage.call("create_video", **ways[form]).status == 200
        assert upstream.submits()[-1].host == HOST
        assert upstream.submits()[-1].body["characters"] == [{"id": CHARACTER}]

    def test_another_model_is_refused_with_those_that_can(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        for model in ("sora-2", "wan"):
            reply = stage.create("Luna", model=model, characters=[{"id": CHARACTER}])
            assert (reply.status, reply.error["code"]) == (400, "unsupported_operation")
            assert reply.error["message"].endswith("Models that can: solo.")
        assert "Luna has no clip here" in stage.create(model="sora-2", characters=[CHARACTER]).error["message"]
        assert upstream.submits() == []

    def test_two_of_one_account_play_together_and_twice_the_same_does_not(
        self, stage: Stage, upstream: Upstream
    ) -> None:
        upstream.has_character(HOST, CHARACTER)
        upstream.has_character(HOST, "char_max", "Max")
        both = [{"id": CHARACTER}, {"id": "char_max"}]
        assert stage.create("Luna and Max", model="solo", characters=both).status == 200
        managed = get_character(stage, CHARACTER).body["id"]
        twice = stage.create("Luna", model="solo", characters=[{"id": CHARACTER}, {"id": managed}])
        assert (twice.status, twice.error["param"]) == (400, "characters[1]")

    def test_it_is_used_beside_one_with_a_clip(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        max_ = stage.character("Max")  # made elsewhere: its clip goes to the account of the other
        body = {"model": "solo", "characters": [{"id": CHARACTER}, {"id": max_}]}
        reply = stage.create("Luna and Max", **body)
        assert reply.status == 200
        stage.work()
        (order,) = upstream.submits()
        assert order.host == HOST
        assert order.body["characters"][0] == {"id": CHARACTER}
        assert len(order.body["characters"]) == 2

    def test_when_its_deployment_is_gone_no_model_can(
        self, stage: Stage, upstream: Upstream, configure: Any, toml: str
    ) -> None:
        upstream.has_character(HOST, CHARACTER)
        managed = get_character(stage, CHARACTER).body["id"]
        configure(toml.replace("deployments.solo", "deployments.another"))
        reply = stage.create("Luna", model="solo", characters=[{"id": managed}])
        assert (reply.status, reply.error["code"]) == (400, "unsupported_operation")
        assert reply.error["message"].endswith("No model of this key can.")

    def test_one_that_the_provider_has_lost_cannot_be_made_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        managed = get_character(stage, CHARACTER).body["id"]
        upstream.characters.clear()
        upstream.heard.clear()
        reply = stage.create("Luna", model="solo", characters=[{"id": managed}])
        assert (reply.status, reply.error["code"], reply.headers["x-should-retry"]) == (502, "character_lost", "false")
        assert [one.path for one in upstream.heard] == ["/v1/videos"]
        upstream.has_character(HOST, CHARACTER)  # it was only away
        assert stage.create("Luna", model="solo", characters=[{"id": managed}]).status == 200
        assert upstream.submits()[-1].body["characters"] == [{"id": CHARACTER}]

    def test_of_two_the_one_with_a_clip_is_made_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        max_ = stage.character("Max", model="solo")
        upstream.characters = {f"{HOST}/{CHARACTER}": upstream.characters[f"{HOST}/{CHARACTER}"]}
        video = stage.create("Luna and Max", model="solo", characters=[{"id": CHARACTER}, {"id": max_}])
        assert video.status == 200
        upstream.instant = True
        stage.run()
        assert stage.show(video.body["id"])["status"] == "completed"
        upstream.characters.clear()
        lost = stage.create("Luna and Max", model="solo", characters=[{"id": CHARACTER}, {"id": max_}])
        stage.run()
        assert stage.show(lost.body["id"])["error"]["code"] == "character_lost"

    def test_one_that_the_provider_does_not_know(self, stage: Stage, upstream: Upstream) -> None:
        reply = get_character(stage, CHARACTER)
        assert (reply.status, reply.error["code"]) == (404, "character_not_found")
        assert stage.create("Luna", model="solo", characters=[CHARACTER]) == reply
        assert len(upstream.heard) == 2
        upstream.has_character(HOST, CHARACTER)
        assert get_character(stage, CHARACTER).status == 200  # nothing remembers the no

    @pytest.mark.parametrize(
        ("answer", "status", "code"),
        [
            (refuse(503), 503, "provider_unavailable"),
            (refuse(500), 503, "provider_unavailable"),
            (lose(), 503, "provider_unavailable"),
            (refuse(403), 502, "provider_credentials"),
            (refuse(429), 429, "rate_limit_exceeded"),
            (lambda request: httpx.Response(200, json={"data": []}), 503, "provider_unavailable"),
        ],
    )
    def test_trouble_is_no_404(self, stage: Stage, upstream: Upstream, answer: Any, status: int, code: str) -> None:
        upstream.rules["GET", "*", CHARACTER] = answer
        reply = get_character(stage, CHARACTER)
        assert (reply.status, reply.error["code"]) == (status, code)
        assert "may exist" not in reply.error["message"]
        upstream.rules.clear()
        upstream.has_character(HOST, CHARACTER)
        assert get_character(stage, CHARACTER).status == 200

    @pytest.mark.parametrize(
        ("name", "shown"),
        [("  Luna\n of  the sea ", "Luna of the sea"), ("x" * 500, "x" * 80), ("", CHARACTER), (None, CHARACTER)],
    )
    def test_the_providers_name_is_bounded(self, stage: Stage, upstream: Upstream, name: Any, shown: str) -> None:
        upstream.has_character(HOST, CHARACTER, name)
        assert get_character(stage, CHARACTER).body["name"] == shown

    def test_deleting_it_is_for_good(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        managed = get_character(stage, CHARACTER).body["id"]
        deleted = stage.call("delete_character", path={"character_id": CHARACTER})
        assert deleted.body == {"id": managed, "object": "character.deleted", "deleted": True}
        upstream.heard.clear()
        assert get_character(stage, CHARACTER).status == get_character(stage, managed).status == 404
        assert upstream.heard == []

    def test_deleting_one_that_is_new(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        assert stage.call("delete_character", path={"character_id": CHARACTER}).status == 200
        assert get_character(stage, CHARACTER).status == 404

    def test_a_provider_that_cannot_be_asked(self, stage: Stage, upstream: Upstream) -> None:
        stage.sign_in("blue", scopes=("raw_ids:plain",))
        reply = get_character(stage, CHARACTER)
        assert (reply.status, reply.error["code"]) == (400, "unsupported_operation")
        assert upstream.heard == []


class TestWhoseItIs:
    """The owner of an id: the team that made the thing here, or else the first team that uses the id."""

    def scoped(self, stage: Stage, team: str) -> None:
        stage.sign_in(team, scopes=SOLO)

    def test_what_was_made_here_leads_to_our_record(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        video = stage.create(model="solo").body["id"]
        character = stage.character(model="solo")
        stage.run()
        upstream.heard.clear()
        found = next(iter(upstream.videos)).partition("/")[2]
        assert get_video(stage, found).body["id"] == video
        known = next(iter(upstream.characters)).partition("/")[2]
        assert get_character(stage, known).body["id"] == character
        assert get_video(stage, litellm(found)).body["id"] == video
        assert upstream.heard == []
        assert len(stage.listed()) == 1

    @pytest.mark.parametrize("how", ["made", "brought", "deleted", "failed"])
    def test_what_another_team_has_is_unknown_and_nobody_is_asked(
        self, stage: Stage, upstream: Upstream, how: str
    ) -> None:
        upstream.instant = True
        if how == "made":
            assert stage.create(model="solo").status == 200
            stage.character(model="solo")
        else:
            upstream.has_video(HOST, VIDEO)
            upstream.has_character(HOST, CHARACTER)
            get_video(stage, VIDEO)
            get_character(stage, CHARACTER)
        if how == "failed":
            upstream.videos[f"{HOST}/{VIDEO}"].update(status="failed")
        stage.run()
        video = next(iter(upstream.videos)).partition("/")[2]
        character = next(iter(upstream.characters)).partition("/")[2]
        if how == "deleted":
            stage.call("delete_video", path={"video_id": video})
            stage.call("delete_character", path={"character_id": character})
            for execution in stage.executions.running:
                stage.executions.stop(execution)  # the provider has them still
        self.scoped(stage, "red")
        upstream.heard.clear()
        for text in (video, litellm(video)):
            reply = get_video(stage, text)
            assert (reply.status, reply.error["code"]) == (404, "video_not_found")
        for text in (character, litellm(character, "character")):
            reply = get_character(stage, text)
            assert (reply.status, reply.error["code"]) == (404, "character_not_found")
        assert upstream.heard == []
        assert stage.listed() == []

    def test_an_order_whose_answer_was_lost_and_found_is_known(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The step that records a submitted or found order also records the owner of its provider's id."""
        job = Job("blue", new_record(), "create", "unknown", "solo", "solo", "openai", "x", 1)
        table.write_together(job.new_row())
        found = transitions.ordered(job, "video_found", troubles=0)
        assert (found.state, found.upstream_id) == ("running", "video_found")
        assert Job.find("blue", job.id) == replace(found, touched_at=int(stage.clock.now))
        assert get_video(stage, "video_found").status == 200
        with pytest.raises(table.RowChanged):
            transitions.ordered(job, "video_other")
        assert upstream_ids.find(Kind.VIDEO, "solo", "video_other") is None

    def test_who_makes_it_has_it_whoever_guessed_it_before(self, stage: Stage, upstream: Upstream) -> None:
        """The maker owns the id, even if another team guessed the id of a server that counts."""
        self.scoped(stage, "red")
        guessed = get_video(stage, "video_0").body["id"]
        stage.run()
        assert get_video(stage, "video_0").body["status"] == "failed"
        self.scoped(stage, "blue")
        upstream.instant = True
        made = stage.create(model="solo").body["id"]
        assert get_video(stage, "video_0").body["id"] == made
        self.scoped(stage, "red")
        assert get_video(stage, "video_0").status == 404
        assert stage.call("delete_video", path={"video_id": guessed}).status == 200
        stage.run()
        assert f"{HOST}/video_0" in upstream.videos  # it was not the guesser's to delete
        self.scoped(stage, "blue")
        assert get_video(stage, "video_0").body["id"] == made

    @pytest.mark.parametrize("maker", ["blue", "red"], ids=["another team", "the same team"])
    def test_a_guess_that_the_provider_then_issues_shows_nothing(
        self, stage: Stage, upstream: Upstream, maker: str
    ) -> None:
        """The guess came while the provider was away, so it is still open when the order gets the id."""
        upstream.rules["GET", HOST, "/video_0"] = refuse(503)
        self.scoped(stage, "red")
        guessed = get_video(stage, "video_0").body["id"]
        stage.run(30)
        self.scoped(stage, maker)
        made = stage.create(model="solo").body["id"]
        upstream.rules.clear()
        upstream.finish()
        stage.run()
        assert stage.show(made)["status"] == "completed"
        self.scoped(stage, "red")
        shown = stage.show(guessed)
        assert (shown["status"], shown["error"]["code"]) == ("failed", "video_not_found")
        assert stage.call("get_content", path={"video_id": guessed}).status == 400
        assert stage.call("delete_video", path={"video_id": guessed}).status == 200
        stage.run()
        assert f"{HOST}/video_0" in upstream.videos
        assert stage.call("get_video", path={"video_id": guessed}).status == 404

    def test_a_guess_that_was_confirmed_before_the_order_knew_its_id(self, stage: Stage, upstream: Upstream) -> None:
        """The provider has the video, and its answer to the order is still on the way."""
        self.scoped(stage, "red")
        upstream.has_video(HOST, VIDEO, status="in_progress")
        guessed = get_video(stage, VIDEO).body["id"]
        stage.run(30)
        (job,) = Job.page("red", limit=2, newest_first=True, after=None)
        assert not job.unconfirmed
        order = Job("blue", new_record(), "create", "submitting", "solo", "solo", "openai", "x", 1)
        table.write_together(order.new_row())
        transitions.ordered(order, VIDEO)
        upstream.finish()
        stage.run()
        assert stage.show(guessed)["error"]["code"] == "video_not_found"
        assert stage.call("delete_video", path={"video_id": guessed}).status == 200
        stage.run()
        assert f"{HOST}/{VIDEO}" in upstream.videos
        assert upstream_ids.find(Kind.VIDEO, "solo", VIDEO) == upstream_ids.Origin("blue", order.id)

    def test_two_who_bring_it_at_once(self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        upstream.has_video(HOST, VIDEO)
        upstream.has_character(HOST, CHARACTER)
        write = table.write_together
        for meanwhile in ("blue", "red"):
            for kind, ask, text in ((Kind.VIDEO, get_video, VIDEO), (Kind.CHARACTER, get_character, CHARACTER)):
                text = f"{text}-{meanwhile}"
                upstream.has_character(HOST, text)
                other = upstream_ids.brought(kind, "solo", text, meanwhile, "another")

                def first(*writes: Any, other: Any = other) -> None:
                    monkeypatch.setattr(table, "write_together", write)
                    write(other)
                    write(*writes)

                monkeypatch.setattr(table, "write_together", first)
                assert ask(stage, text).status == 404  # red's, or a record without a row
                assert upstream_ids.find(kind, "solo", text) == upstream_ids.Origin(meanwhile, "another")
        assert stage.listed() == []

    def test_ids_of_two_kinds_are_two_things(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, "1")
        upstream.has_character(HOST, "1")
        assert get_video(stage, "1").status == get_character(stage, "1").status == 200


class TestSeveralDeployments:
    @pytest.fixture(autouse=True)
    def both(self, stage: Stage) -> None:
        stage.sign_in("blue", scopes=("raw_ids:solo", "raw_ids:one", "raw_ids:gone"))

    def test_a_character_is_asked_for_in_the_order_of_the_file(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        assert get_character(stage, CHARACTER).status == 200
        assert [one.host for one in upstream.heard] == ["one.example", HOST]
        assert get_character(stage, "char_none").status == 404
        assert len(upstream.heard) == 4

    def test_one_that_is_away_does_not_hide_another(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_character(HOST, CHARACTER)
        upstream.rules["GET", "one.example", ""] = refuse(503)
        assert get_character(stage, CHARACTER).status == 200
        assert get_character(stage, "char_none").status == 503

    def test_a_video_is_asked_for_in_the_order_of_the_file(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        first = get_video(stage, VIDEO).body
        stage.work()
        assert get_video(stage, VIDEO).body["status"] == "in_progress"
        stage.run()
        assert [one.host for one in upstream.heard] == ["one.example", HOST, HOST]
        video = get_video(stage, VIDEO).body
        assert (video["id"], video["status"], video["model"]) == (first["id"], "completed", "solo")
        assert adopted(stage).deployment == "solo"

    def test_a_video_that_none_knows(self, stage: Stage, upstream: Upstream) -> None:
        get_video(stage, VIDEO)
        stage.run()
        assert [one.host for one in upstream.heard] == ["one.example", HOST]
        assert get_video(stage, VIDEO).body["error"]["code"] == "video_not_found"
        stage.call("delete_video", path={"video_id": VIDEO})
        assert [upstream_ids.find(Kind.VIDEO, one, VIDEO) for one in ("one", "solo")] == [None, None]

    def test_one_that_left_the_file_is_not_asked(
        self, stage: Stage, upstream: Upstream, configure: Any, toml: str
    ) -> None:
        upstream.has_video(HOST, VIDEO)
        get_video(stage, VIDEO)
        configure(toml.replace("deployments.solo", "deployments.another"))
        stage.run()
        assert get_video(stage, VIDEO).body["error"]["code"] == "video_not_found"
        assert [one.host for one in upstream.heard] == ["one.example"]

    def test_what_another_team_has_at_one_of_them_is_unknown(self, stage: Stage, upstream: Upstream) -> None:
        table.write_together(upstream_ids.made(Kind.VIDEO, "solo", VIDEO, "red", "r"))
        upstream.has_video("one.example", VIDEO)
        assert get_video(stage, VIDEO).status == 404
        assert stage.executions.running == []

    @pytest.mark.parametrize(
        ("model", "asked"),
        [
            ("solo", [HOST]),  # the deployment, and the name that callers use
            ("one", ["one.example"]),
            ("sora-2", ["one.example", HOST]),  # a caller's name there, the provider's name here
            ("", ["one.example", HOST]),  # what LiteLLM writes when it is only polled
            ("5e8a" * 16, ["one.example", HOST]),  # what its proxy calls a deployment
        ],
    )
    def test_litellms_model_id_narrows_them(
        self, stage: Stage, upstream: Upstream, model: str, asked: list[str]
    ) -> None:
        assert get_character(stage, litellm(CHARACTER, "character", model=model)).status == 404
        assert [one.host for one in upstream.heard] == asked

    @pytest.mark.parametrize(
        ("model", "provider"), [("wan", "openai"), ("two", "openai"), ("solo", "gemini"), ("", "gemini"), ("", "")]
    )
    def test_one_that_leads_elsewhere_is_unknown(
        self, stage: Stage, upstream: Upstream, model: str, provider: str
    ) -> None:
        assert get_character(stage, litellm(CHARACTER, "character", model=model, provider=provider)).status == 404
        assert get_video(stage, litellm(VIDEO, model=model, provider=provider)).status == 404
        assert (upstream.heard, stage.executions.running) == ([], [])

    def test_litellms_further_parts_say_nothing(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        text = litellm(VIDEO, more=";served_model:x;deployment_id:5e8a;requested_model:y")
        first = get_video(stage, text.rstrip("="))
        assert first.status == 200
        assert get_video(stage, VIDEO).body["id"] == first.body["id"]


class TestWhatIsNoSuchId:
    HOSTILE = (
        *(
            "",
            ".",
            "..",
            "../videos",
            "a/../b",
            "a/./b",
            "a//b",
            "/a",
            "a/",
            "a?b=c",
            "a#b",
            "a%2fb",
            "a%2Fb",
            "%2e%2e",
        ),
        *("a b", "a\0", "a\n", "a\\b", "é", "@evil", "a;b", "a&b", "x" * 201, "x" * 5000, "-a", '{"id":"a"}'),
    )

    @pytest.mark.parametrize("text", HOSTILE, ids=repr)
    @pytest.mark.parametrize("how", ["raw", "LiteLLM's"])
    def test_it_is_unknown_and_nobody_is_asked(self, stage: Stage, upstream: Upstream, text: str, how: str) -> None:
        video, character = (text, text) if how == "raw" else (litellm(text), litellm(text, "character"))
        stage.edges.touched.clear()
        assert get_video(stage, video).status == get_character(stage, character).status == 404
        assert upstream.heard == []
        assert set(stage.edges.touched) <= {"GetSecretValue"}

    @pytest.mark.parametrize("text", ["projects/p/locations/l/operations/1", "a:b", "a=b", "1", "x" * 200, "a+b~c@d.e"])
    def test_odd_ones_arrive_as_one_part_of_the_path(self, stage: Stage, upstream: Upstream, text: str) -> None:
        get_character(stage, text)
        (asked,) = upstream.heard
        assert asked.path == f"/v1/videos/characters/{text}"  # as decoded
        assert asked.raw_path.count("/") == 4

    @pytest.mark.parametrize("kind", list(Kind))
    def test_what_begins_like_ours_is_never_sent_on(self, stage: Stage, upstream: Upstream, kind: Kind) -> None:
        shortest = secrets.id_codec().encode(ManagedId(kind, new_record(), "x", "y", ""), team="blue")
        assert len(shortest.partition("_")[2]) == 80
        for changed in (
            shortest[:-1],
            shortest[:-2] + "AA",
            shortest + "A",
            shortest + "=",
            shortest + "/x",
            shortest + ".",
        ):
            for text in (changed, litellm(changed), litellm(changed, "character")):
                assert get_video(stage, text).status == get_character(stage, text).status == 404
        assert (upstream.heard, stage.executions.running) == ([], [])

    @pytest.mark.parametrize("odd", [".", ":", "/", "=", "A", "~"])
    def test_wherever_it_was_touched(self, stage: Stage, upstream: Upstream, odd: str) -> None:
        ours = secrets.id_codec().encode(ManagedId(Kind.VIDEO, new_record(), "x", "y", "z"), team="blue")
        for n in range(len("video_"), len(ours)):
            changed = f"{ours[:n]}{odd}{ours[n + 1 :]}"
            assert get_video(stage, changed).status == 404
        assert (upstream.heard, stage.executions.running) == ([], [])

    def test_a_page_begins_after_what_a_list_answered(self, stage: Stage, upstream: Upstream) -> None:
        upstream.has_video(HOST, VIDEO)
        managed = get_video(stage, VIDEO).body["id"]
        assert stage.call("list_videos", query={"after": managed}).status == 200
        assert stage.call("list_videos", query={"after": VIDEO}).status == 404

    @pytest.mark.parametrize("scopes", [(), ("raw_ids:one",)])
    def test_another_scope_or_none_reaches_nothing(
        self, stage: Stage, upstream: Upstream, scopes: tuple[str, ...]
    ) -> None:
        upstream.has_character(HOST, CHARACTER)
        stage.sign_in("blue", scopes=scopes)
        stage.edges.touched.clear()
        for text in (litellm(CHARACTER, "character", model="solo"), "../x"):
            assert get_character(stage, text).status == 404
        if not scopes:
            assert get_character(stage, CHARACTER).status == 404
        assert upstream.heard == []
        assert set(stage.edges.touched) <= {"GetSecretValue"}

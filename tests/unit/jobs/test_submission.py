"""Which deployment makes a video: the first choice or its failover; later calls go to the maker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.fakes.edges import Killed
from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Answering, Heard, Upstream, answer, lose, refuse
from tests.unit.conftest import cold_start
from understudy.access.keys import Limits
from understudy.deployments import circuits, routing
from understudy.jobs import submission, transitions
from understudy.jobs.job import SUBMITTED_SECONDS, Job
from understudy.providers import load
from understudy.providers.base import Account, Order, Progress
from understudy.store import clients

ONE, TWO = "one.example", "two.example"


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the random choice: deployments are asked in the order of the file."""
    monkeypatch.setattr(routing, "_by_weight", lambda group: list(group))


def hosts(heard: list[Heard]) -> list[str]:
    return [one.host for one in heard]


def newest(stage: Stage) -> Job:
    return Job.page(stage.caller.team, limit=1, newest_first=True, after=None)[0]


MOVABLE = {
    "401": refuse(401, "invalid_api_key", "Incorrect API key provided: key-a"),
    "402": refuse(402),
    "403": refuse(403, "forbidden"),
    "404": refuse(404, "model_not_found"),
    "410": refuse(410),
    "429": refuse(429),
    "429 quota": refuse(429, "insufficient_quota"),
    "503": refuse(503, "overloaded"),
    "never connected": lose(httpx.ConnectError),
    "connect timeout": lose(httpx.ConnectTimeout),
}
FINAL = {
    "400": (refuse(400, "invalid_value"), 400),
    "moderation": (refuse(400, "moderation_blocked"), 400),
    "moderation 403": (refuse(403, "content_policy_violation"), 400),
    "409": (refuse(409), 400),
    "422": (refuse(422), 400),
}
LOST = {
    "500": refuse(500),
    "502": refuse(502),
    "504": refuse(504),
    "503 from a balancer": answer(503, "<html>"),
    "timeout": lose(httpx.ReadTimeout),
    "reset": lose(httpx.ReadError),
    "html": answer(200, "<html>"),
}


def test_an_order_is_not_sent_in_the_last_seconds_of_a_call(stage: Stage, upstream: Upstream) -> None:
    """Opening a clip may have taken nearly the whole call. An order cut off would be lost, and may be paid."""
    stage.milliseconds = 9_000
    reply = stage.create()
    assert (reply.status, reply.body["status"]) == (200, "queued")
    assert upstream.submits() == []
    upstream.instant = True
    stage.run()
    assert stage.show(reply.body["id"])["status"] == "completed"
    assert len(upstream.submits()) == 1


@pytest.mark.usefixtures("in_order")
def test_an_order_is_left_to_run_job_if_aws_took_the_time(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = transitions.begin

    def slow(*given: Any) -> None:
        begin(*given)
        stage.clock.advance(20)

    monkeypatch.setattr(transitions, "begin", slow)
    made = stage.create()
    assert (made.status, upstream.submits()) == (200, [])
    upstream.instant = True
    stage.run()
    assert stage.show(made.body["id"])["status"] == "completed"
    assert len(upstream.submits()) == 1


class TestStandIns:
    """A definite refusal leads to the next deployment of the model, each at most once."""

    @pytest.mark.parametrize("refusal", MOVABLE.values(), ids=MOVABLE)
    def test_a_refusal_that_moves(self, stage: Stage, upstream: Upstream, refusal: Answering) -> None:
        upstream.rules["POST", ONE, "/videos"] = refusal
        reply = stage.create(headers={"Idempotency-Key": "k"})
        assert (reply.status, reply.body["status"]) == (200, "queued")
        assert hosts(upstream.submits()) == [ONE, TWO]
        assert upstream.submits(TWO)[0].key == "key-b"
        job = newest(stage)
        assert (job.deployment, job.named[1]) == ("two", "two")
        # The circuit of the one that refused is open: the next one goes straight to the other.
        assert stage.create("A cat").status == 200
        assert hosts(upstream.submits()) == [ONE, TWO, TWO]
        upstream.rules.clear()
        upstream.instant = True
        stage.run()
        assert [video["status"] for video in stage.listed()] == ["completed", "completed"]
        assert set(hosts(upstream.polls())) == {TWO}

    def test_a_circuit_closes_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script.append(refuse(503))
        stage.create()
        stage.clock.advance(circuits.OPEN_SECONDS + 6)
        stage.create("A cat")
        assert hosts(upstream.submits()) == [ONE, TWO, ONE]

    @pytest.mark.parametrize(("refusal", "status"), FINAL.values(), ids=FINAL)
    def test_a_refusal_that_does_not_move(
        self, stage: Stage, upstream: Upstream, refusal: Answering, status: int
    ) -> None:
        upstream.script.append(refusal)
        assert stage.create().status == status
        assert hosts(upstream.submits()) == [ONE]
        assert stage.listed() == []
        assert stage.create("A cat").status == 200
        assert hosts(upstream.submits()) == [ONE, ONE]  # and it says nothing against the deployment

    @pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
    def test_a_lost_answer_never_moves(self, stage: Stage, upstream: Upstream, lost: Answering) -> None:
        upstream.script.append(lost)
        reply = stage.create()
        assert (reply.error["code"], reply.headers["x-should-retry"]) == ("outcome_unknown", "false")
        stage.run()
        assert hosts(upstream.submits()) == [ONE]

    @pytest.mark.parametrize(
        ("last", "status", "code"),
        [
            (refuse(401, "x", "Incorrect API key provided: key-b"), 502, "provider_credentials"),
            (refuse(402), 502, "provider_arrears"),
            (refuse(404), 502, "provider_model_gone"),
            (refuse(429), 429, "rate_limit_exceeded"),
            (refuse(503), 503, "provider_unavailable"),
        ],
    )
    def test_when_all_refuse_the_last_word_counts(
        self, stage: Stage, upstream: Upstream, last: Answering, status: int, code: str
    ) -> None:
        upstream.script += [refuse(503), last]
        reply = stage.create()
        assert (reply.status, reply.error["code"]) == (status, code)
        assert "key-" not in json.dumps(reply.body) + json.dumps(reply.headers)
        assert hosts(upstream.submits()) == [ONE, TWO]
        assert stage.listed() == []
        assert stage.create("A cat").status == 200  # all circuits are open: the first is asked anyway
        assert hosts(upstream.submits()) == [ONE, TWO, ONE]

    def test_a_second_one_may_refuse_for_good(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script += [refuse(503), refuse(400, "moderation_blocked", "Not this.")]
        reply = stage.create(headers={"Idempotency-Key": "k"})
        assert (reply.status, reply.error["message"]) == (400, "Not this.")
        assert stage.create(headers={"Idempotency-Key": "k"}).body == reply.body
        assert len(upstream.submits()) == 2

    def test_a_second_ones_answer_may_be_lost(self, stage: Stage, upstream: Upstream) -> None:
        upstream.script += [refuse(503), lose()]
        reply = stage.create()
        assert (reply.status, reply.error["code"]) == (504, "outcome_unknown")
        assert newest(stage).deployment == "two"

    def test_a_secret_that_is_missing_is_no_reason_to_refuse(self, stage: Stage, upstream: Upstream) -> None:
        clients.secretsmanager().delete_secret(SecretId="understudy/a", ForceDeleteWithoutRecovery=True)
        cold_start()
        assert stage.create().status == 200
        assert hosts(upstream.submits()) == [TWO]

    @pytest.mark.parametrize("key", [" ", "two\nlines", "naïve"])
    def test_nor_is_one_that_cannot_be_sent(self, stage: Stage, upstream: Upstream, key: str) -> None:
        clients.secretsmanager().put_secret_value(SecretId="understudy/a", SecretString=key)
        cold_start()
        assert stage.create().status == 200
        assert hosts(upstream.submits()) == [TWO]

    def test_what_was_not_asked_for_fits_the_stand_in(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        """Defaults come from the deployment that makes the video; the first choice's may be impossible there."""
        options = 'options = { seconds = [5, 10], sizes = ["640x360"] }'
        configure(toml.replace('https://two.example/v1"', f'https://two.example/v1"\n{options}'))
        upstream.rules["POST", ONE, "/videos"] = refuse(503)
        reply = stage.create()
        assert (reply.status, reply.body["seconds"], reply.body["size"]) == (200, "5", "640x360")
        body = upstream.submits(TWO)[0].body
        assert (body["seconds"], body["size"]) == ("5", "640x360")

    def test_clients_are_told_the_pace_of_who_makes_it(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        slow = toml.replace("[deployments.two]", "[deployments.two]\npoll_seconds = 7.5")
        assert slow != toml
        configure(slow)
        upstream.rules["POST", ONE, "/videos"] = refuse(503, "overloaded")
        created = stage.create()
        shown = stage.call("get_video", path={"video_id": created.body["id"]})
        assert [one.headers["openai-poll-after-ms"] for one in (created, shown)] == ["7500", "7500"]

    def test_what_was_asked_for_is_only_asked_of_those_who_can(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        configure(toml.replace('https://two.example/v1"', 'https://two.example/v1"\noptions = { seconds = [5] }'))
        upstream.rules["POST", ONE, "/videos"] = refuse(503)
        assert stage.create(seconds="8").status == 503
        assert hosts(upstream.submits()) == [ONE]
        assert stage.create(seconds="5").status == 200
        assert hosts(upstream.submits()) == [ONE, TWO]


@pytest.mark.usefixtures("in_order")
class TestStandInsWithCharacters:
    """A character has one home deployment; for another deployment it has to be made there first."""

    @pytest.fixture
    def character(self, stage: Stage) -> str:
        return stage.character()

    @pytest.mark.parametrize("refusal", MOVABLE.values(), ids=MOVABLE)
    def test_a_step_makes_the_handle_and_the_video(
        self, stage: Stage, upstream: Upstream, character: str, refusal: Answering
    ) -> None:
        upstream.rules["POST", ONE, "/videos"] = refusal
        reply = stage.create("Luna dances", characters=[{"id": character}])
        assert (reply.status, reply.body["status"]) == (200, "queued")
        assert hosts(upstream.submits()) == [ONE]
        upstream.instant = True
        stage.run()
        assert stage.show(reply.body["id"])["status"] == "completed"
        assert hosts(upstream.submits()) == [ONE, TWO]
        assert upstream.submits(TWO)[0].body["characters"] == [{"id": "char_two.example_1"}]
        assert stage.show(reply.body["id"])["id"] == reply.body["id"]

    def test_there_too_it_may_go_on_to_the_next(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str, character: str
    ) -> None:
        three = toml.replace('"solo" = "sora-2"', '"solo" = "sora-2", "sora-2" = "sora-2"')
        configure(three)
        upstream.rules["POST", ONE, "/videos"] = refuse(503)
        upstream.rules["POST", TWO, "/characters"] = refuse(401)
        upstream.instant = True
        reply = stage.create("Luna dances", characters=[{"id": character}])
        stage.run()
        assert stage.show(reply.body["id"])["status"] == "completed"
        assert hosts(upstream.submits()) == [ONE, "solo.example"]

    def test_when_all_refuse_the_job_fails_with_the_last_word(
        self, stage: Stage, upstream: Upstream, character: str
    ) -> None:
        upstream.rules["POST", ONE, "/videos"] = refuse(402)
        upstream.rules["POST", TWO, ""] = refuse(402)
        reply = stage.create("Luna dances", characters=[{"id": character}])
        stage.run()
        shown = stage.show(reply.body["id"])
        assert (shown["status"], shown["error"]["code"]) == ("failed", "provider_arrears")

    def test_moderation_does_not_move(self, stage: Stage, upstream: Upstream, character: str) -> None:
        upstream.rules["POST", ONE, "/videos"] = refuse(400, "moderation_blocked")
        assert stage.create("Luna dances", characters=[{"id": character}]).status == 400
        stage.run()
        assert hosts(upstream.submits()) == [ONE]

    def test_a_key_that_was_repeated_meanwhile(self, stage: Stage, upstream: Upstream, character: str) -> None:
        upstream.rules["POST", ONE, "/videos"] = refuse(503)
        body: dict[str, Any] = {"characters": [{"id": character}], "headers": {"Idempotency-Key": "k"}}
        first = stage.create("Luna dances", **body)
        assert stage.create("Luna dances", **body).body == first.body
        upstream.instant = True
        stage.run()
        assert stage.create("Luna dances", **body).body["id"] == first.body["id"]
        assert hosts(upstream.submits()) == [ONE, TWO]


class TestLostCharacters:
    """A server that lost its characters, for example by a reinstallation, gets them again."""

    def makes(self, upstream: Upstream) -> int:
        return sum((one.method, one.path) == ("POST", "/v1/videos/characters") for one in upstream.heard)

    def test_it_is_made_again(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        character = stage.character(model="solo")
        upstream.characters.clear()
        video = stage.create("Luna dances", model="solo", characters=[{"id": character}])
        assert (video.status, video.body["status"]) == (200, "queued")
        stage.run()
        assert stage.show(video.body["id"])["status"] == "completed"
        assert self.makes(upstream) == 2
        assert len(upstream.videos) == 1
        again = stage.create("Luna sings", model="solo", characters=[{"id": character}])
        assert again.body["id"] != video.body["id"]
        assert (len(upstream.videos), self.makes(upstream)) == (2, 2)  # at once: it is there

    def test_its_deployment_is_not_skipped(self, stage: Stage, upstream: Upstream) -> None:
        character = stage.character()
        lost_at = upstream.heard[-1].host
        upstream.characters.clear()
        assert stage.create("Luna dances", characters=[{"id": character}]).status == 200
        stage.run(60)
        assert hosts(upstream.submits()) == [lost_at, lost_at]

    def test_one_that_loses_everything_is_not_asked_for_ever(self, stage: Stage, upstream: Upstream) -> None:
        character = stage.character(model="solo")
        upstream.rules["POST", "solo.example", "/videos"] = refuse(404, "not_found", "Character 'c' not found.")
        video = stage.create("Luna dances", model="solo", characters=[{"id": character}]).body["id"]
        stage.run()
        assert stage.show(video)["error"]["message"].startswith("The provider lost a character")
        assert 1 < self.makes(upstream) < 6
        assert upstream.videos == {}


class TestKeyRotation:
    """A provider's key is replaced while this environment still has the old key."""

    def rotate(self, upstream: Upstream) -> None:
        clients.secretsmanager().put_secret_value(SecretId="understudy/c", SecretString="new-key")

        def check(request: httpx.Request) -> httpx.Response:
            new = request.headers["authorization"] == "Bearer new-key"
            return upstream.serve(request) if new else refuse(401)(request)

        for method in ("POST", "GET", "DELETE"):
            upstream.rules[method, "solo.example", ""] = check

    def test_a_401_reads_it_again(self, stage: Stage, upstream: Upstream) -> None:
        stage.create(model="solo")
        self.rotate(upstream)
        assert stage.create("A cat", model="solo").status == 200
        assert [one.key for one in upstream.submits()] == ["key-c", "key-c", "new-key"]
        assert len(upstream.videos) == 2
        assert stage.create("A dog", model="solo").status == 200
        assert [one.key for one in upstream.submits()][3:] == ["new-key"]

    def test_old_ids_live_on(self, stage: Stage, upstream: Upstream) -> None:
        upstream.instant = True
        character = stage.character(model="solo")
        video = stage.create(model="solo").body["id"]
        stage.run()
        self.rotate(upstream)
        assert stage.call("get_character", path={"character_id": character}).status == 200
        assert stage.call("get_content", path={"video_id": video}).status == 302
        made = [
            stage.create("Luna", model="solo", characters=[{"id": character}]),
            stage.call("remix_video", json_body={"prompt": "x"}, path={"video_id": video}),
            stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}}),
        ]
        assert [reply.status for reply in made] == [200, 200, 200]
        stage.run()
        assert {video["status"] for video in stage.listed()} == {"completed"}

    def test_one_that_stays_wrong_is_tried_once(self, stage: Stage, upstream: Upstream) -> None:
        upstream.rules["POST", "solo.example", ""] = refuse(401)
        assert stage.create(model="solo").status == 502
        assert len(upstream.submits()) == 1  # the key had not changed: asking again would change nothing


class TestById:
    """Requests about an existing video always go to the deployment that made it."""

    def test_whatever_the_weights_and_headers_and_environment_say(
        self,
        stage: Stage,
        upstream: Upstream,
        configure: Callable[[str], None],
        toml: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        upstream.script.append(refuse(503))  # whoever is first: the other one makes it
        video = stage.create().body["id"]
        maker, other = upstream.submits()[1].host, upstream.submits()[0].host
        name = maker.removesuffix(".example")
        configure(toml.replace(f'https://{maker}/v1"', f'https://{maker}/v1"\nweight = 0'))
        for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "HTTPS_PROXY", "DEPLOYMENTS"):
            monkeypatch.setenv(variable, f"https://{other}/v1")
        cold_start()
        upstream.instant = True
        upstream.heard.clear()
        stage.run()
        headers = {"x-litellm-model-id": "other", "custom-llm-provider": "azure", "host": other, "api-base": other}
        body = {"prompt": "x", "video": {"id": video}}
        calls = [
            stage.call("get_video", path={"video_id": video}, headers=headers, query={"custom_llm_provider": "azure"}),
            stage.call("remix_video", path={"video_id": video}, json_body={"prompt": "x"}, headers=headers),
            stage.call("edit_video", json_body=body, headers=headers),
            stage.call("extend_video", json_body={**body, "seconds": "4"}, headers=headers),
        ]
        assert [reply.status for reply in calls] == [200, 200, 200, 200]
        stage.run()
        stage.call("delete_video", path={"video_id": video}, headers=headers)
        stage.run()
        assert set(hosts(upstream.heard)) == {maker}
        assert {one.key for one in upstream.heard} == {f"key-{'a' if name == 'one' else 'b'}"}
        assert os.environ["OPENAI_BASE_URL"]

    def test_many_of_them(self, stage: Stage, upstream: Upstream) -> None:
        """Both servers use the same ids; only the deployment in our ids tells them apart."""
        count, upstream.instant = 40, True
        homes = {}
        for n in range(count):
            character = stage.character(f"Name{n}", model="sora-2")
            homes[character] = upstream.heard[-1].host
            stage.create(f"video {n}", model="sora-2")
        makers = {json.loads(one.content)["prompt"]: one.host for one in upstream.submits()}
        assert set(homes.values()) == set(makers.values()) == {ONE, TWO}
        stage.run()
        upstream.heard.clear()
        videos = stage.listed()
        assert len(videos) == count
        for video in videos:
            assert video["status"] == "completed"
            remixed = stage.call("remix_video", path={"video_id": video["id"]}, json_body={"prompt": "again"})
            assert remixed.status == 200
            assert upstream.submits()[-1].host == makers[video["prompt"]]
        for n, (character, home) in enumerate(homes.items()):
            reply = stage.create(f"Name{n} dances", model="sora-2", characters=[{"id": character}])
            assert reply.status == 200
            assert upstream.submits()[-1].host == home
            assert upstream.submits()[-1].body["characters"][0]["id"].startswith(f"char_{home}_")

    def test_a_characters_home_may_be_chosen_by_model(self, stage: Stage, upstream: Upstream) -> None:
        solo = stage.character(target_model_names="solo, sora-2")
        assert upstream.heard[-1].host == "solo.example"
        assert stage.create("Luna", model="solo", characters=[solo]).status == 200
        assert upstream.submits()[-1].body["characters"] == [{"id": "char_solo.example_0"}]

    def test_a_deployment_that_is_gone(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        upstream.instant = True
        video = stage.create(model="solo").body["id"]
        stage.run()
        start = toml.index("[deployments.solo]")
        configure(toml[:start] + toml[toml.index("[deployments.plain]") :])
        path = {"video_id": video}
        assert stage.show(video)["status"] == "completed"
        assert stage.call("get_content", path=path).status == 302
        remix = stage.call("remix_video", path=path, json_body={"prompt": "x"})
        assert (remix.status, remix.error["code"]) == (400, "deployment_removed")
        edit = stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}})
        assert (edit.status, edit.error["code"]) == (400, "deployment_removed")
        elsewhere = stage.call("edit_video", json_body={"prompt": "x", "video": {"id": video}, "model": "sora-2"})
        assert elsewhere.status == 200
        assert bytes(upstream.submits()[-1].body["video"].data) == MP4
        assert stage.call("delete_video", path=path).status == 200
        assert stage.run() >= 1
        assert stage.executions.failed == []

    def test_one_of_a_group_that_is_gone(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        """The other deployments get the removed deployment's video as a clip; only a remix is refused."""
        upstream.instant = True
        upstream.rules["POST", TWO, ""] = refuse(503)
        character = stage.character(model="sora-2")
        video = stage.create(model="sora-2").body["id"]
        stage.run()
        assert upstream.submits()[-1].host == ONE
        upstream.rules.clear()
        upstream.heard.clear()
        configure(toml.replace("[deployments.one]", "[deployments.three]").replace(ONE, "three.example"))
        for function, body in (("edit_video", {}), ("extend_video", {"seconds": "4"})):
            reply = stage.call(function, json_body={"prompt": "x", "video": {"id": video}, **body})
            assert (reply.status, reply.body["model"]) == (200, "sora-2"), reply
            assert bytes(upstream.submits()[-1].body["video"].data) == MP4
        assert ONE not in hosts(upstream.submits())
        remix = stage.call("remix_video", path={"video_id": video}, json_body={"prompt": "x"})
        assert (remix.status, remix.error["code"]) == (400, "deployment_removed")
        assert "'one'" in remix.error["message"]
        reply = stage.create("Luna", model="sora-2", characters=[{"id": character}])
        stage.run()
        assert stage.show(reply.body["id"])["status"] == "completed"
        assert stage.call("get_character", path={"character_id": character}).status == 200
        for function, path in (
            ("delete_video", {"video_id": video}),
            ("delete_character", {"character_id": character}),
        ):
            assert stage.call(function, path=path).status == 200
        stage.run()
        assert stage.executions.failed == []


class TestSources:
    """Edits, extensions and remixes: their sources, and the deployments that can make them."""

    @pytest.fixture
    def video(self, stage: Stage, upstream: Upstream) -> str:
        upstream.instant = True
        video = str(stage.create("A fox", model="solo", seconds="8", size="1280x720").body["id"])
        stage.run()
        upstream.heard.clear()
        return video

    def test_an_edit_stays_where_the_video_is(self, stage: Stage, upstream: Upstream, video: str) -> None:
        reply = stage.call("edit_video", json_body={"prompt": "dusk", "video": {"id": video}})
        assert (reply.status, reply.body["model"]) == (200, "solo")
        assert upstream.submits("solo.example")[0].body == {"prompt": "dusk", "video": {"id": "video_0"}}

    def test_with_another_model_the_clip_goes_there(self, stage: Stage, upstream: Upstream, video: str) -> None:
        body = {"prompt": "dusk", "video": {"id": video}, "model": "sora-2"}
        assert stage.call("edit_video", json_body=body).status == 200
        sent = upstream.submits()[0]
        assert sent.host in {ONE, TWO}
        assert bytes(sent.body["video"].data) == MP4
        assert sent.body["model"] == "sora-2"

    def test_an_extension(self, stage: Stage, upstream: Upstream, video: str) -> None:
        body = {"prompt": "on", "video": {"id": video}, "seconds": "12"}
        reply = stage.call("extend_video", json_body=body)
        assert (reply.status, reply.body["seconds"]) == (200, "12")
        assert upstream.submits()[0].body == {"prompt": "on", "video": {"id": "video_0"}, "seconds": "12"}

    def test_a_remix(self, stage: Stage, upstream: Upstream, video: str) -> None:
        reply = stage.call("remix_video", json_body={"prompt": "snow"}, path={"video_id": video})
        assert (reply.status, reply.body["remixed_from_video_id"]) == (200, video)
        assert upstream.submits()[0].path == "/v1/videos/video_0/remix"
        assert stage.show(reply.body["id"])["remixed_from_video_id"] == video

    @pytest.mark.parametrize("operation", ["edit_video", "extend_video"])
    def test_a_clip_of_the_callers(self, stage: Stage, upstream: Upstream, operation: str) -> None:
        form: list[tuple[str, Any]] = [("prompt", "x"), ("model", "solo"), ("video", ("v.mp4", MP4, "text/plain"))]
        form += [("seconds", "4")] if operation == "extend_video" else []
        assert stage.call(operation, form=form).status == 200
        video = upstream.submits("solo.example")[0].body["video"]
        assert (bytes(video.data), video.content_type) == (MP4, "video/mp4")

    def test_an_order_says_how_long_its_source_is(
        self, stage: Stage, upstream: Upstream, video: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The order has the source's length: its own video, another deployment's video, the caller's clip."""
        provider, sources = load("openai"), []
        submit = provider.submit

        def listen(account: Account, order: Order) -> Progress:
            sources.append(order.source)
            return submit(account, order)

        monkeypatch.setattr(provider, "submit", listen)
        for model in ("solo", "sora-2"):
            body = {"prompt": "dusk", "model": model, "video": {"id": video}}
            assert stage.call("edit_video", json_body=body).status == 200
        form = [("prompt", "dusk"), ("model", "solo"), ("video", ("v.mp4", MP4 * 2, "video/mp4"))]
        assert stage.call("edit_video", form=form).status == 200
        assert [(source.clip is not None, source.seconds) for source in sources] == [(False, 3), (True, 3), (True, 6)]

    @pytest.mark.parametrize(
        ("function", "body", "waits"),
        [
            ("edit_video", {"prompt": "x", "video": "{id}"}, True),
            ("extend_video", {"prompt": "x", "video": "{id}", "seconds": "4"}, True),
            ("create_character", {"name": "Luna", "video": "{id}"}, False),
        ],
    )
    def test_a_video_that_is_not_finished(
        self, stage: Stage, upstream: Upstream, function: str, body: dict[str, str], waits: bool
    ) -> None:
        running = stage.create(model="solo").body["id"]
        filled = {name: running if value == "{id}" else value for name, value in body.items()}
        reply = stage.call(function, json_body=filled)
        if waits:
            assert (reply.status, reply.body["status"]) == (200, "queued")
        else:
            assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "video_not_ready", "video")
        upstream.finish("failed")
        stage.run()
        reply = stage.call(function, json_body=filled)
        assert (reply.status, reply.error["code"]) == (400, "video_failed")
        assert len(upstream.submits()) == 1

    def test_an_operation_that_the_model_cannot_do_names_those_that_can(self, stage: Stage, upstream: Upstream) -> None:
        form: list[tuple[str, Any]] = [("prompt", "x"), ("model", "wan"), ("video", ("v.mp4", MP4, "video/mp4"))]
        reply = stage.call("edit_video", form=form)
        assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "unsupported_operation", "model")
        assert "Models that can: sora-2, solo." in reply.error["message"]
        assert upstream.submits() == []

    def test_the_provider_lost_the_source(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.script.append(refuse(404))
        reply = stage.call("remix_video", json_body={"prompt": "snow"}, path={"video_id": video})
        assert reply.status == 404
        assert stage.listed()[0]["id"] == video


def test_a_create_that_dies_before_its_execution_is_started_orders_nothing(stage: Stage, upstream: Upstream) -> None:
    """Nobody drives the job until somebody looks at it, or the sweep does. Then it ends."""
    stage.edges.fatal = "StartExecution"
    with pytest.raises(Killed):
        stage.create(model="solo")
    (video,) = stage.listed()
    assert (video["status"], stage.executions.running) == ("queued", [])
    stage.clock.advance(SUBMITTED_SECONDS + 60)
    stage.show(video["id"])
    assert len(stage.executions.running) == 1
    stage.run()
    assert stage.show(video["id"])["error"]["code"] == "outcome_unknown"
    assert upstream.heard == []


def test_a_repeated_create_has_the_job_of_the_first_driven(stage: Stage, upstream: Upstream) -> None:
    stage.edges.fatal = "StartExecution"
    with pytest.raises(Killed):
        stage.create(model="solo", headers={"Idempotency-Key": "k"})
    stage.clock.advance(SUBMITTED_SECONDS + 60)
    assert stage.create(model="solo", headers={"Idempotency-Key": "k"}).status == 200
    assert len(stage.executions.running) == 1


@pytest.mark.parametrize(("limits", "before"), [(Limits(concurrent=1), 1), (Limits(budget=1), 0)])
def test_a_create_that_its_key_may_not_make_starts_no_execution(
    stage: Stage, upstream: Upstream, limits: Limits, before: int
) -> None:
    """An execution is billed, and a caller at its limit may call a hundred times a second."""
    stage.sign_in("blue", limits=limits)
    for _ in range(before):
        assert stage.create(model="solo").status == 200
    assert stage.create("Another fox", model="solo").status == 429
    assert len(stage.executions.started) == before


def test_an_order_whose_id_cannot_be_stored_is_told(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the table is away")

    monkeypatch.setattr(transitions, "ordered", fail)
    monkeypatch.setattr(submission, "needs_attention", lambda _what, _message, **facts: told.append(facts))
    assert stage.create(model="solo").status == 500
    assert told == [{"video": told[0]["video"], "deployment": "solo", "upstream_id": "video_0"}]


def test_a_create_whose_execution_cannot_be_started_orders_nothing(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_all(**_: Any) -> dict[str, str]:
        raise ClientError({"Error": {"Code": "ExecutionLimitExceeded", "Message": "x"}}, "StartExecution")

    with monkeypatch.context() as broken:
        broken.setattr(stage.executions, "start_execution", refuse_all)
        assert stage.create(model="solo", headers={"Idempotency-Key": "k"}).status == 500
    assert upstream.heard == []
    assert stage.listed() == []
    again = stage.create(model="solo", headers={"Idempotency-Key": "k"})
    assert (again.status, "idempotent-replayed" in again.headers) == (200, False)

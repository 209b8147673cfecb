"""The limits of a key: calls a minute, models, scopes; and the effect of revoking and rotating a key."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.clock import START
from tests.fakes.stage import NAMES, ROOT, Context, Reply, Stage, load
from tests.fakes.upstream import MP4, Upstream
from understudy.access import keys, rate_limit
from understudy.access.keys import Caller, Limits
from understudy.errors import RateLimited
from understudy.store import table
from understudy_cli import aws_options
from understudy_cli.main import main

HTTP = sorted(file.parent.name for file in (ROOT / "functions").glob("*/app.py") if "@Endpoint(" in file.read_text())
RATE = Limits(requests_per_minute=2)


def left(reply: Reply) -> tuple[str | None, str | None]:
    """Return the rate limit and the remaining calls that the client is told: (limit, remaining)."""
    return (reply.headers.get("x-ratelimit-limit-requests"), reply.headers.get("x-ratelimit-remaining-requests"))


class TestRate:
    """The rate limit of a key; the clock starts at the beginning of a minute, and each id moves it by 1 ms."""

    def test_a_minute_has_so_many(self, stage: Stage, upstream: Upstream) -> None:
        assert START % 60 == 0
        stage.sign_in("blue", limits=RATE)
        first, second = stage.create(), stage.create()
        assert [left(first), left(second)] == [("2", "1"), ("2", "0")]
        assert first.headers["x-ratelimit-reset-requests"] == "60s"
        stage.clock.advance(12)
        third = stage.create()
        assert (third.status, third.error["code"], left(third)) == (429, "rate_limit_exceeded", ("2", "0"))
        assert (third.headers["retry-after"], third.headers["x-ratelimit-reset-requests"]) == ("48", "48s")
        assert len(upstream.submits()) == 2

    def test_after_retry_after_it_goes_on(self, stage: Stage) -> None:
        stage.sign_in("blue", limits=RATE)
        for _ in range(2):
            stage.create()
        stage.clock.advance(37)
        stage.clock.advance(int(stage.create().headers["retry-after"]))
        again = stage.create()
        assert (again.status, left(again)) == (200, ("2", "1"))

    def test_a_second_before_the_next_minute(self, stage: Stage) -> None:
        stage.sign_in("blue", limits=RATE)
        stage.clock.now = START + 59.2
        for _ in range(2):
            assert stage.create().status == 200
        refused = stage.create()
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        stage.clock.advance(1)
        assert stage.create().status == 200

    @pytest.mark.parametrize(
        ("function", "call"),
        [
            ("get_video", {"path": {"video_id": "x"}}),
            ("list_videos", {}),
            ("get_character", {"path": {"character_id": "x"}}),
            ("list_characters", {}),
            ("get_upload", {"path": {"upload_id": "x"}}),
            ("list_models", {}),
        ],
    )
    def test_reads_are_free(self, stage: Stage, function: str, call: dict[str, Any]) -> None:
        stage.sign_in("blue", limits=RATE)
        statuses = {stage.call(function, **call).status for _ in range(30)}
        assert statuses <= {200, 404}
        assert "UpdateItem" not in stage.edges.touched
        assert left(stage.create()) == ("2", "1")

    def test_what_signs_or_changes_is_counted_apart(self, stage: Stage, upstream: Upstream) -> None:
        """Downloads have their own limit, ten times as high, and do not count against the creates."""
        upstream.instant = True
        stage.sign_in("blue", limits=RATE)
        video = stage.create().body["id"]
        stage.run()
        stage.clock.now = START + 24 * 3600
        replies = [stage.call("get_content", path={"video_id": video}) for _ in range(21)]
        assert [reply.status for reply in replies] == [302] * 20 + [429]
        assert left(replies[0]) == ("20", "19")
        assert "location" not in replies[20].headers
        assert stage.create().status == 200

    def test_a_refused_call_counts(self, stage: Stage) -> None:
        """A refused call counts, so that a caller cannot send bad requests without limit."""
        stage.sign_in("blue", limits=RATE)
        assert [stage.create(seconds="banana").status for _ in range(3)] == [400, 400, 429]

    def test_keys_of_a_team_have_their_own(self, stage: Stage) -> None:
        for _ in range(2):
            stage.sign_in("blue", limits=RATE)
            assert [stage.create().status for _ in range(3)] == [200, 200, 429]

    def test_a_key_without_limits_is_told_nothing_of_limits(self, stage: Stage) -> None:
        replies = [stage.create() for _ in range(20)]
        assert {reply.status for reply in replies} == {200}
        assert not any(name.startswith("x-ratelimit") for name in replies[0].headers)

    @pytest.mark.parametrize(
        "limits", [Limits(requests_per_minute=0), Limits(concurrent=0), Limits(concurrent=-1), Limits(budget=-1)]
    )
    def test_a_limit_that_cannot_be_meant_is_refused(self, stage: Stage, limits: Limits) -> None:
        with pytest.raises(ValueError, match="at least"):
            keys.mint("blue", limits=limits)


def between(stage: Stage, monkeypatch: pytest.MonkeyPatch, n: int, act: Callable[[], object]) -> None:
    """Let something else happen just before the n-th call to AWS from now."""
    touch, numbers, done = stage.edges.touch, itertools.count(), False

    def touched(name: str) -> None:
        nonlocal done
        if not done and next(numbers) == n:
            done = True
            act()
        touch(name)

    monkeypatch.setattr(stage.edges, "touch", touched)


class TestRaces:
    """Another environment with the same key calls in between, at every place; its clock may differ by seconds."""

    def admitted(self, caller: Caller) -> bool:
        try:
            rate_limit.admit(caller, "make")
        except RateLimited:
            return False
        return True

    @pytest.mark.parametrize("n", range(4))
    @pytest.mark.parametrize("before", [0, 1, 2])
    def test_never_more_and_never_less(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, n: int, before: int
    ) -> None:
        caller = stage.sign_in("blue", limits=RATE)
        self.admitted(caller)
        stage.clock.advance(60)
        results = [self.admitted(caller) for _ in range(before)]
        between(stage, monkeypatch, n, lambda: results.append(self.admitted(caller)))
        results.append(self.admitted(caller))
        results += [self.admitted(caller) for _ in range(2)]
        assert results.count(True) == 2

    @pytest.mark.parametrize("limits", [Limits(), Limits(requests_per_minute=5)])
    @pytest.mark.parametrize("n", range(3))
    def test_a_clock_that_is_behind_refuses_nobody(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, n: int, limits: Limits
    ) -> None:
        caller = stage.sign_in("blue", limits=limits)

        def next_minute() -> None:
            stage.clock.now += 2
            assert self.admitted(caller)
            stage.clock.now -= 2

        stage.clock.now = START + 59
        assert self.admitted(caller)
        between(stage, monkeypatch, n, next_minute)
        assert self.admitted(caller)
        next_minute()
        assert self.admitted(caller)

    def test_a_clock_that_is_behind_has_no_minute_of_its_own(self, stage: Stage) -> None:
        caller = stage.sign_in("blue", limits=RATE)
        stage.clock.now = START + 61
        assert [self.admitted(caller) for _ in range(2)] == [True, True]
        stage.clock.now = START + 59
        assert not self.admitted(caller)


class TestModels:
    """A key for some models reaches the deployments of these models and no other."""

    @pytest.fixture
    def own(self, stage: Stage, upstream: Upstream) -> str:
        """A finished video of a model that the test's key may not use."""
        upstream.instant = True
        video = str(stage.create(model="solo").body["id"])
        stage.run()
        upstream.heard.clear()
        return video

    def refused(self, reply: Reply, upstream: Upstream) -> None:
        assert (reply.status, reply.error["code"], reply.error["param"]) == (403, "model_not_allowed", "model")
        assert "wan" in reply.error["message"]
        assert upstream.heard == []

    @pytest.mark.parametrize("named", [{"model": "solo"}, {"target_model_names": "solo,wan"}, {}, {"model": "nobody"}])
    def test_create(self, stage: Stage, upstream: Upstream, named: dict[str, str]) -> None:
        stage.sign_in("blue", models=("wan",))
        self.refused(stage.create(**named), upstream)
        assert stage.executions.started == []

    @pytest.mark.parametrize(("operation", "more"), [("edit", {}), ("extend", {"seconds": "8"})])
    @pytest.mark.parametrize("named", [{"model": "solo"}, {}, {"model": "nobody"}])
    def test_edit_and_extend(
        self, stage: Stage, upstream: Upstream, own: str, operation: str, more: dict[str, str], named: dict[str, str]
    ) -> None:
        stage.sign_in("blue", models=("wan",))
        body = {"prompt": "x", "video": {"id": own}, **more, **named}
        self.refused(stage.call(f"{operation}_video", json_body=body), upstream)
        form = [("prompt", "x"), ("video", ("v.mp4", MP4, "video/mp4")), *more.items(), *named.items()]
        self.refused(stage.call(f"{operation}_video", form=form), upstream)

    def test_remix(self, stage: Stage, upstream: Upstream, own: str) -> None:
        stage.sign_in("blue", models=("wan",))
        self.refused(stage.call("remix_video", path={"video_id": own}, json_body={"prompt": "x"}), upstream)

    @pytest.mark.parametrize("named", [{"model": "solo"}, {"target_model_names": "solo"}, {}])
    def test_character(self, stage: Stage, upstream: Upstream, own: str, named: dict[str, str]) -> None:
        """Without a model, the character would be made at the default deployment, which the key may not use either."""
        stage.sign_in("blue", models=("wan",))
        body = {"name": "Luna", "video": {"id": own}, **named}
        self.refused(stage.call("create_character", json_body=body), upstream)

    @pytest.mark.parametrize("named", [{"model": "solo"}, {}])
    def test_upload_for_a_character(self, stage: Stage, upstream: Upstream, named: dict[str, str]) -> None:
        stage.sign_in("blue", models=("wan",))
        body = {"purpose": "character", "name": "Luna", "filename": "x", "bytes": 9, "mime_type": "video/mp4", **named}
        self.refused(stage.call("create_upload", json_body=body), upstream)

    def test_advice_names_no_others(self, stage: Stage, upstream: Upstream, own: str) -> None:
        """The advice names only models that the key may use; wan cannot edit, sora-2 and solo can."""
        body = {"prompt": "x", "model": "wan", "video": {"id": own}}
        for models, advice in (
            (("wan", "solo"), "Models that can: solo."),
            (("wan",), "No model of this key can."),
            ((), "Models that can: sora-2, solo."),
        ):
            stage.sign_in("blue", models=models)
            reply = stage.call("edit_video", json_body=body)
            assert (reply.status, reply.error["code"]) == (400, "unsupported_operation"), reply
            assert reply.error["message"].endswith(advice)

    def test_what_it_may(self, stage: Stage, upstream: Upstream) -> None:
        stage.sign_in("blue", models=("wan", "solo"))
        assert stage.create(model="wan").status == 200
        assert stage.create(model="solo").status == 200
        stage.character(model="solo")
        body = {"purpose": "video", "filename": "x", "bytes": 9, "mime_type": "video/mp4"}
        assert stage.call("create_upload", json_body=body).status == 200
        assert {one.host for one in upstream.heard} == {"plain.example", "solo.example"}


def authorize(key: str) -> dict[str, Any]:
    """Return the authorizer's answer for a key."""
    arn = "arn:aws:execute-api:us-east-1:1:api/v1/GET/videos"
    answer: dict[str, Any] = load("authorizer").handler({"methodArn": arn, "authorizationToken": f"Bearer {key}"}, None)
    return answer


def effect(answer: dict[str, Any]) -> str:
    (statement,) = answer["policyDocument"]["Statement"]
    return str(statement["Effect"])


WRITES: dict[str, dict[str, Any]] = {
    "create_video": {"json_body": {"prompt": "x"}},
    "create_character": {"form": [("name", "Luna"), ("video", ("v.mp4", MP4, "video/mp4"))]},
    "edit_video": {"form": [("prompt", "x"), ("video", ("v.mp4", MP4, "video/mp4"))]},
    "extend_video": {"form": [("prompt", "x"), ("seconds", "8"), ("video", ("v.mp4", MP4, "video/mp4"))]},
    "remix_video": {"path": {"video_id": "VIDEO"}, "json_body": {"prompt": "x"}},
    "delete_video": {"path": {"video_id": "VIDEO"}},
    "get_content": {"path": {"video_id": "VIDEO"}},
    "delete_character": {"path": {"character_id": "CHARACTER"}},
    "create_upload": {"json_body": {"purpose": "video", "filename": "x", "bytes": 9, "mime_type": "video/mp4"}},
    "sign_parts": {"path": {"upload_id": "UPLOAD"}},
    "complete_upload": {"path": {"upload_id": "UPLOAD"}},
    "cancel_upload": {"path": {"upload_id": "UPLOAD"}},
}


class TestRevoke:
    def test_every_route_is_a_read_or_in_the_table(self) -> None:
        counted = {name for name in HTTP if load(name).handler.endpoint.counts}
        assert counted == set(WRITES)
        plain = set(HTTP) - counted
        assert all(load(name).handler.endpoint.method == "GET" for name in plain)

    def test_writes_stop_at_once_and_reads_when_the_authorizer_is_asked(self, stage: Stage, upstream: Upstream) -> None:
        """Writes stop at once; reads stop when API Gateway asks the authorizer again.

        Until then API Gateway sends the cached context, with which `stage` calls.
        """
        upstream.instant = True
        key, stage.caller = keys.mint("blue")
        assert effect(authorize(key)) == "Allow"
        ids = {"VIDEO": stage.create(model="solo").body["id"], "CHARACTER": stage.character()}
        begun = {"purpose": "video", "filename": "x", "bytes": 200 * 2**20, "mime_type": "video/mp4"}
        ids["UPLOAD"] = stage.call("create_upload", json_body=begun).body["id"]
        stage.run()
        upstream.heard.clear()
        sent = len(stage.executions.started)

        keys.revoke(stage.caller.key_id)

        for function, call in WRITES.items():
            path = {name: ids[value] for name, value in call.get("path", {}).items()}
            reply = stage.call(function, **{**call, "path": path or None})
            assert (reply.status, reply.error["code"]) == (401, "invalid_api_key"), function
        assert upstream.heard == []
        assert len(stage.executions.started) == sent
        assert stage.call("get_video", path={"video_id": ids["VIDEO"]}).status == 200
        assert effect(authorize(key)) == "Deny"
        assert authorize(key)["context"] == {}

    def test_what_a_revoked_key_has_begun_is_finished(self, stage: Stage, upstream: Upstream) -> None:
        """A job of a revoked key is completed: the video is paid for and belongs to the team."""
        upstream.instant = True
        stage.sign_in("blue", limits=Limits(concurrent=1, budget=10_000_000))
        made = stage.create(model="solo")
        assert made.status == 200, made
        video, first = made.body["id"], stage.caller
        keys.revoke(first.key_id)
        stage.run()
        assert (table.get(table.slots_key(first.key_id)) or {})["open"] == {}
        stage.sign_in("blue")
        assert stage.show(video)["status"] == "completed"

    def test_a_replay_is_a_write(self, stage: Stage) -> None:
        caller = stage.sign_in("blue")
        headers = {"Idempotency-Key": "k"}
        assert stage.create(headers=headers).status == 200
        keys.revoke(caller.key_id)
        assert stage.create(headers=headers).status == 401

    def test_a_key_whose_row_is_gone(self, stage: Stage, upstream: Upstream) -> None:
        table.delete(table.api_key_key(stage.caller.key_id))
        assert stage.create().status == 401
        assert upstream.heard == []


class TestWithoutACaller:
    """A function that is invoked without the authorizer's context refuses and asks nobody."""

    @pytest.mark.parametrize("function", HTTP)
    @pytest.mark.parametrize(
        "context",
        [
            {},
            {"authorizer": None},
            {"authorizer": {}},
            {"authorizer": {"principalId": "anonymous"}},
            {"authorizer": {"team": "", "key_id": "k"}},
            {"authorizer": {"team": "blue"}},
            {"authorizer": {"team": ["blue"], "key_id": "k"}},
        ],
        ids=str,
    )
    def test_refuses(self, stage: Stage, function: str, context: dict[str, Any]) -> None:
        endpoint = load(function).handler.endpoint
        names = {"video_id": "v", "character_id": "c", "upload_id": "u"}
        event = {
            "resource": endpoint.path,
            "path": endpoint.path.format(**names),
            "httpMethod": endpoint.method,
            "headers": {
                "authorization": "Bearer us-whatever",
                "host": "blue",
                "x-team": "blue",
                "x-forwarded-for": "::1",
            },
            "multiValueHeaders": {},
            "queryStringParameters": {"team": "blue", "key_id": "k", "api_key": "us-x"},
            "pathParameters": names,
            "requestContext": {"requestId": "r", **context},
            "body": '{"team": "blue", "prompt": "x"}',
            "isBase64Encoded": False,
        }
        stage.edges.touched.clear()
        answer = load(function).handler(event, Context())
        assert answer["statusCode"] == 401
        assert '"code": "invalid_api_key"' in answer["body"]
        assert stage.edges.touched == []


class TestAuthorizer:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": ""},
            {"authorization": "Bearer"},
            {"authorization": "Bearer "},
            {"authorization": "KEY"},
            {"authorization": "Basic KEY"},
            {"authorization": "Bearer KEYx"},
            {"authorization": "Bearer HASH"},
            {"authorization": "Bearer us-HASH"},
            {"authorization": "Bearer us-" + "x" * 10_000},
            {"authorization": "Bearer us-\ud800"},
            {"x-api-key": "KEY"},
            {"api-key": "KEY"},
        ],
        ids=str,
    )
    def test_what_is_no_key(self, stage: Stage, headers: dict[str, str]) -> None:
        key, caller = keys.mint("blue")
        sent = {name: value.replace("KEY", key).replace("HASH", caller.key_id) for name, value in headers.items()}
        event = {"methodArn": "arn:aws:execute-api:r:1:api/v1/GET/videos", "headers": sent}
        event["queryStringParameters"] = {"key": key, "api_key": key, "Authorization": f"Bearer {key}"}
        answer = load("authorizer").handler(event, None)
        assert effect(answer) == "Deny"
        assert answer["context"] == {}

    def test_the_row_of_a_key_does_not_hold_it(self, stage: Stage) -> None:
        key, caller = keys.mint("blue")
        row = table.get(table.api_key_key(caller.key_id))
        assert key not in str(row)
        assert key.removeprefix("us-") not in str(row)
        assert effect(authorize(key)) == "Allow"


class TestOperators:
    """`understudy keys` on the stage's table."""

    @pytest.fixture
    def table_engine(self) -> str:
        return "moto"  # it can scan

    @pytest.fixture(autouse=True)
    def here(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(aws_options, "outputs", lambda name, *needed: {"TableName": NAMES["table"]})

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        capsys.readouterr()
        assert self.ended(*arguments) == 0
        return capsys.readouterr().out

    def ended(self, *arguments: str) -> Any:
        """Run `understudy keys` and return its exit code."""
        with pytest.raises(SystemExit) as ended:
            main(["keys", *arguments])
        return ended.value.code

    def test_rotate(self, stage: Stage, upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
        limits = ["--rpm", "7", "--concurrent", "3", "--budget", "12.5", "--scope", "raw_ids:solo"]
        old = self.run(capsys, "create", "--team", "blue", "--models", "solo,wan", *limits).split()[0]
        upstream.instant = True
        caller = keys.find(old)
        assert caller is not None
        stage.caller = caller
        video, character = stage.create(model="solo").body["id"], stage.character(model="solo")
        stage.run()
        committed = (table.get(table.budget_key(caller.key_id, "2027-01")) or {})["committed"]
        assert committed > 0

        new = self.run(capsys, "rotate", caller.key_id[:12]).split()[0]

        assert (effect(authorize(old)), effect(authorize(new))) == ("Deny", "Allow")
        assert stage.create(model="solo").status == 401
        successor = keys.find(new)
        assert successor is not None
        assert (successor.team, successor.models, successor.scopes) == (caller.team, caller.models, caller.scopes)
        facts = ("make_limit", "touch_limit", "concurrent", "budget", "models", "scopes", "team")
        rows = [table.get(table.api_key_key(one.key_id)) or {} for one in (caller, successor)]
        assert [rows[0][fact] for fact in facts] == [rows[1][fact] for fact in facts]
        assert rows[1]["budget"] == 12_500_000

        stage.caller = successor
        assert stage.show(video)["status"] == "completed"
        assert stage.call("get_content", path={"video_id": video}).status == 302
        used = stage.create(model="solo", characters=[{"id": character}])
        assert used.status == 200
        # A rotation does not renew the budget: 4 s more are reserved in the old one.
        held = (table.get(table.budget_key(caller.key_id, "2027-01")) or {})["committed"]
        assert held == committed + 4 * 100_000

    def test_a_rotation_frees_no_slots(
        self, stage: Stage, upstream: Upstream, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """However often a key is rotated, the open jobs of its predecessors count until they end."""
        text = self.run(capsys, "create", "--team", "blue", "--concurrent", "2").split()[0]
        for _ in range(2):
            stage.caller = self.found(text)
            assert stage.create(model="solo").status == 200
            text = self.run(capsys, "rotate", stage.caller.key_id).split()[0]
        stage.caller = self.found(text)
        refused = stage.create(model="solo")
        assert (refused.status, refused.error["code"]) == (429, "concurrency_limit")
        upstream.instant = True
        stage.run()
        for _ in range(2):
            assert stage.create(model="solo").status == 200
        assert stage.create(model="solo").status == 429

    @pytest.mark.parametrize(("n", "status"), [(0, 401), (1, 401), (2, 200), (3, 200), (4, 200)])
    def test_a_create_that_a_rotation_overtakes_counts_for_the_successor(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], n: int, status: int
    ) -> None:
        """A create during a rotation is refused, or its job takes the one slot of both keys."""
        stage.caller = self.found(self.run(capsys, "create", "--team", "blue", "--concurrent", "1").split()[0])
        new: list[str] = []
        between(stage, monkeypatch, n, lambda: new.append(self.run(capsys, "rotate", stage.caller.key_id).split()[0]))
        assert stage.create(model="solo").status == status
        stage.caller = self.found(new[0])
        assert stage.create(model="solo").status == (429 if status == 200 else 200)

    def found(self, text: str) -> Caller:
        caller = keys.find(text)
        assert caller is not None
        return caller

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path, toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The stage's deployments file, at the place where the command looks for it."""
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "deployments.toml").write_text(toml)
        monkeypatch.chdir(tmp_path)

    def test_scopes(self, stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        both = ["--scope", "raw_ids:solo", "--scope", "raw_ids:one"]
        caller = keys.find(self.run(capsys, "create", "--team", "blue", *both).split()[0])
        assert caller is not None
        assert caller.raw_ids == {"solo", "one"}
        (line,) = [line for line in self.run(capsys, "list").splitlines() if line.startswith(caller.key_id)]
        assert line.endswith("\traw_ids:one,raw_ids:solo")
        other = tmp_path / "other.toml"
        other.write_text("[deployments.elsewhere]")
        given = ["--deployments", str(other), "--scope", "raw_ids:elsewhere"]
        found = keys.find(self.run(capsys, "create", "--team", "blue", *given).split()[0])
        assert found is not None
        assert found.raw_ids == {"elsewhere"}

    @pytest.mark.parametrize(
        "scope", ["raw_ids", "raw_ids:", "raw_ids:nobody", "solo", "admin:solo", "raw_ids:solo one"]
    )
    def test_a_scope_that_there_is_not(self, stage: Stage, capsys: pytest.CaptureFixture[str], scope: str) -> None:
        before = list(keys.every())
        assert self.ended("create", "--team", "blue", "--scope", scope) == 1
        assert list(keys.every()) == before
        assert "scope" in (said := capsys.readouterr().err) or "no deployment" in said

    def test_the_key_is_shown_once(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        key = self.run(capsys, "create", "--team", "blue").split()[0]
        listed = self.run(capsys, "list")
        assert key not in listed
        caller = keys.find(key)
        assert caller is not None
        assert caller.key_id in listed
        self.run(capsys, "revoke", caller.key_id)
        assert keys.find(key) is None
        (line,) = [line for line in self.run(capsys, "list").splitlines() if line.startswith(caller.key_id)]
        assert "revoked" in line

    @pytest.mark.parametrize("action", ["revoke", "rotate"])
    def test_a_prefix_of_several_or_none_does_nothing(
        self, stage: Stage, capsys: pytest.CaptureFixture[str], action: str
    ) -> None:
        keys.mint("blue")
        before = list(keys.every())
        for prefix in ("", "nobody"):
            assert self.ended(action, prefix) == 1
        assert list(keys.every()) == before
        assert "0 keys" in capsys.readouterr().err

    @pytest.mark.parametrize("team", ["", "../red", "a/b", "a b", "é", "x" * 65, "-x"])
    def test_a_team_that_could_not_stand_in_a_bucket_key(
        self, stage: Stage, capsys: pytest.CaptureFixture[str], team: str
    ) -> None:
        before = list(keys.every())
        assert self.ended("create", f"--team={team}") == 1
        assert list(keys.every()) == before

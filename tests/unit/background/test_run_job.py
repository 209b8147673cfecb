"""`run_job`: every step of a job, the failures of each step, and that the job ends after each of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.edges import Killed
from tests.fakes.executions import MACHINE, Execution
from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Answering, Upstream, answer, lose, refuse
from understudy.access import keys
from understudy.background import archive, retries, run_job
from understudy.characters import handles
from understudy.deployments import config, routing
from understudy.deployments.config import deployments
from understudy.errors import ApiError, InvalidRequest, Reason, Refused
from understudy.files import clips
from understudy.jobs import transitions
from understudy.jobs.job import QUIET_SECONDS, Job
from understudy.providers.base import Account, NativeCharacter, Progress
from understudy.providers.openai import OpenAI
from understudy.store import bucket, clients, executions, table

PACE = 5.0
DEADLINE = 900  # of the deployment, by its options
HOST = "solo.example"
PRICE = 100_000  # micro-dollars a second of sora-2


@pytest.fixture
def video(stage: Stage) -> str:
    """A video that the provider has just accepted."""
    return submitted(stage)


def submitted(stage: Stage, prompt: str = "A fox", **body: Any) -> str:
    reply = stage.create(prompt, model="solo", **body)
    assert reply.status == 200, reply
    return str(reply.body["id"])


def job_of(stage: Stage, video_id: str | None = None) -> Job:
    """Return the newest job, or the job of a video id, from the table."""
    found = Job.page(stage.caller.team, limit=50, newest_first=True, after=None)
    if video_id is None:
        return found[0]
    from understudy import resources

    return next(job for job in found if resources.video_id(job) == video_id)


def execution_of(stage: Stage) -> Execution:
    """Return the execution of the newest job."""
    return stage.executions.of(job_of(stage).id)


def gaps(times: list[float]) -> list[int]:
    """Return the whole seconds between the times."""
    return [round(after - before) for before, after in itertools.pairwise(times)]


def settled(stage: Stage) -> int:
    """Return what the key has spent, in micro-dollars, after a check that it holds nothing more, and no slot."""
    key = stage.caller.key_id
    slots = table.get(table.slots_key(key))
    assert slots is None or slots["open"] == {}
    rows = [table.get(table.budget_key(key, month)) for month in {job.month for job in jobs(stage)} if month]
    spent = sum(int(row["spent"]) for row in rows if row)
    assert spent == sum(int(row["committed"]) for row in rows if row)
    entries = [table.get(table.entry_key(job.team, job.id, "settlement")) for job in jobs(stage)]
    assert spent == sum(int(entry["micro_dollars"]) for entry in entries if entry)
    return spent


def jobs(stage: Stage) -> list[Job]:
    """Return the team's jobs from the table."""
    return list(Job.page(stage.caller.team, limit=500, newest_first=True, after=None))


def forget_handles() -> None:
    """Delete what the table says about the team's characters at solo, so that they are made again."""
    for row in table.each(table.Key("team#blue", "handle#"), "handle#"):
        if row["deployment"] == "solo":
            table.delete(table.Key(row["pk"], row["sk"]))


def attention(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[str]:
    """Return a list of what the module will tell the operator."""
    told: list[str] = []
    monkeypatch.setattr(module, "needs_attention", lambda what, _message, **_facts: told.append(what))
    return told


def ended(stage: Stage, video_id: str) -> tuple[str, str | None]:
    """Return status and error code of the video, after a check that no execution is left or was given up."""
    assert stage.executions.running == []
    assert stage.executions.failed == []
    shown = stage.show(video_id)
    return shown["status"], (shown["error"] or {}).get("code")


def stored(name: str = "video.mp4") -> bytes:
    """Return the bytes of the only object with that name."""
    objects = clients.s3().list_objects_v2(Bucket="bucket").get("Contents", [])
    (key,) = [one["Key"] for one in objects if one["Key"].startswith("media/videos/") and one["Key"].endswith(name)]
    return clients.s3().get_object(Bucket="bucket", Key=key)["Body"].read()


class TestPolling:
    def test_a_job_ends_without_any_client(self, stage: Stage, upstream: Upstream, video: str) -> None:
        stage.run(60)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert stored() == MP4
        assert stored("thumbnail.webp")
        assert stored("spritesheet.jpg")

    def test_what_was_made_is_told(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.finish()
        stage.run()
        shown = stage.show(video)
        assert (shown["seconds"], shown["size"], shown["progress"]) == ("3", "1280x720", 100)
        assert shown["completed_at"] == int(stage.clock.now)

    def test_the_pace_is_the_providers_however_often_the_client_asks(
        self, stage: Stage, upstream: Upstream, video: str
    ) -> None:
        start = stage.clock.now
        while stage.clock.now < start + 60:
            assert stage.show(video)["status"] == "queued"
            stage.run(0.5)
            stage.clock.advance(0.5)
        times = [start, *(poll.at for poll in upstream.polls())]
        assert len(times) > 10
        assert all(after - before >= PACE for before, after in itertools.pairwise(times))

    @pytest.mark.parametrize("pace", [1, 7.5, 60])
    def test_the_deployment_may_set_its_own_pace(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str, pace: float
    ) -> None:
        configure(
            toml.replace('models = { "solo" = "sora-2" }', f'models = {{ "solo" = "sora-2" }}\npoll_seconds = {pace}')
        )
        start = stage.clock.now
        reply = stage.create(model="solo")
        assert reply.headers["openai-poll-after-ms"] == str(int(pace * 1000))
        stage.run(pace * 5)
        times = [start, *(poll.at for poll in upstream.polls())]
        assert len(times) >= 4
        assert all(after - before >= pace for before, after in itertools.pairwise(times))

    def test_the_pace_falls_with_the_age_of_the_job(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        """A job is polled when it is a twelfth older. An hour at the provider takes fewer than 100 polls."""
        configure(toml.replace("deadline_seconds = 900", "deadline_seconds = 7200"))
        video = submitted(stage)
        start = stage.clock.now
        stage.run(3600)
        times = [poll.at - start for poll in upstream.polls()]
        assert 60 < len(times) < 100
        for before, after in itertools.pairwise(times):
            longest = max(PACE, min(before / run_job.POLLS_PER_AGE, run_job.SLOWEST_POLL))
            assert PACE <= after - before <= longest + 1  # a wait has whole seconds
        assert gaps(times)[:11] == [PACE] * 11  # the first minute
        assert gaps(times)[-10:] == [run_job.SLOWEST_POLL] * 10
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert stage.clock.now - start - 3600 <= run_job.SLOWEST_POLL

    def test_a_slower_pace_of_the_provider_stays(
        self, stage: Stage, upstream: Upstream, configure: Callable[[str], None], toml: str
    ) -> None:
        slow = toml.replace("deadline_seconds = 900", "deadline_seconds = 7200")
        configure(slow.replace('"solo" = "sora-2" }', '"solo" = "sora-2" }\npoll_seconds = 300'))
        submitted(stage)
        stage.run(3600)
        assert set(gaps([poll.at for poll in upstream.polls()])) == {300}

    def test_progress_goes_on_and_never_back(self, stage: Stage, upstream: Upstream, video: str) -> None:
        seen = []
        for told in (10, 60, 40, 100, 70):
            upstream.finish("in_progress")
            upstream.videos[f"{HOST}/video_0"]["progress"] = told
            stage.work()
            seen.append(stage.show(video)["progress"])
        assert seen == [10, 60, 60, 98, 98]
        assert stage.show(video)["status"] == "in_progress"

    def test_an_unknown_word_is_in_progress(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.finish("warming_up", progress=0)
        stage.work()
        assert stage.show(video)["status"] == "in_progress"

    def test_a_failure_keeps_the_providers_words_without_our_key(
        self, stage: Stage, upstream: Upstream, video: str
    ) -> None:
        upstream.finish("failed", error={"code": "moderation_blocked", "message": "Blocked, says key-c, after all."})
        stage.run()
        assert ended(stage, video) == ("failed", "moderation_blocked")
        assert stage.show(video)["error"]["message"] == "Blocked, says ***, after all."
        assert stage.show(video)["completed_at"]

    def test_a_job_that_never_ends_is_ended(self, stage: Stage, upstream: Upstream, video: str) -> None:
        job = job_of(stage)
        assert job.late_at == int(stage.clock.now) + DEADLINE
        stage.clock.now = job.late_at - PACE
        stage.work()
        assert stage.show(video)["status"] == "queued"
        stage.clock.now = job.late_at + 1.0
        stage.run()
        assert ended(stage, video) == ("failed", "provider_timeout")

    def test_a_job_that_is_done_late_is_still_fetched(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.finish()
        stage.clock.advance(2 * DEADLINE)
        stage.run()
        assert ended(stage, video) == ("completed", None)


FAILURES: list[Answering] = [
    refuse(500),
    refuse(503, "overloaded"),
    refuse(429),
    refuse(401),
    refuse(403),
    refuse(400),
    answer(200, "<html>"),
    answer(200, b"null"),
    answer(503, "<html>"),
    lose(httpx.ConnectError),
    lose(httpx.ReadTimeout),
    lose(httpx.RemoteProtocolError),
]


class TestPollTroubles:
    """A paid video is not given up because the provider is unavailable for a while."""

    @pytest.mark.parametrize("failure", FAILURES)
    def test_it_goes_on_when_the_provider_is_back(
        self, stage: Stage, upstream: Upstream, video: str, failure: Answering
    ) -> None:
        upstream.rules["GET", HOST, "/video_0"] = failure
        stage.run(300)
        assert stage.show(video)["status"] == "queued"
        upstream.rules.clear()
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_the_pauses_grow_and_are_never_shorter_than_the_pace(
        self, stage: Stage, upstream: Upstream, video: str
    ) -> None:
        upstream.rules["GET", HOST, "/video_0"] = answer(503, "<html>")
        stage.run(900)
        delays = gaps([poll.at for poll in upstream.polls()])
        assert delays[:8] == [5, 5, 5, 8, 16, 32, 64, 120]
        assert set(delays[8:]) == {120}

    def test_after_it_the_pace_is_the_usual_one(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.rules["GET", HOST, "/video_0"] = refuse(503)
        stage.run(300)
        upstream.rules.clear()
        stage.work()
        age = stage.clock.now - job_of(stage).created_at
        assert execution_of(stage).seconds == math.ceil(age / 12)
        assert job_of(stage).troubles == 0

    def test_its_deadline_ends_it(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.rules["GET", HOST, "/video_0"] = refuse(401)
        start = stage.clock.now
        stage.run()
        assert ended(stage, video) == ("failed", "provider_timeout")
        assert DEADLINE < stage.clock.now - start < DEADLINE + 300
        assert "key" not in stage.show(video)["error"]["message"]

    def test_a_video_that_the_provider_lost(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.videos.clear()
        stage.run()
        assert ended(stage, video) == ("failed", "provider_lost_video")
        assert gaps([poll.at for poll in upstream.polls()]) == [5, 5, 5, 8, 16, 32, 64, 120, 120, 120, 120]

    @pytest.mark.parametrize("times", [1, retries.MOST - 1])
    def test_a_404_for_two_minutes_is_no_loss(self, stage: Stage, upstream: Upstream, video: str, times: int) -> None:
        """Servers behind a balancer may need a moment to know their own job."""
        upstream.script += [refuse(404)] * times
        upstream.instant = True
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_a_key_that_was_rotated_is_read_again(self, stage: Stage, upstream: Upstream, video: str) -> None:
        clients.secretsmanager().put_secret_value(SecretId="understudy/c", SecretString="new-key")

        def check(request: httpx.Request) -> httpx.Response:
            good = request.headers["authorization"] == "Bearer new-key"
            return upstream.serve(request) if good else refuse(401)(request)

        upstream.rules["GET", HOST, ""] = check
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_a_key_that_is_gone_is_a_passing_trouble(self, stage: Stage, upstream: Upstream, video: str) -> None:
        from tests.unit.conftest import cold_start

        clients.secretsmanager().delete_secret(SecretId="understudy/c", ForceDeleteWithoutRecovery=True)
        cold_start()
        stage.run(60)
        assert stage.show(video)["status"] == "queued"
        clients.secretsmanager().create_secret(Name="understudy/c", SecretString="key-c")
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)


def half(request: httpx.Request) -> httpx.Response:
    """Answer with a file whose connection fails in the middle."""

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield MP4[:2000]
            raise httpx.ReadError("reset")

    return httpx.Response(200, stream=Stream(), headers={"content-type": "video/mp4"})


BAD_FILES: dict[str, Answering] = {
    "html": answer(200, "<html>Please log in</html>" * 100, "video/mp4"),
    "short html": answer(200, "<html>", "video/mp4"),
    "empty": answer(200, b"", "video/mp4"),
    "half": half,
    "json": answer(200, b'{"error": "later"}', "video/mp4"),
    "500": refuse(500),
    "401": refuse(401, "invalid_api_key", "Incorrect API key provided: key-c"),
    "reset": lose(httpx.ReadError),
    "slow": lose(httpx.ReadTimeout),
}


class TestFetching:
    """A finished video is fetched, and fetched again as long as that can succeed."""

    @pytest.mark.parametrize("bad", BAD_FILES.values(), ids=BAD_FILES)
    def test_a_bad_file_is_fetched_again(self, stage: Stage, upstream: Upstream, video: str, bad: Answering) -> None:
        upstream.rules["GET", HOST, "/content"] = bad
        upstream.finish()
        stage.run(300)
        shown = stage.show(video)
        assert (shown["status"], shown["progress"]) == ("in_progress", 99)
        upstream.rules.clear()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert stored() == MP4

    @pytest.mark.parametrize("bad", ["html", "401"])
    def test_one_that_stays_bad_ends_with_the_deadline(
        self, stage: Stage, upstream: Upstream, video: str, bad: str
    ) -> None:
        upstream.rules["GET", HOST, "/content"] = BAD_FILES[bad]
        upstream.finish()
        start = stage.clock.now
        stage.run()
        assert ended(stage, video) == ("failed", "output_unavailable")
        assert stage.clock.now - start > DEADLINE
        assert "key" not in stage.show(video)["error"]["message"]

    def test_a_file_that_is_gone_is_given_up_earlier(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.rules["GET", HOST, "/content"] = refuse(404)
        upstream.finish()
        start = stage.clock.now
        stage.run()
        assert ended(stage, video) == ("failed", "output_unavailable")
        assert 60 < stage.clock.now - start < DEADLINE

    def test_an_output_that_is_too_large(
        self, stage: Stage, upstream: Upstream, video: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive, "MAX_OUTPUT", 1000)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("failed", "output_unavailable")

    def test_what_the_provider_takes_back_meanwhile(self, stage: Stage, upstream: Upstream, video: str) -> None:
        """A video that was completed and then withheld by moderation ends as moderation_blocked."""
        upstream.rules["GET", HOST, "/content"] = refuse(403, "moderation", "withheld")
        upstream.finish()
        stage.work()
        upstream.finish("failed", error={"code": "moderation_blocked", "message": "Withheld."})
        stage.run()
        assert ended(stage, video) == ("failed", "moderation_blocked")

    def test_pieces_of_any_size_are_put_together(self, stage: Stage, upstream: Upstream, video: str) -> None:
        pieces = [MP4[:3], MP4[3:40], b"", MP4[40:41], MP4[41:]]

        class Stream(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                yield from pieces

        upstream.rules["GET", HOST, "/content"] = lambda request: httpx.Response(200, stream=Stream())
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert stored() == MP4


class TestPreviews:
    """A video is delivered even if its thumbnail cannot be made."""

    def failing(self, monkeypatch: pytest.MonkeyPatch, error: ApiError, times: int) -> None:
        previews, left = clips.previews, itertools.count(1)

        def fail(key: str, prefix: str, deadline: float) -> dict[str, Any]:
            if next(left) <= times:
                raise error
            return previews(key, prefix, deadline)

        monkeypatch.setattr(clips, "previews", fail)

    @pytest.mark.parametrize("error", [ApiError("no", code="media_failed"), InvalidRequest("no", code="unreadable")])
    def test_a_passing_failure(
        self, stage: Stage, upstream: Upstream, video: str, monkeypatch: pytest.MonkeyPatch, error: ApiError
    ) -> None:
        self.failing(monkeypatch, error, 2)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert stored("thumbnail.webp")

    @pytest.mark.parametrize("error", [ApiError("no", code="media_failed"), InvalidRequest("no", code="unreadable")])
    def test_one_that_stays(
        self, stage: Stage, upstream: Upstream, video: str, monkeypatch: pytest.MonkeyPatch, error: ApiError
    ) -> None:
        self.failing(monkeypatch, error, 1000)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert stored() == MP4
        shown = stage.show(video)
        assert (shown["seconds"], shown["size"]) == ("4", "720x1280")
        path = {"video_id": video}
        assert stage.call("get_content", path=path).status == 302
        missing = stage.call("get_content", path=path, query={"variant": "thumbnail"})
        assert (missing.status, missing.error["code"]) == (404, "variant_not_found")

    @pytest.mark.parametrize("code", sorted(archive.UNSEEN))
    def test_a_video_that_is_too_much_for_us_is_done_at_once(
        self, stage: Stage, upstream: Upstream, video: str, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        self.failing(monkeypatch, InvalidRequest("no", code=code), 1000)
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert len([one for one in upstream.heard if one.path.endswith("/content")]) == 1


class TestRepeats:
    """Lambda may run a step twice, one after the other or both at once."""

    @pytest.fixture(autouse=True)
    def budget(self, stage: Stage) -> None:
        stage.sign_in("blue", limits=keys.Limits(concurrent=1, budget=10_000_000))

    def test_a_step_of_an_ended_job_does_nothing(self, stage: Stage, upstream: Upstream) -> None:
        video = submitted(stage)
        upstream.finish()
        stage.run()
        before = (len(upstream.heard), job_of(stage), settled(stage))
        execution = stage.executions.of(job_of(stage).id)
        for _ in range(3):
            assert stage.repeat(execution) == {"done": True, "seconds": 0}
        assert (len(upstream.heard), job_of(stage), settled(stage)) == before
        assert ended(stage, video) == ("completed", None)

    @pytest.mark.parametrize("with_character", [False, True])
    def test_every_step_may_be_run_twice(self, stage: Stage, upstream: Upstream, with_character: bool) -> None:
        body: dict[str, Any] = {"characters": [{"id": stage.character()}]} if with_character else {}
        video = submitted(stage, **body)
        for _ in range(4):
            stage.work()
            stage.repeat(execution_of(stage))
        upstream.finish()
        stage.work()
        stage.repeat(execution_of(stage))
        assert ended(stage, video) == ("completed", None)
        assert len(upstream.submits()) == 1
        assert settled(stage) == 3 * PRICE

    def test_two_polls_at_once_keep_the_job_going(self, stage: Stage, upstream: Upstream) -> None:
        video = submitted(stage)
        results: list[dict[str, Any]] = []

        def meanwhile(request: httpx.Request) -> httpx.Response:
            results.append(stage.repeat(execution_of(stage)))
            return upstream.serve(request)

        upstream.script.append(meanwhile)
        stage.work()
        assert results == [{"done": False, "seconds": PACE}]
        assert len(upstream.polls()) == 2
        assert len(stage.executions.running) == 1
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_two_fetches_at_once_complete_the_video_once(self, stage: Stage, upstream: Upstream) -> None:
        video = submitted(stage)
        results: list[dict[str, Any]] = []
        completed: list[Job] = []

        def meanwhile(request: httpx.Request) -> httpx.Response:
            if not results:
                results.append({})
                results[0] |= stage.repeat(execution_of(stage))
                completed.append(job_of(stage))
            return upstream.serve(request)

        upstream.rules["GET", HOST, "/content"] = meanwhile
        upstream.finish()
        stage.work()
        assert results == [{"done": True, "seconds": 0}]
        assert [job.state for job in completed] == ["completed"]
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert job_of(stage) == replace(completed[0], seen=True)
        assert settled(stage) == 3 * PRICE

    def test_a_step_that_is_repeated_while_the_order_is_sent_waits(self, stage: Stage, upstream: Upstream) -> None:
        video = submitted(stage, characters=[{"id": stage.character()}])
        results: list[dict[str, Any]] = []

        def meanwhile(request: httpx.Request) -> httpx.Response:
            assert job_of(stage).state == "submitting"
            results.append(stage.repeat(execution_of(stage)))
            return upstream.serve(request)

        upstream.rules["POST", HOST, "/videos"] = meanwhile
        stage.work()
        assert results == [{"done": False, "seconds": PACE}]
        assert len(upstream.submits()) == 1
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    @pytest.mark.parametrize("dies", [False, True])
    @pytest.mark.parametrize("with_character", [False, True])
    def test_a_copy_may_run_at_any_moment(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, with_character: bool, dies: bool
    ) -> None:
        """A whole copy runs at each touch of the outside world in turn. After it, the first one goes on, or dies."""
        character = stage.character()
        upstream.instant = True
        body = {"characters": [{"id": character}]} if with_character else {}
        touch, left, unknown = stage.edges.touch, -1, 0

        def touched(name: str) -> None:
            nonlocal left
            left -= 1
            touch(name)
            if left == -1:
                stage.repeat(execution_of(stage))
                if dies:
                    raise Killed

        monkeypatch.setattr(stage.edges, "touch", touched)
        for n in itertools.count():
            forget_handles()
            before = len(upstream.submits())
            spent = settled(stage)
            video = submitted(stage, f"copy {n}", **body)
            left = n
            stage.run()
            copied, left = left < 0, -1
            status, code = ended(stage, video)
            orders = len(upstream.submits()) - before
            assert orders <= 1
            if code == "outcome_unknown":
                unknown += 1  # the first one died while it sent the order, before it wrote down what came of it
                assert settled(stage) - spent == job_of(stage).hold
            else:
                assert (status, code, orders) == ("completed", None, 1)
                assert settled(stage) - spent == 3 * PRICE
            if not copied:
                break
        assert n > (20 if with_character else 10)
        assert (unknown > 0) == (with_character and dies)

    def test_a_row_that_moved_meanwhile_is_looked_at_again(self, stage: Stage, upstream: Upstream) -> None:
        """A job that changed between our read and our write is read again in the next step."""
        video = submitted(stage)

        def meanwhile(request: httpx.Request) -> httpx.Response:
            transitions.move(job_of(stage), "archiving")
            return upstream.serve(request)

        upstream.script.append(meanwhile)
        stage.work()
        assert execution_of(stage).seconds == 1
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)


class TestMissingRow:
    """The execution of a job that was refused, or deleted."""

    def test_an_execution_without_a_job_ends_at_once(self, stage: Stage, upstream: Upstream) -> None:
        executions.start_job("blue", "nobody", 1, 1)
        assert stage.run() == 1
        assert [one.status for one in stage.executions.all.values()] == ["SUCCEEDED"]
        assert upstream.heard == []

    def test_a_video_that_was_deleted_ends_at_once(self, stage: Stage, upstream: Upstream, video: str) -> None:
        stage.run(60)
        heard = len(upstream.heard)
        transitions.delete(job_of(stage))
        assert stage.run() == 1
        assert stage.executions.running == stage.executions.failed == []
        assert len(upstream.heard) == heard

    @pytest.mark.parametrize("work", [{}, {"team": "blue"}, {"delete": "video"}])
    def test_an_execution_whose_input_says_nothing_fails(
        self, stage: Stage, upstream: Upstream, work: dict[str, Any]
    ) -> None:
        """An operator can start an execution by hand, with any input."""
        given = json.dumps({**work, "next": {"seconds": 1}})
        stage.executions.start_execution(stateMachineArn=MACHINE, name="by-hand", input=given)
        stage.run()
        assert [one.name for one in stage.executions.failed] == ["by-hand"]
        assert upstream.heard == []


class TestDeath:
    """The process dies at each touch of the outside world in turn, and the state machine retries the step."""

    @pytest.mark.parametrize("with_character", [False, True])
    def test_the_job_is_completed_all_the_same(self, stage: Stage, upstream: Upstream, with_character: bool) -> None:
        character = stage.character()  # made at another deployment: a handle has to be made first
        upstream.instant = True
        body = {"characters": [{"id": character}]} if with_character else {}
        unknown = 0
        for n in itertools.count():
            upstream.heard.clear()
            forget_handles()
            video = submitted(stage, f"death {n}", **body)
            stage.edges.fatal = n
            stage.run()
            lived, stage.edges.fatal = stage.edges.fatal is not None, None
            status, code = ended(stage, video)
            assert len(upstream.submits()) <= 1
            if code == "outcome_unknown":
                unknown += 1  # it died after the submit, before it wrote down what came of it
            else:
                assert (status, code) == ("completed", None)
                assert len(upstream.submits()) == 1
            if lived:
                break
        assert n > (20 if with_character else 10)
        assert (unknown > 0) == with_character

    @pytest.fixture
    def limited(self, stage: Stage) -> None:
        stage.sign_in("blue", limits=keys.Limits(concurrent=1, budget=10_000_000))

    def die(self, *_given: Any) -> Any:
        raise Killed

    @pytest.mark.usefixtures("limited")
    def test_one_that_always_dies_is_closed(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = attention(monkeypatch, run_job)
        video = submitted(stage)
        upstream.rules["GET", HOST, ""] = self.die
        start = stage.clock.now
        stage.run()
        assert [one.stopped_by for one in stage.executions.failed] == ["GivenUp"]
        assert stage.executions.running == []
        shown = stage.show(video)
        assert (shown["status"], shown["error"]["code"]) == ("failed", "internal_error")
        assert "may be billed" in shown["error"]["message"]
        assert 35 * 60 < stage.clock.now - start < 45 * 60
        assert len(upstream.polls()) == 15
        assert told == ["step_died"]
        assert settled(stage) == job_of(stage).hold == 4 * PRICE  # the slot is free, too
        assert stage.create("Another", model="solo").status == 200

    @pytest.mark.usefixtures("limited")
    def test_one_that_always_dies_before_the_order_costs_nothing(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handles, "ensure", self.die)
        video = submitted(stage, characters=[{"id": stage.character()}])
        stage.run()
        assert [one.stopped_by for one in stage.executions.failed] == ["GivenUp"]
        shown = stage.show(video)
        assert (shown["status"], shown["error"]["code"]) == ("failed", "internal_error")
        assert "billed" not in shown["error"]["message"]
        assert settled(stage) == 0
        assert upstream.submits() == []

    def test_one_that_dies_for_half_an_hour_goes_on(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.rules["GET", HOST, ""] = self.die
        stage.run(1800)
        assert execution_of(stage).steps > 10
        upstream.rules.clear()
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_only_deaths_in_a_row_count(self, stage: Stage, upstream: Upstream, video: str) -> None:
        for _ in range(3):
            upstream.script += [self.die] * 6
            stage.run(200)
            assert upstream.script == []
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_a_job_that_ended_meanwhile_is_not_closed_again(
        self, stage: Stage, upstream: Upstream, video: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upstream.finish()
        stage.run()
        before = job_of(stage)
        told = attention(monkeypatch, run_job)
        run_job.close("blue", before.id)
        run_job.close("blue", "nobody")
        assert job_of(stage) == before
        assert told == []


class TestPreparing:
    """A slow step comes before the order: a character is made at the provider."""

    @pytest.fixture
    def character(self, stage: Stage) -> str:
        return stage.character()

    def order(self, stage: Stage, character: str) -> str:
        reply = stage.create("Luna dances", model="solo", characters=[{"id": character}])
        assert (reply.status, reply.body["status"]) == (200, "queued"), reply
        return str(reply.body["id"])

    def test_the_worker_makes_it_and_submits(self, stage: Stage, upstream: Upstream, character: str) -> None:
        video = self.order(stage, character)
        assert upstream.submits() == []
        stage.work()
        (submit,) = upstream.submits(HOST)
        assert submit.body["characters"] == [{"id": "char_solo.example_1"}]
        assert stage.show(video)["id"] == video
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)

    def test_the_second_video_uses_the_same_handle(self, stage: Stage, upstream: Upstream, character: str) -> None:
        upstream.instant = True
        for _ in range(2):
            self.order(stage, character)
            stage.run()
        assert len([one for one in upstream.heard if one.host == HOST and one.path.endswith("/characters")]) == 1
        assert len(upstream.submits(HOST)) == 2

    @pytest.mark.parametrize("refusal", [refuse(429), refuse(503), lose(httpx.ConnectError)])
    def test_a_passing_refusal_is_tried_again(
        self, stage: Stage, upstream: Upstream, character: str, refusal: Answering
    ) -> None:
        upstream.instant = True
        video = self.order(stage, character)
        upstream.script += [refusal, refusal]
        stage.run()
        assert ended(stage, video) == ("completed", None)

    @pytest.mark.parametrize(
        ("refusal", "code"), [(refuse(429), "rate_limit_exceeded"), (refuse(503), "provider_unavailable")]
    )
    def test_one_that_does_not_pass_ends_it(
        self, stage: Stage, upstream: Upstream, character: str, refusal: Answering, code: str
    ) -> None:
        video = self.order(stage, character)
        upstream.rules["POST", HOST, ""] = refusal
        stage.run()
        assert ended(stage, video) == ("failed", code)
        assert upstream.submits() == []

    def test_a_character_that_the_provider_refuses(self, stage: Stage, upstream: Upstream, character: str) -> None:
        upstream.rules["POST", HOST, "/characters"] = refuse(400, "moderation_blocked", "No people (key-c).")
        video = self.order(stage, character)
        stage.run()
        assert ended(stage, video) == ("failed", "moderation_blocked")
        assert stage.show(video)["error"]["message"] == "No people (***)."
        remembered = stage.create("Luna dances", model="solo", characters=[{"id": character}])
        assert (remembered.status, remembered.error["code"]) == (400, "moderation_blocked")
        assert remembered.error["param"] == "characters[0]"
        assert len([one for one in upstream.heard if one.host == HOST]) == 1

    def test_a_lost_answer_about_a_character_is_no_lost_video(
        self, stage: Stage, upstream: Upstream, character: str
    ) -> None:
        upstream.instant = True
        video = self.order(stage, character)
        upstream.script.append(lose())
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert len(upstream.submits()) == 1

    @pytest.mark.parametrize("lost", [lose(), refuse(500), answer(200, "<html>")])
    def test_a_lost_answer_to_the_submit_ends_it(
        self, stage: Stage, upstream: Upstream, character: str, lost: Answering
    ) -> None:
        video = self.order(stage, character)
        upstream.rules["POST", HOST, "/videos"] = lost
        stage.run()
        assert ended(stage, video) == ("failed", "outcome_unknown")
        assert len(upstream.submits()) == 1

    def test_a_refused_submit_ends_it_with_the_reason(self, stage: Stage, upstream: Upstream, character: str) -> None:
        video = self.order(stage, character)
        upstream.rules["POST", HOST, "/videos"] = refuse(400, "moderation_blocked", "Not this.")
        stage.run()
        assert ended(stage, video) == ("failed", "moderation_blocked")
        assert len(upstream.submits()) == 1

    def test_a_missing_key_is_not_taken_for_a_lost_answer(
        self, stage: Stage, upstream: Upstream, character: str
    ) -> None:
        """Without a key nothing is sent, so the outcome is known and nothing can be billed."""
        upstream.instant = True
        assert ended(stage, _ran(stage, self.order(stage, character))) == ("completed", None)  # the handle is there
        from tests.unit.conftest import cold_start

        clients.secretsmanager().delete_secret(SecretId="understudy/c", ForceDeleteWithoutRecovery=True)
        cold_start()
        reply = stage.create("Luna", model="solo", characters=[{"id": character}])
        assert (reply.status, reply.error["code"]) == (502, "provider_credentials")
        assert len(upstream.submits()) == 1

    def test_a_character_deleted_meanwhile_is_left_out(self, stage: Stage, upstream: Upstream, character: str) -> None:
        upstream.instant = True
        video = self.order(stage, character)
        assert stage.call("delete_character", path={"character_id": character}).status == 200
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert "characters" not in upstream.submits()[0].body


def _ran(stage: Stage, video: str) -> str:
    stage.run()
    return video


class TestUnknown:
    """A provider that can be asked, by our reference, about an order whose outcome is unknown."""

    @pytest.fixture(autouse=True)
    def findable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: Progress | Exception | None = None
        profile = OpenAI.profile
        self.asked: list[str] = []

        def find(provider: OpenAI, account: Account, reference: str) -> Progress | None:
            self.asked.append(reference)
            if isinstance(self.found, Exception):
                raise self.found
            return self.found

        monkeypatch.setattr(OpenAI, "profile", lambda *given: replace(profile(*given), findable=True))
        monkeypatch.setattr(OpenAI, "find", find)

    def lost(self, stage: Stage, upstream: Upstream) -> str:
        upstream.script.append(lose())
        video = submitted(stage)
        assert stage.show(video)["status"] == "in_progress"
        return video

    def test_it_is_found_and_goes_on(self, stage: Stage, upstream: Upstream) -> None:
        video = self.lost(stage, upstream)
        stage.work()
        assert self.asked == [job_of(stage).id]
        upstream.videos[f"{HOST}/video_9"] = {"id": "video_9", "status": "completed"}
        self.found = Progress("video_9", "in_progress")
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert len(upstream.submits()) == 1

    def test_it_is_not_there(self, stage: Stage, upstream: Upstream) -> None:
        video = self.lost(stage, upstream)
        stage.run()
        assert ended(stage, video) == ("failed", "outcome_unknown")
        assert len(upstream.submits()) == 1

    def test_the_provider_cannot_be_asked(self, stage: Stage, upstream: Upstream) -> None:
        from understudy.errors import OutcomeUnknown

        self.found = OutcomeUnknown("down")
        video = self.lost(stage, upstream)
        start = stage.clock.now
        stage.run()
        assert ended(stage, video) == ("failed", "outcome_unknown")
        assert stage.clock.now - start > run_job.LOST_SECONDS


class TestConfiguration:
    """A deployment leaves the file while a job is in progress, by mistake or for good."""

    @pytest.fixture
    def remove(self, configure: Callable[[str], None], toml: str) -> Callable[[], None]:
        before, _, after = toml.partition("[deployments.solo]")

        def remove() -> None:
            configure(before + "[deployments" + after.partition("[deployments")[2])
            assert config.deployments().find("solo") is None

        return remove

    @pytest.mark.parametrize("state", ["running", "archiving"])
    def test_what_was_ordered_is_there_when_it_comes_back(
        self,
        stage: Stage,
        upstream: Upstream,
        video: str,
        configure: Callable[[str], None],
        toml: str,
        remove: Callable[[], None],
        state: str,
    ) -> None:
        if state == "archiving":
            upstream.rules["GET", HOST, "/content"] = refuse(503)
            upstream.finish()
            stage.work()
            upstream.rules.clear()
        assert job_of(stage).state == state
        upstream.finish()
        remove()
        heard = len(upstream.heard)
        stage.run(DEADLINE + 600)
        assert stage.show(video)["status"] in {"queued", "in_progress"}
        assert len(upstream.heard) == heard
        configure(toml)
        stage.run()
        assert ended(stage, video) == ("completed", None)
        assert len(upstream.submits()) == 1

    def test_a_job_that_waits_for_it_is_not_quiet(
        self, stage: Stage, upstream: Upstream, video: str, remove: Callable[[], None]
    ) -> None:
        """The sweep looks only after quiet jobs. A step that changes nothing else writes when it was."""
        remove()
        for _ in range(10):
            stage.run(QUIET_SECONDS / 5)
            job = job_of(stage)
            assert not job.quiet
            assert stage.clock.now - job.touched_at < run_job.TOUCH_SECONDS + 2 * run_job.PAUSE

    def test_it_is_not_waited_for_for_ever(
        self, stage: Stage, upstream: Upstream, video: str, remove: Callable[[], None]
    ) -> None:
        remove()
        start = stage.clock.now
        stage.run()
        assert ended(stage, video) == ("failed", "deployment_removed")
        assert run_job.ABSENT_SECONDS < stage.clock.now - start - DEADLINE < run_job.ABSENT_SECONDS + 300
        message = stage.show(video)["error"]["message"]
        assert "'solo'" in message
        assert "may be billed" in message

    @pytest.fixture
    def waiting(self, stage: Stage, upstream: Upstream) -> str:
        """A video for which nothing has been ordered yet."""
        upstream.instant = True
        reply = stage.create("Luna", model="solo", characters=[{"id": stage.character()}])
        assert job_of(stage).state == "preparing"
        return str(reply.body["id"])

    def test_what_was_not_ordered_yet_goes_to_another(self, stage: Stage, upstream: Upstream, waiting: str) -> None:
        transitions.move(job_of(stage), "preparing", deployment="gone", others=["lost", "one", "two"])
        stage.run()
        assert ended(stage, waiting) == ("completed", None)
        assert [one.host for one in upstream.submits()] == ["one.example"]

    def test_or_waits_and_costs_nothing(self, stage: Stage, upstream: Upstream, waiting: str) -> None:
        transitions.move(job_of(stage), "preparing", deployment="gone", others=["lost"])
        stage.run()
        assert ended(stage, waiting) == ("failed", "deployment_removed")
        assert "billed" not in stage.show(waiting)["error"]["message"]
        assert upstream.submits() == []

    def test_an_order_that_nobody_can_ask_about(self, stage: Stage, upstream: Upstream, video: str) -> None:
        """A job ends whose function died during the submit and whose deployment was then removed."""
        row = job_of(stage)
        table.update(row.key, {"state": "submitting", "upstream_id": None, "deployment": "gone"}, expect={})
        stage.run()
        assert ended(stage, video) == ("failed", "deployment_removed")

    def test_a_submit_on_its_way_is_left_alone(
        self, stage: Stage, upstream: Upstream, remove: Callable[[], None]
    ) -> None:
        """A submit in progress is not disturbed: its function still has the old file."""

        def meanwhile(request: httpx.Request) -> httpx.Response:
            remove()
            stage.work()
            return upstream.serve(request)

        upstream.script.append(meanwhile)
        submitted(stage)
        assert job_of(stage).state == "running"

    def test_a_deployment_that_was_retired_finishes_its_jobs(
        self, stage: Stage, upstream: Upstream, video: str, configure: Callable[[str], None], toml: str
    ) -> None:
        configure(toml.replace('models = { "solo" = "sora-2" }', 'models = { "other" = "sora-2" }\nweight = 0'))
        upstream.finish()
        stage.run()
        assert ended(stage, video) == ("completed", None)


class TestDeletingCharacters:
    """A native character is deleted at its provider, also one that the provider is still making."""

    @pytest.fixture
    def deleted(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The references that the provider was told to delete. It answers polls with `answers`."""
        deleted: list[str] = []
        self.answers: list[NativeCharacter | Refused] = []

        def poll(_provider: OpenAI, _account: Account, reference: str) -> NativeCharacter:
            assert reference == "task"
            found = self.answers.pop(0)
            if isinstance(found, Refused):
                raise found
            return found

        profile = routing.profile_of(deployments().get("one"), "sora-2")
        deletable = replace(profile, characters=replace(profile.characters, deletable=True))
        monkeypatch.setattr(routing, "profile_of", lambda *_: deletable)
        monkeypatch.setattr(OpenAI, "poll_character", poll, raising=False)
        monkeypatch.setattr(OpenAI, "delete_character", lambda _p, _a, reference: deleted.append(reference))
        return deleted

    def test_one_that_is_made(self, stage: Stage, deleted: list[str]) -> None:
        executions.delete_character("one", "task")
        assert stage.run() == 1
        assert deleted == ["task"]

    def test_a_pending_one_is_deleted_once_it_is_made(self, stage: Stage, deleted: list[str]) -> None:
        self.answers += [NativeCharacter("task", ready=False), NativeCharacter("element")]
        executions.delete_character("one", "task", pending=True)
        assert stage.run() == 2
        assert deleted == ["element"]
        assert stage.executions.failed == []

    @pytest.mark.parametrize("reason", [Reason.NOT_FOUND, Reason.MODERATION, Reason.INVALID])
    def test_a_pending_one_that_was_never_made(self, stage: Stage, deleted: list[str], reason: Reason) -> None:
        self.answers.append(Refused(reason, "No."))
        executions.delete_character("one", "task", pending=True)
        assert stage.run() == 1
        assert deleted == []

    def test_a_provider_that_is_busy_is_asked_again(self, stage: Stage, deleted: list[str]) -> None:
        self.answers += [Refused(Reason.BUSY, "Later."), NativeCharacter("element")]
        executions.delete_character("one", "task", pending=True)
        assert stage.run() == 2
        assert deleted == ["element"]


class TestDeleting:
    def test_a_deleted_video_is_deleted_at_its_provider(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.finish()
        stage.run()
        assert stage.call("delete_video", path={"video_id": video}).status == 200
        assert upstream.videos
        stage.run()
        assert upstream.videos == {}
        assert "Contents" not in clients.s3().list_objects_v2(Bucket="bucket", Prefix=bucket.video_prefix("blue", ""))

    def test_a_provider_that_is_away_is_asked_again(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.finish()
        stage.run()
        stage.call("delete_video", path={"video_id": video})
        upstream.script += [refuse(503), lose(httpx.ConnectError)]
        stage.run()
        assert upstream.videos == {}
        assert stage.executions.failed == []

    def test_a_delete_that_broke_off_can_be_repeated(self, stage: Stage, upstream: Upstream, video: str) -> None:
        upstream.finish()
        stage.run()
        for n in itertools.count():
            stage.edges.fatal = n
            try:
                reply = stage.call("delete_video", path={"video_id": video})
            except Killed:
                if stage.listed():
                    continue
            stage.edges.fatal = None
            break
        stage.run()
        assert n > 3
        assert stage.listed() == []
        assert upstream.videos == {}
        assert "Contents" not in clients.s3().list_objects_v2(Bucket="bucket", Prefix=bucket.video_prefix("blue", ""))
        reply = stage.call("delete_video", path={"video_id": video})
        assert (reply.status, reply.error["code"]) == (404, "video_not_found")


def one_step(stage: Stage) -> None:
    """Take the next step of every execution that runs now. A step may fail."""
    for execution in sorted(stage.executions.running, key=lambda one: one.due):
        stage.clock.now = max(stage.clock.now, execution.due)
        stage.step(execution)


ACTIONS: dict[str, Callable[[Stage, Upstream], object]] = {
    "step": lambda stage, upstream: one_step(stage),
    "run": lambda stage, upstream: stage.run(30),
    "die": lambda stage, upstream: setattr(stage.edges, "fatal", 7),
    "die early": lambda stage, upstream: setattr(stage.edges, "fatal", 2),
    "die later": lambda stage, upstream: setattr(stage.edges, "fatal", 13),
    "repeat": lambda stage, upstream: [
        stage.repeat(one) for one in list(stage.executions.all.values())[-3:] if "video" in one.started
    ],
    "sweep": lambda stage, upstream: stage.sweep(),
    "late": lambda stage, upstream: stage.clock.advance(400),
    "finish": lambda stage, upstream: upstream.finish(),
    "fail": lambda stage, upstream: upstream.finish("failed"),
    "lose": lambda stage, upstream: upstream.script.append(lose()),
    "refuse": lambda stage, upstream: upstream.script.append(refuse(429)),
    "forget": lambda stage, upstream: upstream.script.append(refuse(404)),
    "break": lambda stage, upstream: upstream.script.append(refuse(500)),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, derandomize=True)
@given(actions=st.lists(st.sampled_from(sorted(ACTIONS)), min_size=3, max_size=9), with_character=st.booleans())
def test_whatever_happens_in_whatever_order(
    stage: Stage, upstream: Upstream, actions: list[str], with_character: bool
) -> None:
    """A job is submitted at most once, never leaves a terminal state, and always ends."""
    body: dict[str, Any] = {"characters": [{"id": stage.character()}]} if with_character else {}
    key = {"Idempotency-Key": f"tangle {stage.clock.now}"}
    before = {video["id"] for video in stage.listed()}
    submits = len(upstream.submits())
    final: dict[str, str] = {}

    def create(stage: Stage, _upstream: Upstream) -> None:
        stage.create("tangle", model="solo", headers=key, **body)

    def look() -> None:
        for job in Job.page("blue", limit=50, newest_first=True, after=None):
            if job.id in final:
                assert job.state == final[job.id]
            elif job.done:
                final[job.id] = job.state

    for action in (create, *(ACTIONS[name] for name in actions), create):
        with contextlib.suppress(Killed):
            action(stage, upstream)
        fatal, stage.edges.fatal = stage.edges.fatal, None
        look()
        stage.edges.fatal = fatal
    stage.edges.fatal = None
    upstream.script.clear()
    upstream.instant = True
    stage.run()
    look()
    upstream.instant = False
    made = [video for video in stage.listed() if video["id"] not in before]
    assert len(made) <= 1
    assert all(video["status"] in {"completed", "failed"} for video in made)
    refused = sum(reply.status == 429 for _, reply in stage.calls)
    assert len(upstream.submits()) - submits <= 1 + refused
    assert stage.executions.running == []

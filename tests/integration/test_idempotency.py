"""Never pay twice: one job and one submit, whatever happens to the answer; the simulator counts the submits."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIConnectionError, APIStatusError, OpenAI

from local.simulators.process import Simulator
from local.stack import providers
from tests import rings
from tests.integration.live import SPEED, Api, Aside, Heard, Stack, answered, refused, together

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # OpenAI's client says that its API is gone
SLOW = f"a slow river, {uuid.uuid4()}"
CREATE = {"method": "POST", "path": "/videos$"}


@pytest.fixture(autouse=True)
def no_faults_left(upstream: Simulator, killed: Any, late: Any) -> Iterator[None]:
    yield
    for fault in upstream.faults():
        if fault["account"] == "faulty":
            upstream.remove_fault(fault["id"])


@pytest.fixture(scope="module")
def official(stack: Stack) -> Iterator[OpenAI]:
    """openai-python with its default of two retries."""
    with OpenAI(base_url=stack.base_url, api_key=stack.key, timeout=60) as client:
        assert client.max_retries == 2
        yield client


def jobs_with(api: Api, prompt: str) -> list[dict[str, Any]]:
    """Return the caller's videos with that prompt."""
    page = answered(api.get("/videos", params={"limit": 100}))["data"]
    return [video for video in page if video["prompt"] == prompt]


@pytest.fixture(scope="module")
def slow_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes some seconds to be inspected: 3 s, 3840x2160."""
    from local.simulators.shared.render import sample_clip

    return sample_clip(tmp_path_factory.mktemp("clips") / "slow.mp4", 3, (3840, 2160), "Luna")


@pytest.fixture(scope="module")
def killed(api: Api, stack: Stack, upstream: Simulator) -> tuple[httpx.Response, dict[str, Any], Heard]:
    """A function that was killed right after its submit: its answer, the request, and the provider's record."""
    heard = Heard(upstream, "killed")
    upstream.fault(**CREATE, account="killed", when="after", delay=20)
    request: dict[str, Any] = {
        "json": {"model": "killed", "prompt": "a lighthouse"},
        "headers": {"idempotency-key": str(uuid.uuid4())},
    }
    answer = Aside(lambda: api.http.post("/videos", **request))
    until = time.monotonic() + 20
    while not any(one["created"] for one in heard.requests()) and time.monotonic() < until:
        time.sleep(0.05)
    assert stack.kill("create-video") > 0
    return answer.result(), request, heard


@pytest.fixture(scope="module")
def late(killed: Any, official: OpenAI, upstream: Simulator) -> tuple[Aside, Heard]:
    """A call to a provider that answers after our deadline; the call runs in the background of the other tests.

    The call starts after `killed`, whose kill would end its function, too.
    """
    heard = Heard(upstream, "late")
    upstream.fault(**CREATE, account="late", when="after", delay=40)
    return Aside(lambda: official.videos.create(model="late", prompt=SLOW)), heard


class TestKilled:
    def test_the_gateway_forbids_a_retry(self, killed: tuple[httpx.Response, dict[str, Any], Heard]) -> None:
        answer, _, _ = killed
        assert answer.status_code in {502, 504}
        assert answer.headers["x-should-retry"] == "false"

    def test_the_same_key_at_once_is_told_to_wait(
        self, api: Api, killed: tuple[httpx.Response, dict[str, Any], Heard]
    ) -> None:
        _, request, heard = killed
        again = api.http.post("/videos", **request)
        refused(again, 409, "request_in_progress")
        assert (again.headers["x-should-retry"], again.headers["retry-after"]) == ("true", "5")
        assert heard.count("create_video") == 1


class TestOfficialClient:
    """openai-python retries a POST twice, unless the answer forbids retries."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"action": "reset", "when": "after"},
            {"action": "half"},
            {"action": "answer", "when": "after", "status": 500, "body": "oops"},
            {"action": "answer", "when": "after", "status": 200, "body": "<html>it works</html>"},
        ],
        ids=["reset", "half an answer", "500", "no answer of its kind"],
    )
    def test_a_lost_answer_is_one_job_and_one_submit(
        self, api: Api, official: OpenAI, upstream: Simulator, fault: dict[str, Any]
    ) -> None:
        heard, prompt = Heard(upstream, "faulty"), f"a kite, {uuid.uuid4()}"
        upstream.fault(**CREATE, account="faulty", times=None, **fault)
        with pytest.raises(APIStatusError) as caught:
            official.videos.create(model="faulty", prompt=prompt)
        assert caught.value.code == "outcome_unknown"
        assert caught.value.status_code in {502, 504}
        assert heard.count("create_video") == 1
        (job,) = jobs_with(api, prompt)
        assert (job["status"], job["error"]["code"]) == ("failed", "outcome_unknown")

    def test_a_connection_that_was_never_made_may_be_tried_again(self, api: Api, official: OpenAI) -> None:
        prompt = f"a door, {uuid.uuid4()}"
        with pytest.raises(APIStatusError) as caught:
            official.with_options(max_retries=0).videos.create(model="absent", prompt=prompt)
        assert caught.value.code == "provider_unavailable"
        assert jobs_with(api, prompt) == []  # nothing was made, so nothing is shown

    def test_a_client_that_gave_up_waiting_gets_its_video_at_the_second_try(
        self, official: OpenAI, upstream: Simulator
    ) -> None:
        """The client timed out before our answer: its retry finds the job by x-stainless-retry-count."""
        heard = Heard(upstream, "faulty")
        upstream.fault(**CREATE, account="faulty", when="after", delay=3)
        impatient = official.with_options(timeout=2)
        try:
            video = impatient.videos.create(model="faulty", prompt=f"a bridge, {uuid.uuid4()}")
        except (APIConnectionError, APIStatusError):
            pytest.fail("the retry should have been answered with the first one's job")
        assert video.status == "queued"
        assert heard.count("create_video") == 1


@rings.THOROUGH
class TestOfficialClientAgain:
    """What tests/unit/jobs/test_idempotency.py shows in one process, here with the official client."""

    def test_four_identical_calls_are_four_videos_or_an_error(self, stack: Stack, upstream: Simulator) -> None:
        prompt, heard = f"four variants of one fox, {uuid.uuid4()}", Heard(upstream, "solo")
        (key,) = stack.mint_limited(["variants"], concurrent=2, budget=100_000_000)
        ids, refusals = [], []
        with OpenAI(base_url=stack.base_url, api_key=key, timeout=60) as client:
            for _ in range(4):
                try:
                    ids.append(client.videos.create(model="solo", prompt=prompt, seconds="4").id)
                except APIStatusError as error:
                    refusals.append(error.code)
        assert len(set(ids)) == len(ids) == 4 - len(refusals)
        assert set(refusals) <= {"concurrency_limit"}
        assert heard.count("create_video") == len(ids)

    def test_a_retry_while_a_slow_clip_is_inspected_is_one_order(
        self, api: Api, official: OpenAI, upstream: Simulator, slow_clip: Path
    ) -> None:
        """The client gives up each attempt after two seconds; the inspection of the clip takes longer."""
        prompt, heard = f"dusk, {uuid.uuid4()}", Heard(upstream, "solo")
        impatient = official.with_options(timeout=2)
        with contextlib.suppress(APIConnectionError, APIStatusError):
            impatient.videos.edit(prompt=prompt, video=slow_clip.open("rb"), extra_body={"model": "solo"})
        until = time.monotonic() + 60
        while not jobs_with(api, prompt) and time.monotonic() < until:
            time.sleep(0.5)
        time.sleep(20)  # for which the other attempts may go on
        assert len(jobs_with(api, prompt)) == 1
        assert heard.count("edit_video") == 1


class TestIdempotencyKey:
    def test_the_same_request_is_answered_again(self, api: Api, upstream: Simulator) -> None:
        heard, key = Heard(upstream, "solo"), {"idempotency-key": str(uuid.uuid4())}
        body = {"model": "solo", "prompt": "a swing"}
        first, again = (api.post("/videos", body, headers=key) for _ in range(2))
        assert answered(again) == answered(first)
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        # A form has other bytes than the JSON body, but is the same request.
        form = api.post("/videos", files=[(name, (None, value)) for name, value in body.items()], headers=key)
        assert answered(form) == answered(first)
        assert heard.count("create_video") == 1

    def test_another_request_with_the_key_is_refused(self, api: Api) -> None:
        key = {"idempotency-key": str(uuid.uuid4())}
        answered(api.post("/videos", {"model": "solo", "prompt": "a swing"}, headers=key))
        other = api.post("/videos", {"model": "solo", "prompt": "a slide"}, headers=key)
        refused(other, 422, "idempotency_key_reused", "Idempotency-Key")

    def test_while_the_first_runs_the_second_waits_for_it(self, api: Api, upstream: Simulator) -> None:
        together(lambda _: api.video(model="unhurried"), range(2))  # two workers are warm now
        heard, key = Heard(upstream, "faulty"), {"idempotency-key": str(uuid.uuid4())}
        upstream.fault(**CREATE, account="faulty", when="after", delay=5)
        body = {"model": "faulty", "prompt": "a see-saw"}
        first = Aside(lambda: api.post("/videos", body, headers=key))
        until = time.monotonic() + 10
        while not heard.requests() and time.monotonic() < until:
            time.sleep(0.05)
        again = api.post("/videos", body, headers=key)
        assert answered(again)["id"] == answered(first.result())["id"]
        assert again.headers["idempotent-replayed"] == "true"
        assert heard.count("create_video") == 1

    def test_a_refusal_is_remembered_too(self, api: Api, upstream: Simulator) -> None:
        heard, key = Heard(upstream, "solo"), {"idempotency-key": str(uuid.uuid4())}
        body = {"model": "solo", "prompt": "something forbidden"}
        errors = [refused(api.post("/videos", body, headers=key), 400, "moderation_blocked", "prompt") for _ in "12"]
        assert errors[0] == errors[1]
        assert heard.count("create_video") == 1

    def test_for_edits_extensions_and_characters(
        self, api: Api, upstream: Simulator, movie: str, luna_clip: Path
    ) -> None:
        since = max(one["number"] for one in upstream.requests())
        edit = {"prompt": "dusk", "video": {"id": movie}}
        calls: list[dict[str, Any]] = [
            {"url": "/videos/edits", "json": edit},
            {"url": "/videos/extensions", "json": {**edit, "seconds": "4"}},
            {"url": f"/videos/{movie}/remix", "json": {"prompt": "dusk"}},
            {"url": "/videos/characters", "data": {"name": "Luna"}, "files": {"video": luna_clip.read_bytes()}},
        ]
        for call in calls:
            key = {"idempotency-key": str(uuid.uuid4())}
            first, again = (answered(api.http.post(**call, headers=key)) for _ in range(2))
            assert again == first, call
        made = [
            one["operation"]
            for one in upstream.requests(since=since, method="POST")
            if one["account"] in "ab" and one["created"]
        ]
        assert sorted(made) == ["create_character", "edit_video", "extend_video", "remix_video"]


class TestStainlessRetryCount:
    """Without an idempotency key, the retry count of the official clients marks a call as a retry."""

    def test_a_repetition_is_the_same_video(self, api: Api, upstream: Simulator) -> None:
        heard, body = Heard(upstream, "solo"), {"model": "solo", "prompt": f"a pond, {uuid.uuid4()}"}
        ids = [
            answered(api.post("/videos", body, headers={"x-stainless-retry-count": str(count)}))["id"]
            for count in range(3)
        ]
        assert len(set(ids)) == 1
        assert heard.count("create_video") == 1

    def test_the_same_request_anew_is_another_video(self, api: Api, upstream: Simulator) -> None:
        heard, body = Heard(upstream, "solo"), {"model": "solo", "prompt": f"a pond, {uuid.uuid4()}"}
        ids = [answered(api.post("/videos", body, headers={"x-stainless-retry-count": "0"}))["id"] for _ in "12"]
        assert len(set(ids)) == 2
        assert heard.count("create_video") == 2

    def test_once_its_id_was_used_a_repetition_is_another_video(self, api: Api) -> None:
        body = {"model": "solo", "prompt": f"a pond, {uuid.uuid4()}"}
        first = answered(api.post("/videos", body))["id"]
        answered(api.get(f"/videos/{first}"))
        assert answered(api.post("/videos", body, headers={"x-stainless-retry-count": "1"}))["id"] != first

    def test_a_repetition_of_nothing_is_made(self, api: Api) -> None:
        body = {"model": "solo", "prompt": f"a pond, {uuid.uuid4()}"}
        assert answered(api.post("/videos", body, headers={"x-stainless-retry-count": "1"}))["status"] == "queued"


class TestInTheEnd:
    """The end of the slow calls that ran in the background of the tests above."""

    def test_a_provider_that_answers_late(self, api: Api, late: tuple[Aside, Heard]) -> None:
        aside, heard = late
        with pytest.raises(APIStatusError) as caught:
            aside.result()
        assert (caught.value.status_code, caught.value.code) == (504, "outcome_unknown")
        assert heard.count("create_video") == 1
        (job,) = jobs_with(api, SLOW)
        assert (job["status"], job["error"]["code"]) == ("failed", "outcome_unknown")

    def test_the_killed_ones_key_is_answered_from_its_job(
        self, api: Api, killed: tuple[httpx.Response, dict[str, Any], Heard]
    ) -> None:
        """Within a minute the killed call's job fails as outcome_unknown.

        Its idempotency key then returns this job, and there is no second submit.
        """
        _, request, heard = killed
        until = time.monotonic() + 60
        while (answer := api.http.post("/videos", **request)).status_code == 409 and time.monotonic() < until:
            time.sleep(0.5)
        job = api.wait(answered(answer)["id"], "failed")
        assert job["error"]["code"] == "outcome_unknown"
        assert answer.headers["idempotent-replayed"] == "true"
        assert heard.count("create_video") == 1

    def test_a_provider_that_dies_after_the_submit(
        self, api: Api, official: OpenAI, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mortal, prompt = stack.simulator("azure"), f"a comet, {uuid.uuid4()}"
        mortal.fault(**CREATE, action="die")
        with pytest.raises(APIStatusError) as caught:
            official.videos.create(model="azure-sora", prompt=prompt)
        assert caught.value.code == "outcome_unknown"
        restart(stack, monkeypatch)
        made = [one for one in stack.simulator("azure").requests(operation="create_video") if one["created"]]
        assert len([one for one in made if one["json"] and one["json"]["prompt"] == prompt]) == 1
        (job,) = jobs_with(api, prompt)
        assert job["status"] == "failed"


def restart(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the simulators that have ended; the others stay as they are."""
    monkeypatch.setenv("SIMULATOR_SPEED", SPEED)
    providers.start_simulators(stack.settings, list(providers.SIMULATORS))

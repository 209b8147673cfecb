"""Keys with limits on the deployed stack, where every call may run in an execution environment of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests import rings
from tests.integration.live import PATIENCE, Api, Heard, Json, Key, answered, refused, shown

if TYPE_CHECKING:
    from local.simulators.process import Simulator
    from tests.integration.live import Stack

AT_ONCE = rings.size(16, 50)  # "fifty" below
CONCURRENT = 5
VIDEOS = 10
DOLLARS = 4.0  # ten videos of 4 seconds at $0.10
NO_ANSWER_YET = {"timeout", "authorizer_failed", "request_in_progress"}


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Callable[..., str]:
    """A function that runs `understudy keys ...` on the stack as an operator does."""
    return stack.keys


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Call `act` so many times at the same moment, and return the results."""
    barrier = threading.Barrier(count)

    def do(n: int) -> Any:
        barrier.wait(30)
        return act(n)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(do, range(count)))


@pytest.fixture(scope="module")
def awake(stack: Stack) -> None:
    """Warm execution environments for all callers.

    Many cold starts at the same moment take a small machine more than the gateway's 29 s.
    """
    with httpx.Client(base_url=stack.base_url, headers={"authorization": f"Bearer {stack.key}"}, timeout=60) as client:
        for count in (1, 4, 8, 16, 32, 50):
            at_once(min(count, AT_ONCE), lambda _: client.post("/videos", json={"seconds": "banana"}))


def ordered(client: httpx.Client, model: str, name: str) -> httpx.Response:
    """Order a video; repeat the call with the same idempotency key until the call has an answer.

    Fifty calls at once can take a small machine more than the gateway's 29 s. The gateway's 504 does not say whether
    the call succeeded. A retry with the same key does.
    """
    headers = {"idempotency-key": f"{name} of {time.strftime('%H:%M:%S')}"}
    until = time.monotonic() + 4 * PATIENCE
    while True:
        answer = client.post("/videos", json={"prompt": name, "model": model, "seconds": "4"}, headers=headers)
        if answer.status_code == 200 or answer.json()["error"]["code"] not in NO_ANSWER_YET:
            return answer
        assert time.monotonic() < until, answer.text
        time.sleep(1)


@contextmanager
def watching(look: Callable[[], int]) -> Iterator[list[int]]:
    """Append what `look` returns to the yielded list, every 20 ms, until the block ends."""
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            seen.append(look())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def rows(stack: Stack) -> Callable[[Key, str], Json]:
    """A function that reads a row of a key from DynamoDB."""
    return stack.key_row


def most_at_once(requests: list[Json]) -> int:
    """Return the highest number of videos that the provider had in progress, from the order to the fetched file."""
    ordered = {one["created"]: one["time"] for one in requests if one["operation"] == "create_video"}
    fetched = {one["path"].split("/")[-2]: one["time"] for one in requests if one["operation"] == "get_content"}
    assert ordered.keys() == fetched.keys()
    return max(sum(ordered[one] <= at < fetched[one] for one in ordered) for at in ordered.values())


@pytest.fixture(scope="module")
def revoked(stack: Stack, operator: Callable[..., str]) -> tuple[Api, str, float]:
    """A caller whose key was revoked, a video that the caller made, and the time of the revocation.

    The gateway still has the authorizer's answer for this key in its cache.
    """
    key = shown(operator("create", "--team", "revoked"))
    api = Api(stack.base_url, key.text)
    video = api.finished(model="counted")["id"]
    operator("revoke", key.id)
    return api, video, time.monotonic()


def test_a_revoked_key_stops_writing_at_once(revoked: tuple[Api, str, float], upstream: Simulator) -> None:
    api, video, _ = revoked
    heard = Heard(upstream, "counted")
    refused(api.post("/videos", {"prompt": "x", "model": "counted"}), 401, "invalid_api_key")
    refused(api.get(f"/videos/{video}/content"), 401, "invalid_api_key")
    refused(api.delete(f"/videos/{video}"), 401, "invalid_api_key")
    assert heard.count("create_video") == 0


def test_fifty_at_once_and_five_slots(
    stack: Stack, upstream: Simulator, operator: Callable[..., str], rows: Callable[[Key, str], Json], awake: None
) -> None:
    """Of fifty calls at the same moment exactly five reach the provider, because no video finishes meanwhile."""
    key = shown(operator("create", "--team", "slots", "--concurrent", str(CONCURRENT), "--budget", str(DOLLARS)))
    heard = Heard(upstream, "unhurried")
    client = httpx.Client(base_url=stack.base_url, headers={"authorization": f"Bearer {key.text}"}, timeout=120)

    answers = at_once(AT_ONCE, lambda n: ordered(client, "unhurried", f"Fifty {n}"))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * CONCURRENT + [429] * (AT_ONCE - CONCURRENT)
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 429, "concurrency_limit")
            assert int(answer.headers["retry-after"]) > 0
    assert heard.count("create_video") == CONCURRENT
    assert len(rows(key, "slots")["open"]["M"]) == CONCURRENT
    assert len(stack.environments("create-video")) > 1


def test_fifty_that_go_on_trying_and_money_for_ten(
    stack: Stack, upstream: Simulator, operator: Callable[..., str], rows: Callable[[Key, str], Json], awake: None
) -> None:
    """Fifty callers retry until the budget is spent: ten videos are made, at most five of them at once."""
    key = shown(operator("create", "--team", "budget", "--concurrent", str(CONCURRENT), "--budget", str(DOLLARS)))
    heard = Heard(upstream, "counted")
    client = httpx.Client(base_url=stack.base_url, headers={"authorization": f"Bearer {key.text}"}, timeout=120)
    until = time.monotonic() + 4 * PATIENCE

    def create(n: int) -> Json | str:
        while True:
            answer = ordered(client, "counted", f"Ten {n}")
            if answer.status_code == 200:
                return answered(answer)
            code = str(answer.json()["error"]["code"])
            if code != "concurrency_limit":
                refused(answer, 429, "insufficient_quota")
                return code
            assert time.monotonic() < until
            time.sleep(2 + n / AT_ONCE)  # as clients do: not all in the same moment

    with watching(lambda: len(rows(key, "slots")["open"]["M"])) as open_at_once:
        results = at_once(AT_ONCE, create)
        made = [one["id"] for one in results if isinstance(one, dict)]
        Api(stack.base_url, key.text).wait_all(made)
    assert len(made) == VIDEOS
    assert heard.count("create_video") == VIDEOS
    assert max(open_at_once) == CONCURRENT
    assert 1 < most_at_once(heard.requests()) <= CONCURRENT
    assert rows(key, "slots")["open"]["M"] == {}
    (month,) = {time.strftime("%Y-%m", time.gmtime())}
    budget = rows(key, f"budget#{month}")
    assert (budget["committed"]["N"], budget["spent"]["N"]) == ("4000000", "4000000")


def test_one_key_at_once_reaches_the_provider_once(stack: Stack, upstream: Simulator, api: Api) -> None:
    heard = Heard(upstream, "counted")
    headers = {"idempotency-key": f"twins {time.time()}"}
    body = {"prompt": "Twins", "model": "counted"}
    answers = at_once(2, lambda _: api.post("/videos", body, headers=headers))
    assert {answer.status_code for answer in answers} <= {200, 409}
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, 409, "request_in_progress")
            assert answer.headers["x-should-retry"] == "false"
    replayed = answered(api.post("/videos", body, headers=headers))
    assert {replayed["id"]} == {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert heard.count("create_video") == 1
    api.wait(replayed["id"])
    assert heard.count("create_video") == 1


def test_the_rate_holds_across_environments(stack: Stack, operator: Callable[..., str], awake: None) -> None:
    """Of twelve calls with a bad body five get a 400 and seven a 429, whichever environment counts them."""
    key = shown(operator("create", "--team", "rate", "--rpm", "5"))
    client = httpx.Client(base_url=stack.base_url, headers={"authorization": f"Bearer {key.text}"}, timeout=60)
    client.get("/models")
    while time.time() % 60 > 40:
        time.sleep(0.5)  # all of them within a minute
    answers = at_once(
        12, lambda n: client.post("/videos", json={"prompt": "x", "seconds": "banana", "model": "counted"})
    )
    assert sorted(answer.status_code for answer in answers) == [400] * 5 + [429] * 7
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 429, "rate_limit_exceeded")
            assert 0 < int(answer.headers["retry-after"]) <= 60
            assert answer.headers["x-ratelimit-limit-requests"] == "5"
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert client.get("/videos").status_code == 200


def test_a_rotation_frees_no_slots(stack: Stack, operator: Callable[..., str]) -> None:
    key = shown(operator("create", "--team", "slots", "--concurrent", "1"))
    Api(stack.base_url, key.text).video(model="unhurried")
    api = Api(stack.base_url, shown(operator("rotate", key.id)).text)
    refused(api.post("/videos", {"prompt": "x", "model": "unhurried"}), 429, "concurrency_limit")


def test_rotated_and_restarted(stack: Stack, operator: Callable[..., str]) -> None:
    """Old video ids still work after a new API key, a new secret for ids and new environments."""
    key = shown(operator("create", "--team", "rotated", "--models", "counted", "--rpm", "100"))
    first = Api(stack.base_url, key.text)
    before = first.finished(model="counted")["id"]
    api = Api(stack.base_url, shown(operator("rotate", key.id)).text)
    refused(first.post("/videos", {"prompt": "x", "model": "counted"}), 401, "invalid_api_key")
    assert answered(api.get(f"/videos/{before}"))["status"] == "completed"

    secrets: Any = stack.settings.client("secretsmanager")
    secret = _id_secret(stack)
    old = secrets.get_secret_value(SecretId=secret)["SecretString"]
    secrets.put_secret_value(SecretId=secret, SecretString=os.urandom(48).hex())
    stack.kill("run-job")
    _restart(stack, api, before)
    after = api.finished(model="counted")["id"]
    assert after.partition("_")[2][:3] != before.partition("_")[2][:3]  # made with another key
    for video in (before, after):
        assert answered(api.get(f"/videos/{video}"))["status"] == "completed"
        assert api.download(video).status_code == 200
    refused(api.post("/videos", {"prompt": "x", "model": "sora-2"}), 403, "model_not_allowed", "model")
    # Restore the secret: functions that were not restarted spell the same id differently, which confuses other tests.
    secrets.put_secret_value(SecretId=secret, SecretString=old)
    _restart(stack, api, before)
    assert answered(api.get(f"/videos/{before}"))["id"] == before
    assert answered(api.get(f"/videos/{after}"))["status"] == "completed"


# Only in `make test-all`, because it waits for a minute. `make test` checks the two parts: the template's 60 s
# (tests/template/test_api.py), and the authorizer's refusal.
@rings.THOROUGH
def test_a_revoked_key_stops_reading_within_a_minute(
    stack: Stack, revoked: tuple[Api, str, float], operator: Callable[..., str]
) -> None:
    api, video, when = revoked
    while (answer := api.get(f"/videos/{video}")).status_code == 200 and time.monotonic() < when + 65:
        time.sleep(1)
    refused(answer, 401, "invalid_api_key")
    # The video belongs to the team, so another key of the team can read it.
    again = Api(stack.base_url, shown(operator("create", "--team", "revoked")).text)
    assert answered(again.get(f"/videos/{video}"))["status"] == "completed"


def _restart(stack: Stack, api: Api, video: str) -> None:
    """Replace the environments of the functions that return ids of videos."""
    for function in ("get-video", "create-video", "get-content", "list-videos"):
        stack.kill(function)
    for revive in (  # the local AWS notices a dead process by the call that it fails
        lambda: api.post("/videos", {"seconds": "banana"}),
        lambda: api.get(f"/videos/{video}"),
        lambda: api.get(f"/videos/{video}/content"),
        lambda: api.get("/videos"),
    ):
        while revive().status_code == 502:
            time.sleep(0.2)


def _id_secret(stack: Stack) -> str:
    """Return the id of the secret that signs ids, from the environment of a function of the stack."""
    functions: Any = stack.settings.client("lambda")
    for page in functions.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            if "ID_SECRET" in (variables := function.get("Environment", {}).get("Variables", {})):
                return str(variables["ID_SECRET"])
    raise AssertionError("no function has ID_SECRET")

"""Work without a client: jobs complete without polls, and frequent polls of a client do not reach the provider."""

from __future__ import annotations

import itertools
import os
import time

from local.simulators.process import Simulator
from tests.integration.live import PATIENCE, Api, Film, Heard, Stack, answered, record

PACE = 1.0  # poll_seconds of the deployment


def test_a_job_whose_client_never_polls_is_completed_and_archived(api: Api, stack: Stack, upstream: Simulator) -> None:
    heard, s3 = Heard(upstream, "solo"), stack.settings.client("s3")
    video = api.video(model="solo", prompt="nobody asks for this one", size="1280x720")
    prefix = f"media/videos/local/{record(video['id'])}/"
    until = time.monotonic() + PATIENCE
    files: set[str] = set()
    while len(files) < 3 and time.monotonic() < until:
        found = s3.list_objects_v2(Bucket=stack.outputs["BucketName"], Prefix=prefix).get("Contents", [])
        files = {one["Key"].removeprefix(prefix) for one in found}
        time.sleep(0.5)
    assert files == {"video.mp4", "thumbnail.webp", "spritesheet.jpg"}
    assert heard.count("get_content") == 1
    assert api.wait(video["id"])["progress"] == 100
    assert round(Film.of(api.download(video["id"]).content).seconds) == 4
    time.sleep(2 * PACE)
    asked = heard.count("get_video")
    time.sleep(2 * PACE)
    assert heard.count("get_video") == asked  # it has ended: nobody asks any more


def test_a_client_that_polls_every_100_ms_costs_the_provider_nothing(api: Api, upstream: Simulator) -> None:
    heard = Heard(upstream, "solo")
    started = time.monotonic()
    video = api.video(model="solo", prompt="a slow-render of a snail", size="1280x720")
    polls = 0
    while answered(api.get(f"/videos/{video['id']}"))["status"] != "completed":
        polls += 1
        time.sleep(0.1)
        assert time.monotonic() < started + PATIENCE
    seconds = time.monotonic() - started
    asked = heard.requests("get_video")
    assert polls > 2 * len(asked)
    assert len(asked) <= seconds / PACE + 1
    times = [one["time"] for one in asked]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps
    assert min(gaps) >= 0.9 * PACE


def test_the_official_clients_are_told_the_pace(api: Api) -> None:
    made = api.post("/videos", {"model": "solo", "prompt": "a snail"})
    assert made.headers["openai-poll-after-ms"] == "1000"
    assert api.get(f"/videos/{made.json()['id']}").headers["openai-poll-after-ms"] == "1000"


def test_the_output_survives_the_provider(api: Api, upstream: Simulator) -> None:
    """The download serves our copy, because a provider's copy expires within hours."""
    video = api.finished(model="solo", prompt="a snail")
    heard = Heard(upstream, "solo")
    upstream.revoke(account="solo")
    try:
        assert api.download(video["id"]).status_code == 200
    finally:
        upstream.revoke(account="solo", restore=True)
    assert heard.requests("get_content") == []


def test_background_work_leaves_the_processors_to_calls(api: Api, stack: Stack) -> None:
    api.finished(model="solo")

    def priorities(function: str) -> set[int]:
        return {os.getpriority(os.PRIO_PROCESS, pid) for pid in stack.environments(function)}

    assert priorities("create-video") == {os.getpriority(os.PRIO_PROCESS, os.getpid())}
    assert min(priorities("run-job")) > max(priorities("create-video"))

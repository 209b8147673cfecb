"""The reservation of a job and the cost that is booked; slots and races are in tests/security/test_budget.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Upstream, answer
from understudy.access.keys import Limits
from understudy.files import clips
from understudy.ids import new_record
from understudy.jobs.job import Job
from understudy.store import table


@pytest.mark.parametrize(
    "toml",
    [
        """
[deployments.grok]
provider = "xai"
base_url = "https://grok.example/v1"
secret = "secretsmanager:understudy/a"
models = { "sora-2-pro" = "grok-imagine-video-1.5" }
default = true
"""
    ],
)
def test_what_is_held_is_for_what_is_ordered(stage: Stage, upstream: Upstream) -> None:
    """A size that the model lacks becomes a larger size of the model, and costs as much as that size."""
    stage.sign_in("blue", limits=Limits(budget=10_000_000))
    upstream.rules["POST", "grok.example", ""] = answer(200, '{"request_id": "r"}', "application/json")
    reply = stage.create(size="1024x1792", seconds="4")
    assert (reply.status, reply.body["size"]) == (200, "1080x1920")
    (job,) = Job.page("blue", limit=2, newest_first=True, after=None)
    assert job.hold == 4 * 250_000


OWN = """
[deployments.one]
provider = "openai"
base_url = "https://one.example/v1"
secret = "secretsmanager:understudy/a"
models = { "sora-2" = "sora-2" }
default = true

[deployments.one.options]
seconds = [3, 4]
extend_seconds = [4]

[deployments.one.options.micro_dollars]
"" = 100_000
characters = { "" = 120_000 }
edit = { "" = 250_000 }
extend = { "" = 150_000 }
source = { "" = 10_000 }
clips = { "" = 5_000 }
character = 7
"""
MADE = 3  # seconds of every file in these tests
# What is asked -> what it costs.
ASKED = {
    "create": MADE * 100_000,
    "characters": MADE * (120_000 + 5_000) + 7,
    "edit": MADE * (250_000 + 10_000),
    "remix": MADE * (250_000 + 10_000),
    "extend": 4 * 150_000 + MADE * 10_000,
}


def ask(stage: Stage, what: str, video: str) -> None:
    body: dict[str, Any] = {"prompt": "A fox"}
    match what:
        case "create":
            reply = stage.create(seconds="3")
        case "characters":
            reply = stage.create(seconds="3", characters=[{"id": stage.character()}])
        case "remix":
            reply = stage.call("remix_video", path={"video_id": video}, json_body=body)
        case "edit":
            reply = stage.call("edit_video", json_body=body | {"video": {"id": video}})
        case _:
            reply = stage.call("extend_video", json_body=body | {"video": {"id": video}, "seconds": "4"})
    assert reply.status == 200, reply


@pytest.mark.parametrize("toml", [OWN])
@pytest.mark.parametrize(("what", "cost"), ASKED.items(), ids=ASKED)
def test_what_is_held_is_what_is_settled(stage: Stage, upstream: Upstream, what: str, cost: int) -> None:
    """Each operation is reserved and booked at its own price."""
    stage.sign_in("blue", limits=Limits(budget=10_000_000))
    upstream.instant = True
    video = stage.create(seconds="3").body["id"]
    stage.run()
    upstream.instant = False
    ask(stage, what, video)
    (job,) = Job.page("blue", limit=1, newest_first=True, after=None)
    assert job.hold == cost
    upstream.finish()
    stage.run()
    assert settled(job) == cost


@pytest.mark.parametrize(
    "toml",
    [
        OWN
        + """
[deployments.dear]
provider = "hosted_vllm"
base_url = "https://dear.example/v1"
models = { "sora-2" = "wan" }
options = { seconds = [3, 4], sizes = ["1280x720", "720x1280"], micro_dollars = { "" = 400_000, extend = { "" = 1 } } }
"""
    ],
)
def test_an_extension_that_is_put_together_here_costs_what_a_new_video_does(stage: Stage, upstream: Upstream) -> None:
    """The highest price of any deployment is reserved, and the price of the actual deployment is booked."""
    stage.sign_in("blue", limits=Limits(budget=10_000_000))
    upstream.instant = True
    form = [("prompt", "A fox"), ("seconds", "4"), ("video", ("clip.mp4", MP4, "video/mp4")), ("model", "sora-2")]
    assert stage.call("extend_video", form=form).status == 200
    (job,) = Job.page("blue", limit=1, newest_first=True, after=None)
    assert (job.deployment, job.hold) == ("one", 4 * 400_000)
    stage.run()
    assert settled(job) == ASKED["extend"]


def settled(job: Job) -> int:
    return int((table.get(table.entry_key("blue", job.id, "settlement")) or {})["micro_dollars"])


LONGER = 30  # seconds that are delivered, instead of MADE
# What is asked -> what it costs if more is delivered than was ordered, and the provider names no price.
DELIVERED = {
    "create": LONGER * 100_000,
    "edit": LONGER * 250_000 + MADE * 10_000,
    "remix": LONGER * 250_000 + MADE * 10_000,
    "extend": (LONGER - MADE) * 150_000 + MADE * 10_000,
}


@pytest.mark.parametrize("toml", [OWN])
@pytest.mark.parametrize(("what", "cost"), DELIVERED.items(), ids=DELIVERED)
def test_what_is_delivered_is_settled_if_it_is_more(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, what: str, cost: int
) -> None:
    stage.sign_in("blue", limits=Limits(budget=100_000_000))
    upstream.instant = True
    video = stage.create(seconds="3").body["id"]
    stage.run()
    ask(stage, what, video)
    (job,) = Job.page("blue", limit=1, newest_first=True, after=None)
    call = clips._call
    monkeypatch.setattr(clips, "_call", lambda *given: call(*given) | {"duration": float(LONGER)})
    stage.run()
    assert stage.listed()[0]["seconds"] == str(LONGER)
    assert settled(job) == cost


@pytest.mark.parametrize("toml", [OWN])
def test_an_extension_that_is_delivered_without_its_source_costs_what_was_ordered(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.sign_in("blue", limits=Limits(budget=100_000_000))
    upstream.instant = True
    video = stage.create(seconds="3").body["id"]
    stage.run()
    ask(stage, "extend", video)
    (job,) = Job.page("blue", limit=1, newest_first=True, after=None)
    call = clips._call
    monkeypatch.setattr(clips, "_call", lambda *given: call(*given) | {"duration": 4.0})
    stage.run()
    assert settled(job) == ASKED["extend"]


@pytest.mark.parametrize("count", [1, 50, 51, 400])
def test_any_number_of_expired_slots_is_freed(stage: Stage, upstream: Upstream, count: int) -> None:
    """DynamoDB, and its stand-in, refuse an expression with more than 300 operators or 4 KB."""
    caller = stage.sign_in("blue", limits=Limits(concurrent=count))
    ended = int(stage.clock.now) - 1
    slots = {new_record(): ended for _ in range(count)}
    table.put(table.slots_key(caller.key_id), {"open": slots}, replace=True)
    assert stage.create(model="solo").status == 200
    row = table.get(table.slots_key(caller.key_id)) or {}
    assert len(row["open"]) == 1
    assert not set(row["open"]) & set(slots)

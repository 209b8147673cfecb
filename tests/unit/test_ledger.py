"""What a video costs; slots and holds are in tests/security/test_ledger.py."""

from __future__ import annotations

import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream, answer
from understudy import jobs, ledger
from understudy.keys import Limits
from understudy.providers.base import Profile

PRICES = {"1280x720": 10, "720x1280": 10, "1920x1080": 30, "848x480": 2}


def profile(prices: dict[str, int]) -> Profile:
    return Profile((4,), tuple(PRICES), 4, "1280x720", micro_dollars=prices)


@pytest.mark.parametrize(
    ("size", "cost"),
    [
        ("1280x720", 10),
        ("1920x1080", 30),
        (None, 10),  # its default size
        ("1280x718", 10),
        ("1104x832", 10),
        ("640x360", 2),
        ("3840x2160", 30),
    ],
)
def test_a_size_that_is_not_listed_costs_what_the_nearest_does(size: str | None, cost: int) -> None:
    assert ledger.price(profile(PRICES), size, 5) == cost * 5


def test_a_price_for_any_size() -> None:
    prices = {"": 7, "1920x1080": 30}
    assert ledger.price(profile(prices), "640x360", None) == 7 * 4
    assert ledger.price(profile(prices), "1920x1080", 2) == 60
    assert ledger.price(profile({}), "640x360", 9) == 0


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
    """A size of Sora's that the model lacks becomes a larger one of its own, and costs what that one does."""
    stage.sign_in("blue", limits=Limits(budget=10_000_000))
    upstream.rules["POST", "grok.example", ""] = answer(200, '{"request_id": "r"}', "application/json")
    reply = stage.create(size="1024x1792", seconds="4")
    assert (reply.status, reply.body["size"]) == (200, "1080x1920")
    (job,) = jobs.newest("blue", limit=2, newest_first=True, after=None)
    assert job.hold == 4 * 250_000

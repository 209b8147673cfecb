"""What a video costs; slots and holds are in tests/security/test_ledger.py."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream, answer
from understudy import jobs, ledger
from understudy.keys import Limits
from understudy.ledger import Bill
from understudy.providers.base import CharacterSupport, Prices, Profile

SIZES = {"1280x720": 10, "720x1280": 10, "1920x1080": 30, "848x480": 2}


def profile(prices: Prices | dict[str, int], **facts: Any) -> Profile:
    known = prices if isinstance(prices, Prices) else Prices(prices)
    return Profile((4,), tuple(SIZES), 4, "1280x720", prices=known, **facts)


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
    assert ledger.price(profile(SIZES), Bill("create", size, 5)) == cost * 5


def test_a_price_for_any_size() -> None:
    prices = {"": 7, "1920x1080": 30}
    assert ledger.price(profile(prices), Bill("create", "640x360", None)) == 7 * 4
    assert ledger.price(profile(prices), Bill("create", "1920x1080", 2)) == 60
    assert ledger.price(profile({}), Bill("create", "640x360", 9)) == 0


EVERYTHING = Prices(
    SIZES, characters={"": 11}, edit={"": 20}, extend={"": 7}, source={"1280x720": 5, "1920x1080": 6}, character=100
)


@pytest.mark.parametrize(
    ("bill", "cost"),
    [
        (Bill("create", "1280x720", 4), 40),
        (Bill("create", "1280x720", 4, clips=(2000, 3000)), 44 + 200),
        (Bill("edit", "1280x720", 4, source_seconds=4), 80 + 20),
        (Bill("edit", "1900x1000", 4, source_seconds=4), 80 + 24),
        (Bill("remix", "1280x720", 4, source_seconds=4), 80 + 20),
        (Bill("extend", "1280x720", 4, source_seconds=9), 28 + 45),
        (Bill("adopt", "1280x720", None), 40),  # nobody's budget: it only has to be a number
    ],
)
def test_what_is_asked_has_its_price(bill: Bill, cost: int) -> None:
    assert ledger.price(profile(EVERYTHING), bill) == cost
    simple = profile({"": 10})
    assert ledger.price(simple, bill) == (bill.seconds or 4) * 10


@pytest.mark.parametrize(("trim", "milliseconds"), [(False, 2500 + 4500), (True, 2500 + 3000)])
def test_clips_of_characters_are_paid_as_long_as_they_are_sent(trim: bool, milliseconds: int) -> None:
    support = CharacterSupport(reference_videos=2, clip_seconds=(0.0, 3.0), trim=trim)
    able = profile(Prices({"": 10}, clips={"": 3}), characters=support)
    cost = math.ceil(3 * milliseconds / 1000)
    assert ledger.price(able, Bill("create", None, 4, clips=(2500, 4500))) == 40 + cost
    assert ledger.price(able, Bill("create", None, 4, clips=(0,))) == 40  # one without a clip here


def test_prices_as_an_option_says_them() -> None:
    assert Prices.of({}) == Prices()
    assert Prices.of({"": 100_000}) == Prices({"": 100_000})
    assert Prices.of({"": 5, "1280x720": 9, "edit": {"": 7}, "character": 3}) == Prices(
        {"": 5, "1280x720": 9}, edit={"": 7}, character=3
    )


@pytest.mark.parametrize(
    "table",
    [
        {"": 0.1},
        {"": -1},
        {"": True},
        {"720p": 5},
        {"create": {"": 5}},
        {"edit": 5},
        {"edit": {"x": 5}},
        {"source": {"": "5"}},
        {"character": 0.5},
        {"character": {"": 5}},
    ],
)
def test_an_option_that_is_no_price(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"micro_dollars: .*whole micro-dollars"):
        Prices.of(table)


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

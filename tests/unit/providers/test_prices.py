from __future__ import annotations

from typing import Any

import pytest

from understudy.providers.base import CharacterSupport
from understudy.providers.prices import Bill, Prices

SIZES = {"1280x720": 10, "720x1280": 10, "1920x1080": 30, "848x480": 2}
EVERYTHING = Prices(
    SIZES,
    characters={"": 11},
    edit={"": 20},
    extend={"": 7},
    source={"1280x720": 5, "1920x1080": 6},
    clips={"": 3},
    character=100,
)


@pytest.mark.parametrize(
    ("size", "cost"),
    [
        ("1280x720", 10),
        ("1920x1080", 30),
        ("1280x718", 10),
        ("1104x832", 10),
        ("640x360", 2),
        ("3840x2160", 30),
    ],
)
def test_a_size_that_is_not_listed_costs_what_the_nearest_does(size: str, cost: int) -> None:
    assert Prices(SIZES).cost(Bill("create", size, 5)) == cost * 5


def test_a_price_for_any_size() -> None:
    prices = Prices({"": 7, "1920x1080": 30})
    assert prices.cost(Bill("create", "640x360", 4)) == 7 * 4
    assert prices.cost(Bill("create", "1920x1080", 2)) == 60
    assert Prices().cost(Bill("create", "640x360", 9)) == 0


@pytest.mark.parametrize(
    ("bill", "cost"),
    [
        (Bill("create", "1280x720", 4), 40),
        (Bill("create", "1280x720", 4, clips=(2500, 3000)), 44 + 17 + 200),  # 16.5, rounded up
        (Bill("create", "1280x720", 4, clips=(0,)), 44 + 100),
        (Bill("edit", "1280x720", 4, source_seconds=4), 80 + 20),
        (Bill("edit", "1900x1000", 4, source_seconds=4), 80 + 24),
        (Bill("remix", "1280x720", 4, source_seconds=4), 80 + 20),
        (Bill("extend", "1280x720", 4, source_seconds=9), 28 + 45),
        (Bill("adopt", "1280x720", 4), 40),  # nobody pays: it only has to be a number
    ],
)
def test_what_is_asked_has_its_price(bill: Bill, cost: int) -> None:
    assert EVERYTHING.cost(bill) == cost
    assert Prices({"": 10}).cost(bill) == 40


@pytest.mark.parametrize(("trim", "sent"), [(False, [2500, 4500]), (True, [2500, 3000])])
def test_a_clip_counts_as_long_as_it_is_sent(trim: bool, sent: list[int]) -> None:
    support = CharacterSupport(reference_videos=2, clip_seconds=(0.0, 3.0), trim=trim)
    assert [support.sent(milliseconds) for milliseconds in (2500, 4500)] == sent


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

"""What a model takes: its rates as a provider file declares them, and what a bill by them comes to.

Money is whole micro-dollars. A rate is for a second, by size; '' stands for any. A size that is not listed, such as a
clip's own, costs what the listed one does that is nearest to it in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from understudy.providers.sizes import pixels

Rates = Mapping[str, int]
_SIZE = re.compile(r"([1-9][0-9]*x[1-9][0-9]*)?")


@dataclass(frozen=True, slots=True)
class Bill:
    """What is paid for: so many seconds of this in this size, and what went in with the order for it.

    `source_seconds` is how long the video is that is edited or extended; `clips` has the milliseconds of each
    character's clip, 0 for one that has none here.
    """

    operation: str
    size: str
    seconds: int
    source_seconds: int = 0
    clips: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Prices:
    """What a model takes. One that takes the same for everything is `Prices({"": 100_000})`; no rates: not known.

    The rates of what is made are for each second of it: of an edit all, of an extension what it adds. `source`, `clips`
    and `character` come on top.
    """

    create: Rates = field(default_factory=dict)
    characters: Rates | None = None  # a new video with characters; None: like one without
    edit: Rates | None = None  # a remix, too; None: like a new video
    extend: Rates | None = None  # None: like a new video
    source: Rates = field(default_factory=dict)  # per second of what is edited or extended, by the size that is made
    clips: Rates = field(default_factory=dict)  # per second of the characters' clips, as long as they are sent
    character: int = 0  # for each character, whatever the length: the pictures that are sent of it

    def rates(self, operation: str, *, cast: bool = False) -> Rates:
        """What a second of this costs, by size; `cast`: with characters."""
        special = {"create": self.characters if cast else None, "extend": self.extend}
        special |= dict.fromkeys(("edit", "remix"), self.edit)
        found = special.get(operation)
        return self.create if found is None else found

    def cost(self, bill: Bill) -> int:
        """What the bill comes to; 0 where no price is known."""
        made = rate(self.rates(bill.operation, cast=bool(bill.clips)), bill.size) * bill.seconds
        source = rate(self.source, bill.size) * bill.source_seconds
        clips = -(-rate(self.clips, bill.size) * sum(bill.clips) // 1000)  # rounded up
        return made + source + clips + self.character * len(bill.clips)

    @classmethod
    def of(cls, table: Any) -> Prices:
        """Prices as a deployment's option says them: by size, and what costs something else by its name here.

        `{"": 100000, "edit": {"": 280000}, "character": 20000}`. Raises ValueError for anything else.
        """
        if not isinstance(table, Mapping):
            raise ValueError(f"micro_dollars: {table!r} should be a table, of micro-dollars a second by size")
        named: dict[str, Any] = {name: table[name] for name in cls.__slots__ if name in table and name != "create"}
        rates = {size: price for size, price in table.items() if size not in named}
        wrong = [one for one in (rates, *named.values()) if not _rates(one) and one is not named.get("character")]
        if wrong or not _whole(named.get("character", 0)):
            raise ValueError(f"micro_dollars: {table!r} should be whole micro-dollars a second by size")
        return cls(rates, **named)


def rate(rates: Rates, size: str) -> int:
    """What a second in this size costs; 0: not known."""
    if size in rates or "" in rates or not rates:
        return rates.get(size, rates.get("", 0))
    wanted = prod(pixels(size))
    return rates[min(rates, key=lambda listed: (abs(prod(pixels(listed)) - wanted), -rates[listed]))]


def _rates(found: object) -> bool:
    return isinstance(found, Mapping) and all(_SIZE.fullmatch(size) and _whole(price) for size, price in found.items())


def _whole(price: object) -> bool:
    return isinstance(price, int) and not isinstance(price, bool) and price >= 0

"""What a model charges: its rates as a provider file declares them, and the cost of an order at these rates.

Money is in whole micro-dollars. A rate is for a second, by size; '' stands for any size. A size that is not listed,
such as a clip's own, costs as much as the listed size that is nearest in pixels.
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
    """What an order is charged for: `seconds` of video in this size, and the inputs of the order.

    `source_seconds` is the length of the video that is edited or extended. `clips` holds the milliseconds of each
    character's clip, 0 for a character without a clip here.
    """

    operation: str
    size: str
    seconds: int
    source_seconds: int = 0
    clips: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Prices:
    """What a model charges. `Prices({"": 100_000})` is one rate for everything; without rates, no price is known.

    The rates `create`, `characters`, `edit` and `extend` are for each second of the result: for an edit the whole
    video, for an extension the added part. `source`, `clips` and `character` are charged on top.
    """

    create: Rates = field(default_factory=dict)
    characters: Rates | None = None  # a new video with characters; None: like one without
    edit: Rates | None = None  # a remix, too; None: like a new video
    extend: Rates | None = None  # None: like a new video
    source: Rates = field(default_factory=dict)  # per second of what is edited or extended, by the size that is made
    clips: Rates = field(default_factory=dict)  # per second of the characters' clips, counting only what is sent
    character: int = 0  # per character, for its stills, whatever the video's length

    def rates(self, operation: str, *, cast: bool = False) -> Rates:
        """Return the rates of an operation, per second and by size. `cast`: the video has characters."""
        special = {"create": self.characters if cast else None, "extend": self.extend}
        special |= dict.fromkeys(("edit", "remix"), self.edit)
        found = special.get(operation)
        return self.create if found is None else found

    def cost(self, bill: Bill) -> int:
        """Return the cost of the bill. A part without a known price counts as 0."""
        made = rate(self.rates(bill.operation, cast=bool(bill.clips)), bill.size) * bill.seconds
        source = rate(self.source, bill.size) * bill.source_seconds
        clips = -(-rate(self.clips, bill.size) * sum(bill.clips) // 1000)  # rounded up
        return made + source + clips + self.character * len(bill.clips)

    @classmethod
    def of(cls, table: Any) -> Prices:
        """Read prices from a deployment's option `micro_dollars`.

        The option is a table of rates by size. A special rate stands there under the name of its field here:
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
    """Return the price of a second in this size; 0 if no price is known."""
    if size in rates or "" in rates or not rates:
        return rates.get(size, rates.get("", 0))
    wanted = prod(pixels(size))
    return rates[min(rates, key=lambda listed: (abs(prod(pixels(listed)) - wanted), -rates[listed]))]


def _rates(found: object) -> bool:
    return isinstance(found, Mapping) and all(_SIZE.fullmatch(size) and _whole(price) for size, price in found.items())


def _whole(price: object) -> bool:
    return isinstance(price, int) and not isinstance(price, bool) and price >= 0

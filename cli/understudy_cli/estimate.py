"""What a model is asked for by `understudy smoke`, and what that costs at most, by `GET /v1/models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """The cheapest work that shows what a model can do. `added` is the length of the extension."""

    size: str
    seconds: int
    character: bool
    edit: bool
    added: int | None

    @classmethod
    def of(cls, model: dict[str, Any], *, character: bool, seconds: int | None) -> Plan:
        """Return the plan for an entry of `GET /v1/models`. Raises ValueError if the model takes no characters."""
        able = model["capabilities"]
        cast = able["characters"]
        if character and not cast["most"]:
            raise ValueError(f"The model {model['id']} takes no characters. Leave out --character.")
        lengths, sizes = (cast if character else able)["seconds"], (cast if character else able)["sizes"]
        extends = character and able["extend"]["own"] != "none" and able["extend_seconds"]
        return cls(
            size=able["default_size"] if able["default_size"] in sizes else sizes[0],
            seconds=seconds or min(map(int, lengths)),
            character=character,
            edit=character and able["edit"]["own"] != "none",
            added=min(map(int, able["extend_seconds"])) if extends else None,
        )

    @property
    def steps(self) -> list[str]:
        """The names of what is made, in order."""
        wanted = {"character": self.character, "video": True, "edit": self.edit, "extension": self.added is not None}
        return [name for name, is_wanted in wanted.items() if is_wanted]


def cost(plan: Plan, model: dict[str, Any]) -> str:
    """Return a sentence that says what the plan costs at most. The price is unknown if one of its parts is."""
    prices = model["capabilities"]["micro_dollars"]

    def most(of: str) -> int | None:
        fitting = [line["most"] for line in prices if of in line["of"] and plan.size in line["sizes"]]
        return max(fitting, default=None)

    parts = [(most("characters" if plan.character else "create"), plan.seconds)]
    if plan.edit:
        parts.append((most("edit"), plan.seconds))
    if plan.added is not None:
        parts.append((most("extend"), plan.added))
    known = [price * seconds for price, seconds in parts if price is not None]
    what = ", ".join(plan.steps)
    if len(known) < len(parts):
        return f"The price is unknown, because model {model['id']} has no price for: {what}."
    remade = plan.edit + (plan.added is not None)
    total = sum(known) + remade * (most("source") or 0) * plan.seconds
    total += (most("character") or 0) if plan.character else 0
    text = f"The price is at most ${total / 1_000_000:.2f} for: {what}."
    if plan.character and (clips := most("clips")):
        text += f" Each second of the character's clip costs ${clips / 1_000_000:.2f} more."
    return text

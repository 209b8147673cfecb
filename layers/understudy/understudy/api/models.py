"""The models that a caller can choose from, with their capabilities and prices."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic, which describes these, takes no other before Python 3.12

from understudy.access.keys import Caller
from understudy.deployments.config import Deployments
from understudy.deployments.routing import profile_of
from understudy.providers.base import Operation, Profile, Way
from understudy.providers.prices import rate

MADE = ("create", "characters", "edit", "extend", "remix")
ON_TOP = ("source", "clips", "character")


class Characters(TypedDict):
    """What a model can do with characters.

    `most` is how many characters fit into one video, `beside_input_reference` how many fit beside an `input_reference`.
    `forms` are the forms in which the model takes characters. `seconds` and `sizes` are those of videos with
    characters.
    """

    most: int
    beside_input_reference: int
    forms: list[str]
    seconds: list[str]
    sizes: list[str]


class Remaking(TypedDict):
    """How a model edits or extends a video: "native", "emulated" (joined by Understudy) or "none"."""

    own: str  # one that the same deployment made
    other: str  # any other: an upload, a file, another deployment's


class Price(TypedDict):
    """A line of the price list, in micro-dollars, from the cheapest deployment behind the name to the most expensive.

    `of` says what the price is for. A second of the result has the price "create", "characters" (a new video with
    characters), "edit", "extend" (an added second) or "remix". These prices are added: "source" for a second of the
    video that is edited, extended or remixed, "clips" for a second of the characters' clips, and "character" for each
    character.
    """

    of: list[str]
    sizes: list[str]
    per: str  # "second" or "character"
    least: int
    most: int


class Capabilities(TypedDict):
    """What a model can do, in the terms of the API.

    `micro_dollars` leaves out operations without a known price. `kept_seconds` is how long the provider keeps a
    finished file: the shortest time of the deployments. null means until the file is deleted, or unknown. Understudy's
    copy stays.
    """

    seconds: list[str]
    sizes: list[str]
    default_seconds: str
    default_size: str
    input_reference: bool
    characters: Characters
    edit: Remaking
    extend: Remaking
    extend_seconds: list[str]
    remix: bool
    micro_dollars: list[Price]
    kept_seconds: int | None


class Model(TypedDict):
    """OpenAI's Model, with the additional field `capabilities`."""

    id: str
    object: str
    created: int
    owned_by: str
    capabilities: Capabilities


class ModelList(TypedDict):
    object: str
    data: list[Model]


def available(deployments: Deployments, caller: Caller) -> list[Model]:
    """Return the models that the caller may use, as OpenAI lists them, with `capabilities`.

    The capabilities of a model are the union over the deployments behind its name.
    """
    return [
        {
            "id": model,
            "object": "model",
            "created": 0,
            "owned_by": "understudy",
            "capabilities": _union([profile_of(one, model) for one in deployments.group(model)]),
        }
        for model in deployments.models()
        if caller.may_use(model)
    ]


def price_list(profiles: list[Profile]) -> list[Price]:
    """Return the price list of these profiles, equal prices merged. Operations without a price are omitted."""
    lines: dict[tuple[bool, tuple[str, ...], int, int], list[str]] = {}
    for of in (*MADE, *ON_TOP):
        ranges: dict[tuple[int, int], list[str]] = {}
        for size in _sizes(profiles):
            if costs := [cost for profile in profiles for cost in _costs(profile, of, size) if cost]:
                ranges.setdefault((min(costs), max(costs)), []).append(size)
        for (least, most), sizes in ranges.items():
            lines.setdefault((of in ON_TOP, tuple(sizes), least, most), []).append(of)
    return [
        {
            "of": of,
            "sizes": list(sizes),
            "per": "character" if of == ["character"] else "second",
            "least": least,
            "most": most,
        }
        for (_, sizes, least, most), of in lines.items()
    ]


def _costs(profile: Profile, of: str, size: str) -> list[int]:
    """Return the prices of `of` in this size: two if the price depends on which deployment made the source."""
    prices, cast = profile.prices, of in {"characters", "clips", "character"}
    able = profile.playing(cast=cast)
    if size not in able.sizes or (cast and not able.characters.most):
        return []
    match of:
        case "characters":
            return [rate(prices.rates("create", cast=True), size)]
        case "clips":
            return [rate(prices.clips, size)]
        case "character":
            return [prices.character]
        case "source":
            native = "native" in _ways(profile, "edit") | _ways(profile, "extend") | _ways(profile, "remix")
            return [rate(prices.source, size)] if native else []
    ways = _ways(profile, of)  # type: ignore[arg-type]
    return [rate(prices.rates(of if way == "native" else "create"), size) for way in ways if way]


def _ways(profile: Profile, operation: Operation) -> set[Way | None]:
    return {profile.way(operation, own=own) for own in (True, False)}


def _sizes(profiles: list[Profile]) -> list[str]:
    return list(dict.fromkeys(size for profile in profiles for size in profile.sizes))


def _lengths(profiles: list[Profile]) -> list[str]:
    return [str(value) for value in sorted({value for profile in profiles for value in profile.seconds})]


def _union(profiles: list[Profile]) -> Capabilities:
    first = profiles[0]
    return {
        "seconds": _lengths(profiles),
        "sizes": _sizes(profiles),
        "default_seconds": str(first.default_seconds),
        "default_size": first.default_size,
        "input_reference": any(profile.input_image for profile in profiles),
        "characters": _characters(profiles),
        "edit": _remaking(profiles, "edit"),
        "extend": _remaking(profiles, "extend"),
        "extend_seconds": [
            str(value) for value in sorted({value for profile in profiles for value in _added(profile)})
        ],
        "remix": any(profile.remix for profile in profiles),
        "micro_dollars": price_list(profiles),
        "kept_seconds": min((one.kept_seconds for one in profiles if one.kept_seconds is not None), default=None),
    }


def _characters(profiles: list[Profile]) -> Characters:
    able = [one for one in (profile.playing(cast=True) for profile in profiles) if one.characters.most]
    return {
        "most": max((one.characters.most for one in able), default=0),
        "beside_input_reference": max((one.characters.beside for one in able if one.input_image), default=0),
        "forms": sorted({one.characters.form for one in able if one.characters.form}),
        "seconds": _lengths(able),
        "sizes": _sizes(able),
    }


def _added(profile: Profile) -> tuple[int, ...]:
    """Return the seconds that one extension may add: if emulated, the lengths of a new video."""
    emulates = profile.way("extend", own=True) == "emulated"
    return profile.seconds if emulates else profile.extend_seconds


def _remaking(profiles: list[Profile], operation: Operation) -> Remaking:
    return {"own": _best(profiles, operation, own=True), "other": _best(profiles, operation, own=False)}


def _best(profiles: list[Profile], operation: Operation, *, own: bool) -> str:
    ways = {profile.way(operation, own=own) for profile in profiles}
    return next((way for way in ("native", "emulated") if way in ways), "none")

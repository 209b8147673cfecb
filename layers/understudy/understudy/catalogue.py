"""What there is to choose from: every model name with what it can do."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic, which describes these, takes no other before Python 3.12

from understudy.deployments import Deployments
from understudy.keys import Caller
from understudy.providers.base import Operation, Profile
from understudy.routing import profile_of


class Characters(TypedDict):
    """How many characters fit into one video, and in which forms they may travel."""

    most: int
    forms: list[str]


class Remaking(TypedDict):
    """How a video is edited or extended: "native" by the model, "emulated" put together here, "none" not at all."""

    own: str  # one that the same deployment made
    other: str  # any other: an upload, a file, another deployment's


class Capabilities(TypedDict):
    """What a model can do, in the words of the API."""

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


class Model(TypedDict):
    """OpenAI's Model with `capabilities`."""

    id: str
    object: str
    created: int
    owned_by: str
    capabilities: Capabilities


class ModelList(TypedDict):
    object: str
    data: list[Model]


def models(deployments: Deployments, caller: Caller) -> list[Model]:
    """The models that the caller may use, as OpenAI lists them, with `capabilities`: the union over the deployments
    behind each name."""
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


def _union(profiles: list[Profile]) -> Capabilities:
    first = profiles[0]
    forms = {form for profile in profiles if (form := profile.characters.form)}
    return {
        "seconds": [str(value) for value in sorted({value for profile in profiles for value in profile.seconds})],
        "sizes": list(dict.fromkeys(size for profile in profiles for size in profile.sizes)),
        "default_seconds": str(first.default_seconds),
        "default_size": first.default_size,
        "input_reference": any(profile.input_image for profile in profiles),
        "characters": {"most": max(profile.characters.most for profile in profiles), "forms": sorted(forms)},
        "edit": _remaking(profiles, "edit"),
        "extend": _remaking(profiles, "extend"),
        "extend_seconds": [
            str(value) for value in sorted({value for profile in profiles for value in _added(profile)})
        ],
        "remix": any(profile.remix for profile in profiles),
    }


def _added(profile: Profile) -> tuple[int, ...]:
    """By how many seconds it extends; emulated, by as many as it makes."""
    emulates = profile.way("extend", own=True) == "emulated"
    return profile.seconds if emulates else profile.extend_seconds


def _remaking(profiles: list[Profile], operation: Operation) -> Remaking:
    return {"own": _best(profiles, operation, own=True), "other": _best(profiles, operation, own=False)}


def _best(profiles: list[Profile], operation: Operation, *, own: bool) -> str:
    ways = {profile.way(operation, own=own) for profile in profiles}
    return next((way for way in ("native", "emulated") if way in ways), "none")

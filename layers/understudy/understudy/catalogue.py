"""What there is to choose from: every model name with what it can do."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic, which describes these, takes no other before Python 3.12

from understudy.deployments import Deployments
from understudy.keys import Caller
from understudy.providers.base import Profile
from understudy.routing import profile_of


class Characters(TypedDict):
    """How many characters fit into one video, and in which forms they may travel."""

    most: int
    forms: list[str]


class Capabilities(TypedDict):
    """What a model can do, in the words of the API."""

    seconds: list[str]
    sizes: list[str]
    default_seconds: str
    default_size: str
    input_reference: bool
    characters: Characters
    edit: bool
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
        "edit": any(profile.edit for profile in profiles),
        "extend_seconds": [
            str(value) for value in sorted({value for profile in profiles for value in profile.extend_seconds})
        ],
        "remix": any(profile.remix for profile in profiles),
    }

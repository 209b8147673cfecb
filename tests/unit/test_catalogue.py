from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.stage import Stage
from understudy import catalogue
from understudy.deployments import Deployment, Deployments
from understudy.keys import Caller

CALLER = Caller("blue", "k")


def listed(stage: Stage) -> dict[str, Any]:
    reply = stage.call("list_models")
    assert (reply.status, reply.body["object"]) == (200, "list")
    return {model["id"]: model["capabilities"] for model in reply.body["data"]}


def test_every_model_with_what_it_can_do(stage: Stage) -> None:
    models = listed(stage)
    assert list(models) == ["sora-2", "solo", "wan"]
    assert models["sora-2"] == {
        "seconds": ["4", "8", "12", "16", "20"],
        "sizes": ["720x1280", "1280x720"],
        "default_seconds": "4",
        "default_size": "720x1280",
        "input_reference": True,
        "characters": {"most": 2, "forms": ["native"]},
        "edit": {"own": "native", "other": "native"},
        "extend": {"own": "native", "other": "native"},
        "extend_seconds": ["4", "8", "12", "16", "20"],
        "remix": True,
    }
    assert models["wan"]["characters"] == {"most": 0, "forms": []}
    assert (models["wan"]["edit"], models["wan"]["remix"]) == ({"own": "none", "other": "none"}, False)
    assert models["wan"]["extend"] == {"own": "emulated", "other": "emulated"}
    assert models["wan"]["extend_seconds"] == models["wan"]["seconds"]


def test_a_key_sees_the_models_that_it_may_use(stage: Stage) -> None:
    every = listed(stage)
    stage.sign_in("blue", models=("wan", "solo", "nobody"))
    assert listed(stage) == {name: every[name] for name in ("solo", "wan")}
    stage.sign_in("blue", models=("nobody",))
    assert listed(stage) == {}


def test_what_it_says_is_what_is_checked(stage: Stage, upstream: object) -> None:
    """The catalogue and the checks read the same profile."""
    for model, can in listed(stage).items():
        for seconds in can["seconds"]:
            assert stage.create(model=model, seconds=seconds).status == 200
        for size in can["sizes"]:
            assert stage.create(model=model, size=size).status == 200
        defaults = stage.create(model=model).body
        assert (defaults["seconds"], defaults["size"]) == (can["default_seconds"], can["default_size"])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_name_with_several_deployments_can_what_any_of_them_can(order: tuple[int, int]) -> None:
    both = [
        Deployment("a", "openai", "https://a", {"m": "x"}, options={"seconds": [4], "characters": 1, "edit": False}),
        Deployment("b", "hosted_vllm", "https://b", {"m": "x"}, options={"seconds": [5, 3], "references": "image"}),
    ]
    (model,) = catalogue.models(Deployments([both[n] for n in order]), CALLER)
    can = model["capabilities"]
    assert can["seconds"] == ["3", "4", "5"]
    assert can["characters"] == {"most": 4, "forms": ["native", "reference_image"]}
    assert can["default_seconds"] == ("4" if order == (0, 1) else "5")
    assert set(can["sizes"]) == {"720x1280", "1280x720", "832x480", "480x832"}
    assert can["remix"]
    assert can["edit"] == {"own": "none", "other": "none"}
    assert can["extend"] == {"own": "native", "other": "native"}
    assert can["extend_seconds"] == ["3", "4", "5", "8", "12", "16", "20"]


def test_its_own_videos_and_others() -> None:
    """A model may take its own videos only, and what it cannot extend may still be continued."""
    closed = Deployment("a", "gemini", "https://a", {"m": "gemini-omni-1.1-flash"}, options={"uploads": False})
    (model,) = catalogue.models(Deployments([closed]), CALLER)
    can = model["capabilities"]
    assert can["edit"] == {"own": "native", "other": "none"}
    assert can["extend"] == {"own": "native", "other": "emulated"}
    blind = Deployment("a", "hosted_vllm", "https://a", {"m": "x"}, options={"first_frame": False})
    (model,) = catalogue.models(Deployments([blind]), CALLER)
    assert model["capabilities"]["extend"] == {"own": "none", "other": "none"}
    assert model["capabilities"]["extend_seconds"] == []
    assert model["capabilities"]["input_reference"] is False

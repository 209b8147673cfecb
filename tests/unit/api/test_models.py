from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.stage import Stage
from understudy.access.keys import Caller
from understudy.api import models
from understudy.deployments.config import Deployment, Deployments

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
        "characters": {
            "most": 2,
            "beside_input_reference": 2,
            "forms": ["native"],
            "seconds": ["4", "8", "12", "16", "20"],
            "sizes": ["720x1280", "1280x720"],
        },
        "edit": {"own": "native", "other": "native"},
        "extend": {"own": "native", "other": "native"},
        "extend_seconds": ["4", "8", "12", "16", "20"],
        "remix": True,
        "micro_dollars": [
            {
                "of": ["create", "characters", "edit", "extend", "remix"],
                "sizes": ["720x1280", "1280x720"],
                "per": "second",
                "least": 100_000,
                "most": 100_000,
            }
        ],
        "kept_seconds": 3600,
    }
    nobody = {"most": 0, "beside_input_reference": 0, "forms": [], "seconds": [], "sizes": []}
    assert models["wan"]["characters"] == nobody
    assert (models["wan"]["micro_dollars"], models["wan"]["kept_seconds"]) == ([], None)
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
    """Every length and size of the catalogue is accepted, and the defaults are the catalogue's."""
    for model, can in listed(stage).items():
        for seconds in can["seconds"]:
            assert stage.create(model=model, seconds=seconds).status == 200
        for size in can["sizes"]:
            assert stage.create(model=model, size=size).status == 200
        assert {size for line in can["micro_dollars"] for size in line["sizes"]} <= set(can["sizes"])
        defaults = stage.create(model=model).body
        assert (defaults["seconds"], defaults["size"]) == (can["default_seconds"], can["default_size"])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_name_with_several_deployments_can_what_any_of_them_can(order: tuple[int, int]) -> None:
    both = [
        Deployment("a", "openai", "https://a", {"m": "x"}, options={"seconds": [4], "characters": 1, "edit": False}),
        Deployment("b", "hosted_vllm", "https://b", {"m": "x"}, options={"seconds": [5, 3], "references": "image"}),
    ]
    (model,) = models.available(Deployments([both[n] for n in order]), CALLER)
    can = model["capabilities"]
    assert can["seconds"] == ["3", "4", "5"]
    assert can["characters"] == {
        "most": 4,
        "beside_input_reference": 4,
        "forms": ["native", "reference_image"],
        "seconds": can["seconds"],
        "sizes": can["sizes"],
    }
    assert can["default_seconds"] == ("4" if order == (0, 1) else "5")
    assert set(can["sizes"]) == {"720x1280", "1280x720", "832x480", "480x832"}
    assert can["remix"]
    assert can["edit"] == {"own": "none", "other": "none"}
    assert can["extend"] == {"own": "native", "other": "native"}
    assert can["extend_seconds"] == ["3", "4", "5", "8", "12", "16", "20"]


def test_its_own_videos_and_others() -> None:
    """A model may edit only its own videos, and emulate an extension of others."""
    closed = Deployment("a", "gemini", "https://a", {"m": "gemini-omni-1.1-flash"}, options={"uploads": False})
    (model,) = models.available(Deployments([closed]), CALLER)
    can = model["capabilities"]
    assert can["edit"] == {"own": "native", "other": "none"}
    assert can["extend"] == {"own": "native", "other": "emulated"}
    blind = Deployment("a", "hosted_vllm", "https://a", {"m": "x"}, options={"first_frame": False})
    (model,) = models.available(Deployments([blind]), CALLER)
    assert model["capabilities"]["extend"] == {"own": "none", "other": "none"}
    assert model["capabilities"]["extend_seconds"] == []
    assert model["capabilities"]["input_reference"] is False


def can(*deployments: Deployment) -> dict[str, Any]:
    """Return the capabilities of the only model of these deployments."""
    (model,) = models.available(Deployments(list(deployments)), CALLER)
    return dict(model["capabilities"])


def test_what_a_video_with_characters_may_be() -> None:
    """With characters a model may support less; a model of several deployments lists what any of them supports."""
    grok = Deployment("a", "xai", "https://a", {"m": "grok-imagine-video"})
    newer = Deployment("b", "xai", "https://b", {"m": "grok-imagine-video-1.5"})
    alone, both = can(grok), can(grok, newer)
    assert (alone["seconds"][-1], alone["characters"]["seconds"][-1]) == ("15", "10")
    assert alone["characters"]["beside_input_reference"] == 0
    assert both["characters"]["seconds"][-1] == "15"
    assert both["characters"]["beside_input_reference"] == 14
    assert "1080x1920" in both["sizes"]
    assert "1080x1920" not in both["characters"]["sizes"]


def test_a_price_list_of_one() -> None:
    grok = can(Deployment("a", "xai", "https://a", {"m": "grok-imagine-video"}))
    small, large = grok["sizes"][:7], grok["sizes"][7:]
    made = ["create", "characters", "edit", "extend"]
    assert ("848x480" in small, "1280x720" in large) == (True, True)
    assert grok["micro_dollars"] == [
        {"of": made, "sizes": small, "per": "second", "least": 50_000, "most": 50_000},
        {"of": made, "sizes": large, "per": "second", "least": 70_000, "most": 70_000},
        {"of": ["source"], "sizes": grok["sizes"], "per": "second", "least": 10_000, "most": 10_000},
        {"of": ["character"], "sizes": grok["sizes"], "per": "character", "least": 6_000, "most": 6_000},
    ]
    assert grok["kept_seconds"] == 24 * 3600


def test_what_is_not_done_has_no_price() -> None:
    prices = {"": 5, "source": {"": 1}, "clips": {"": 1}, "character": 1, "extend": {"": 9}}
    unable = {"edit": False, "remix": False, "extend_seconds": [], "characters": 0, "sizes": ["1280x720"]}
    listed = can(Deployment("a", "openai", "https://a", {"m": "x"}, options={"micro_dollars": prices, **unable}))
    line = {"of": ["create", "extend"], "sizes": ["1280x720"], "per": "second", "least": 5, "most": 5}
    assert listed["micro_dollars"] == [line]  # emulated, an extension is a new video


def test_a_price_list_of_several_goes_from_the_cheapest_to_the_dearest() -> None:
    """The range covers the deployments that make the size and have a price for it.

    An emulated extension costs as much as a new video.
    """
    options = {"sizes": ["1280x720", "720x1280"], "micro_dollars": {"": 100_000, "edit": {"": 300_000}}}
    own = Deployment("a", "openai", "https://a", {"m": "x"}, options=options | {"kept_seconds": 7200})
    cheap = {"sizes": ["1280x720"], "micro_dollars": {"1280x720": 40_000}, "extend_seconds": [], "edit": False}
    other = Deployment("b", "openai", "https://b", {"m": "x"}, options=cheap | {"remix": False, "characters": 0})
    free = Deployment("c", "hosted_vllm", "https://c", {"m": "x"}, options={"sizes": ["1280x720", "640x360"]})
    both = can(own, other, free)
    assert both["micro_dollars"] == [
        {"of": ["create", "extend"], "sizes": ["1280x720"], "per": "second", "least": 40_000, "most": 100_000},
        {"of": ["create", "extend"], "sizes": ["720x1280"], "per": "second", "least": 100_000, "most": 100_000},
        {
            "of": ["characters"],
            "sizes": ["1280x720", "720x1280"],
            "per": "second",
            "least": 100_000,
            "most": 100_000,
        },
        {
            "of": ["edit", "remix"],
            "sizes": ["1280x720", "720x1280"],
            "per": "second",
            "least": 300_000,
            "most": 300_000,
        },
    ]
    assert both["kept_seconds"] == 3600  # of `b`: the first to go

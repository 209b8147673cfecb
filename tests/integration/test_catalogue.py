"""The deployed stack does what its model list says: it checks limits before an order and books the listed prices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.live import Api, Heard, answered, refused, shown

if TYPE_CHECKING:
    from tests.integration.live import Json, Stack

SIZES = ["720x1280", "1280x720"]
A_SECOND = {"create": 100_000, "edit": 250_000, "source": 10_000}  # micro-dollars, in deployments.toml


@pytest.fixture(scope="module")
def models(api: Api) -> dict[str, Json]:
    return {model["id"]: model["capabilities"] for model in answered(api.get("/models"))["data"]}


def test_prices_and_how_long_files_are_kept(models: dict[str, Json]) -> None:
    line = {"sizes": SIZES, "per": "second"}
    assert models["priced"]["micro_dollars"] == [
        {**line, "of": ["create", "characters", "extend"], "least": A_SECOND["create"], "most": A_SECOND["create"]},
        {**line, "of": ["edit", "remix"], "least": A_SECOND["edit"], "most": A_SECOND["edit"]},
        {**line, "of": ["source"], "least": A_SECOND["source"], "most": A_SECOND["source"]},
    ]
    kept = {name: models[name]["kept_seconds"] for name in ("priced", "sora-2", "grok", "omni", "kling", "wan-2.2")}
    assert kept == {
        "priced": 7200,
        "sora-2": 3600,
        "grok": 86_400,
        "omni": 172_800,
        "kling": 2_592_000,
        "wan-2.2": None,
    }


def test_a_group_shows_the_cheapest_and_the_dearest(models: dict[str, Json]) -> None:
    alone = [models[name] for name in ("grok", "omni", "kling")]  # Runway's price is not known
    prices = [one["least"] for can in alone for one in can["micro_dollars"] if made(one, "create")]
    (line,) = [one for one in models["troupe"]["micro_dollars"] if made(one, "create")]
    assert (line["least"], line["most"]) == (min(prices), max(prices))
    assert line["least"] < line["most"]
    assert models["troupe"]["kept_seconds"] == 86_400


def made(line: Json, what: str) -> bool:
    """Return whether this is the price line for `what` in 720p."""
    return what in line["of"] and "1280x720" in line["sizes"]


def test_what_is_not_made_with_characters_is_refused_before_anything_is_sent(
    api: Api, stack: Stack, luna: str, models: dict[str, Json]
) -> None:
    """A size, a length and a first frame that models support only without characters are refused."""
    new, old = models["grok-1.5"], models["grok"]
    assert "1920x1080" in set(new["sizes"]) - set(new["characters"]["sizes"])
    assert "12" in set(old["seconds"]) - set(old["characters"]["seconds"])
    assert (old["input_reference"], old["characters"]["beside_input_reference"]) == (True, 0)
    heard = Heard(stack.simulator("xai"), "xai")
    frame = {"image_url": "data:image/png;base64,iVBORw0KGgo="}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"model": "grok-1.5", "size": "1920x1080"}, "size", ", ".join(new["characters"]["sizes"])),
        ({"model": "grok", "seconds": "12"}, "seconds", '"9", "10".'),
        ({"model": "grok", "input_reference": frame}, "characters", "takes none"),
    ]
    for body, param, possible in cases:
        answer = api.post("/videos", {"prompt": "Luna", "characters": [{"id": luna}], **body})
        message = refused(answer, 400, "unsupported_operation", param)["message"]
        said, _, able = message.partition(" Models that can: ")
        assert possible in said
        assert "kling" in able
        assert body["model"] not in able.rstrip(".").split(", ")
    assert heard.requests("create_video") == []  # jobs of other tests may still be asked for


def test_an_edit_is_held_and_settled_at_its_own_price(stack: Stack) -> None:
    key = shown(stack.keys("create", "--team", "priced", "--budget", "10"))
    month, api = f"budget#{time.strftime('%Y-%m', time.gmtime())}", Api(stack.base_url, key.text)

    def spent() -> int:
        row = stack.key_row(key, month)
        assert row["committed"] == row["spent"]  # nothing is held any more
        return int(row["spent"]["N"])

    video = api.finished(model="priced", seconds="4")
    made = spent()
    assert made == 4 * A_SECOND["create"]
    edit = api.make("/videos/edits", prompt="at dusk", video={"id": video["id"]})
    price = 4 * (A_SECOND["edit"] + A_SECOND["source"])
    assert int(stack.key_row(key, month)["committed"]["N"]) == made + price
    assert api.wait(edit["id"])["seconds"] == "4"
    assert spent() == made + price

"""A character made once plays everywhere: every ordered pair of providers, through the deployed stack."""

from __future__ import annotations

import json
import secrets
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.live import Film, together

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.live import Api, Json, Stack

# Model -> the simulator that serves it.
MODELS = {"sora-2": "openai", "grok": "xai", "omni": "gemini", "runway": "runwayml", "kling": "kling"}


def cast(model: str, name: str, request: Json) -> bool:
    """Did the request bring the character in the form that this provider takes, called by its name in the prompt?"""
    body: Any = request.get("json") or request["fields"]
    text = json.dumps(body)
    match model:
        case "sora-2":
            return name in body["prompt"] and len(body["characters"]) == 1
        case "grok":
            return name in body["prompt"] and "<IMAGE_1>" in body["prompt"] and 1 <= len(body["reference_images"]) <= 7
        case "omni":
            return name in text and "<VIDEO_REF_0>" in text and '"type": "video"' in text
        case "runway":
            return name in body["promptText"] and len(body["referenceVideos"]) == 1
        case "kling":
            return name in text and "@" in text and '"element_id"' in text
    return False


@pytest.fixture(scope="module")
def made(api: Api, luna_clip: Path) -> dict[str, Json]:
    """A character from each provider's model, each with a name of its own."""
    run = secrets.token_hex(2)  # the simulators of a stack that is used again remember earlier runs
    return {model: api.character(luna_clip, f"Luna{i}{run}", model=model) for i, model in enumerate(MODELS)}


def test_a_character_of_each_plays_on_each_other(api: Api, stack: Stack, made: dict[str, Json]) -> None:
    pairs = list(permutations(MODELS, 2))

    def ask(pair: tuple[str, str]) -> str:
        source, target = pair
        prompt = f"{made[source]['name']} waits for the {target} tram"
        video = api.video(model=target, prompt=prompt, seconds="4", characters=[{"id": made[source]["id"]}])
        return str(video["id"])

    ids = together(ask, pairs)
    api.wait_all(ids)
    for source, target in pairs:
        records = stack.simulator(MODELS[target]).requests(method="POST")
        name = made[source]["name"]
        asked = [one for one in records if f"waits for the {target} tram" in (text := json.dumps(one)) and name in text]
        assert len(asked) == 1, (source, target, len(asked))
        assert cast(target, name, asked[0]), (source, target, asked[0])


@pytest.mark.parametrize("model", [model for model in MODELS if model != "sora-2"])
def test_edit_and_extend_where_it_was_made(api: Api, model: str) -> None:
    source = api.finished(model=model, seconds="4", size="1280x720")
    assert (source["seconds"], source["size"]) == ("4", "1280x720")
    edit = api.make("/videos/edits", prompt="Make it dusk", video={"id": source["id"]})
    body = {"prompt": "It goes on", "seconds": "4", "video": {"id": source["id"]}}
    extension = api.make("/videos/extensions", **body)
    api.wait_all([edit["id"], extension["id"]])
    assert api.wait(extension["id"])["seconds"] == "8"
    film = Film.of(api.download(extension["id"]).content)
    assert (film.width, film.height, round(film.seconds)) == (1280, 720, 8)


def test_a_video_of_one_is_edited_by_another(api: Api, movie: str) -> None:
    edits = [
        api.make("/videos/edits", prompt="Make it dusk", video={"id": movie}, model=model)["id"]
        for model in MODELS
        if model != "sora-2"
    ]
    api.wait_all(edits)

"""LiteLLM 1.109.1: the announcement's program unchanged, and the rest of LiteLLM's SDK (litellm_sdk.py)."""

from __future__ import annotations

import ast
import re

import pytest

from local.settings import ROOT
from tests.clients.conftest import Run
from tests.integration.live import Api, answered

CLIENTS = ("litellm", "announcement")
SCRIPT = ROOT / "docs" / "announcement.py"


def test_the_announcement_runs_top_to_bottom(client: Run, teams: dict[str, Api]) -> None:
    printed = client("announcement")
    found = re.fullmatch(r"Character: (character_[\w-]+)\n", printed)
    assert found, printed
    caller = teams["announcement"]
    assert answered(caller.get(f"/videos/characters/{found[1]}"))["name"] == "Luna"

    videos = answered(caller.get("/videos", params={"order": "asc"}))["data"]
    made = {video["prompt"]: video for video in videos if video["model"] == "sora-2"}
    assert list(made) == ["Luna dances through a magical forest.", "Add warm golden lighting", "Luna waves goodbye"]
    caller.wait_all([video["id"] for video in made.values()])
    ended = [answered(caller.get(f"/videos/{video['id']}"))["seconds"] for video in made.values()]
    assert ended == ["8", "8", "13"]


def test_the_announcement_makes_the_calls_of_the_original_with_its_arguments() -> None:
    """The program differs from the original only in the three corrections that the program's docstring names."""
    calls = {
        call.func.attr: {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
        for call in ast.walk(ast.parse(SCRIPT.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and "avideo" in call.func.attr
    }
    assert calls == {
        "avideo_create_character": {
            "name": "'Luna'",
            "video": "open('luna.mp4', 'rb')",
            "custom_llm_provider": "'openai'",
            "model": "'sora-2'",
        },
        "avideo_generation": {
            "model": "'sora-2'",
            "prompt": "'Luna dances through a magical forest.'",
            "characters": "[{'id': character.id}]",
            "seconds": "'8'",
        },
        "avideo_get_character": {"character_id": "character.id", "custom_llm_provider": "'openai'"},
        "avideo_edit": {"video_id": "video.id", "prompt": "'Add warm golden lighting'"},
        "avideo_extension": {"video_id": "video.id", "prompt": "'Luna waves goodbye'", "seconds": "'5'"},
    }


@pytest.mark.parametrize("model", ["sora-2", "sora-2-pro", "solo"])
def test_a_character_made_without_a_model_is_usable_on_all(client: Run, teams: dict[str, Api], model: str) -> None:
    """LiteLLM's SDK accepts `model` for a character but does not send it; every model can still use the character."""
    character = client("litellm")["character"]
    body = {"model": model, "prompt": "Luna runs over wet stones", "characters": [{"id": character["id"]}]}
    assert teams["litellm"].finished(**body)["status"] == "completed"


def test_the_sdk_does_what_the_announcement_leaves_out(client: Run) -> None:
    seen = client("litellm")
    assert seen["version"] == "1.109.1"
    assert seen["character"]["name"] == "Luna"
    assert seen["video"]["status"] == seen["pictured"]["status"] == "completed"
    assert [(one["status"], one["seconds"]) for one in seen["edits"]] == [("completed", "4"), ("completed", "2")]
    assert (seen["extension"]["status"], seen["extension"]["seconds"]) == ("completed", "9")
    assert seen["remix"]["remixed_from_video_id"] == seen["video"]["ours"]


def test_the_sdk_pages_with_the_ids_that_it_wraps(client: Run) -> None:
    seen = client("litellm")
    newest = [seen["remix"], seen["extension"], *reversed(seen["edits"])]
    assert seen["listed"] == [one["ours"] for one in newest]


def test_the_sdk_downloads_every_variant(client: Run) -> None:
    heads = {name: bytes.fromhex(one["head"]) for name, one in client("litellm")["content"].items()}
    assert heads["video"][4:8] == b"ftyp"
    assert heads["thumbnail"][8:12] == b"WEBP"
    assert heads["spritesheet"][:3] == b"\xff\xd8\xff"


def test_the_sdk_raises_its_own_errors(client: Run) -> None:
    seen = client("litellm")
    assert (seen["unfinished"]["class"], seen["unfinished"]["status"]) == ("BadRequestError", 400)
    assert "video_not_ready" in seen["unfinished"]["text"]
    assert (seen["unknown_model"]["class"], seen["unknown_model"]["status"]) == ("NotFoundError", 404)

"""`sam local start-api`: OpenAI's own client makes all its calls through SAM's gateway and our authorizer.

The program is openai_python.py of tests/clients. SAM's gateway has no gateway responses, so a refusal of the authorizer
has SAM's own wording.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.lambda_ import seed_files
from local.lambda_.sam_local import Emulator
from local.settings import ROOT
from local.stack import lifecycle

SECONDS = 600


@pytest.fixture(scope="module")
def base_url(emulator: Emulator) -> Iterator[str]:
    with emulator.start_api() as url:
        yield url


@pytest.fixture(scope="module")
def seen(emulator: Emulator, base_url: str) -> dict[str, Any]:
    """The output of the client, which calls for a team of its own."""
    clip, image = seed_files.path("luna.mp4"), seed_files.path("luna.png")
    environment = {
        "PATH": os.environ["PATH"],
        "BASE_URL": base_url,
        "KEY": lifecycle.mint(emulator.settings, emulator.settings.facts()["outputs"]["TableName"], "sam-local"),
        "CLIP": str(clip),
        "IMAGE": str(image),
        "IMAGE_URL": f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}",
    }
    program = [sys.executable, str(ROOT / "tests" / "clients" / "openai_python.py")]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return dict(json.loads(ran.stdout))


def test_characters_are_made_of_forms_with_files(seen: dict[str, Any]) -> None:
    assert [one["name"] for one in seen["characters"]] == ["Luna"] * 3


def test_a_video_an_edit_an_extension_and_a_remix_are_made(seen: dict[str, Any]) -> None:
    finished = [seen["video"], *seen["edits"], *seen["extensions"], seen["remix"]]
    assert [one["status"] for one in finished] == ["completed"] * 7
    assert seen["remix"]["remixed_from_video_id"] == seen["video"]["id"]
    assert seen["all_listed"]


def test_the_content_comes_over_the_redirect(seen: dict[str, Any]) -> None:
    heads = {name: bytes.fromhex(one["head"]) for name, one in seen["content"].items()}
    assert heads["video"][4:8] == b"ftyp"
    assert (heads["thumbnail"][:4], heads["spritesheet"][:3]) == (b"RIFF", b"\xff\xd8\xff")


def test_refusals_are_the_functions_own(seen: dict[str, Any]) -> None:
    codes = {name: (seen[name]["class"], seen[name]["code"]) for name in ("gone", "unknown_model")}
    assert codes == {
        "gone": ("NotFoundError", "video_not_found"),
        "unknown_model": ("NotFoundError", "model_not_found"),
    }


def test_the_authorizer_lets_nobody_else_in(seen: dict[str, Any], base_url: str) -> None:
    assert seen["wrong_key"]["class"] == "PermissionDeniedError"
    assert httpx.get(f"{base_url}/models", timeout=60).status_code == 401

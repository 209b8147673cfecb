"""LiteLLM's SDK with ids that the provider returned before there was a gateway."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.stack import providers
from tests.clients.conftest import HERE, VENVS, environment_of
from tests.integration.live import Api, Stack, answered


@pytest.fixture(scope="module")
def caller(stack: Stack) -> Api:
    return Api(stack.base_url, stack.mint("client-rawids", "raw_ids:own"))


@pytest.fixture(scope="module")
def seen(stack: Stack, caller: Api, luna_clip: Path) -> Any:
    environment = {
        **environment_of(caller, luna_clip.parent),
        "BASE_URL": caller.base_url,
        "KEY": caller.key,
        "UPSTREAM_URL": f"{providers.url(stack.settings, 'openai')}/v1",
        "UPSTREAM_KEY": "sim-own",
        "CLIP": str(luna_clip),
    }
    command: list[str | Path] = [VENVS / "client-litellm" / "bin" / "python", HERE / "litellm_rawids.py"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


def test_a_video_of_before_is_polled_and_edited(caller: Api, seen: Any) -> None:
    assert seen["video"]["status"] == seen["edit"]["status"] == "completed"
    assert seen["ours"] != seen["raw"]
    assert answered(caller.get(f"/videos/{seen['ours']}"))["model"] == "own"


def test_its_wrapped_ids_lead_to_the_same_when_they_come_as_they_are(caller: Api, seen: Any) -> None:
    """A client other than LiteLLM, such as curl, reaches the same video with the wrapped ids and with the raw id."""
    for one in (seen["wrapped"], seen["as_text"], seen["raw"]):
        assert answered(caller.get(f"/videos/{one}"))["id"] == seen["ours"]


def test_a_character_from_before_is_read_and_used(seen: Any) -> None:
    assert seen["fetched"]["name"] == "Luna"
    assert seen["fetched"]["id"].startswith("character_")
    assert seen["with_her"] == ["queued"] * 3

"""A provider fails: the provider refuses every call.

New work goes to the other deployments of its model, with the same character.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests import rings
from tests.integration.live import Film, Heard, answered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.live import Api, Stack

# Model -> its simulator, its account there, and the status and body of its refusals after the failure.
TROUPE: dict[str, tuple[str, str, int, Any]] = {
    "grok": ("xai", "xai", 401, {"error": "no such team"}),
    "omni": ("gemini", "gemini", 403, {"error": {"code": "permission_denied", "message": "switched off"}}),
    "runway": ("runwayml", "runway", 410, {"error": "This API has been switched off."}),
    "kling": ("kling", "kling", 503, {"code": 5001, "message": "maintenance"}),
    "hailuo": ("minimax", "minimax", 200, {"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}),
}


# A provider that gets clips, and one that makes its own characters. tests/unit/providers has every provider's refusals.
RING = ("omni", "kling")


@pytest.mark.parametrize("dead", rings.inner(TROUPE, RING))
def test_another_goes_on_with_the_same_character(api: Api, stack: Stack, luna_clip: Path, dead: str) -> None:
    name = f"Luna{secrets.token_hex(3)}"
    character = api.character(luna_clip, name, model=dead)["id"]
    before = api.finished(model=dead, prompt=f"{name} sleeps", seconds="4", characters=[{"id": character}])
    simulator, account, status, body = TROUPE[dead]
    server = stack.simulator(simulator)
    heard = {model: Heard(stack.simulator(one[0]), one[1]) for model, one in TROUPE.items()}
    server.fault(account=account, action="answer", status=status, body=body, times=None)
    try:
        # The character's home is asked first and refuses, and all later calls to it are refused, too.
        video = api.video(model="troupe", prompt=f"{name} goes on", seconds="4", characters=[{"id": character}])
        after = api.wait(video["id"])
        assert (after["model"], after["seconds"]) == ("troupe", "4")
        assert Film.of(api.download(after["id"]).content).frames
        # What the dead provider made before is stored here.
        assert api.wait(before["id"])["status"] == "completed"
        assert Film.of(api.download(before["id"]).content).frames
        assert answered(api.get(f"/videos/characters/{character}"))["name"] == name
    finally:
        server.clear_faults()
    made = {
        model: [one for one in ear.requests() if one["created"] and name in json.dumps(one)]
        for model, ear in heard.items()
    }
    assert made[dead] == []
    assert heard[dead].requests() != []
    (other,) = [model for model, orders in made.items() if any("element" not in one["path"] for one in orders)]
    assert other != dead

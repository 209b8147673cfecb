"""The announcement's four curl calls with another base URL and key, and a download that follows the redirect."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import Api, Film

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")


@pytest.fixture(scope="module")
def curl(api: Api) -> Any:
    """A function that runs curl with the API key and returns the output of curl."""

    def curl(*arguments: str) -> bytes:
        command = ["curl", "-sS", "--max-time", "60", "-H", f"Authorization: Bearer {api.key}", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return curl


def test_the_four_calls_and_the_download(curl: Any, api: Api, luna_clip: Path, movie: str, tmp_path: Path) -> None:
    base = f"{api.base_url}/videos"
    luna = json.loads(curl("-X", "POST", f"{base}/characters", "-F", f"video=@{luna_clip}", "-F", "name=Luna"))
    assert luna["name"] == "Luna"
    assert json.loads(curl("-X", "GET", f"{base}/characters/{luna['id']}")) == luna

    edit = {"video": {"id": movie}, "prompt": "Add warm golden lighting and enhance colors"}
    edited = json.loads(
        curl("-X", "POST", f"{base}/edits", "-H", "Content-Type: application/json", "-d", json.dumps(edit))
    )
    assert edited["status"] == "queued"
    wave = {"video": {"id": movie}, "prompt": "Luna waves goodbye and walks into the sunset", "seconds": "5"}
    extended = json.loads(
        curl("-X", "POST", f"{base}/extensions", "-H", "Content-Type: application/json", "-d", json.dumps(wave))
    )
    assert api.wait(extended["id"])["seconds"] == "9"
    assert api.wait(edited["id"])["seconds"] == "4"

    target = tmp_path / "video.mp4"
    curl("-L", f"{base}/{extended['id']}/content", "-o", str(target))
    assert round(Film.of(target.read_bytes()).seconds) == 9


def test_a_form_with_characters(curl: Any, api: Api, luna: str) -> None:
    form = ["-F", "model=sora-2", "-F", "prompt=Luna runs over wet stones", "-F", f"characters[][id]={luna}"]
    made = json.loads(curl(f"{api.base_url}/videos", *form))
    assert made["status"] == "queued"

"""schemathesis against docs/openapi.json on the deployed stack.

Requests that fit the description, and requests that almost fit, are answered as described and never with a 5xx.
schemathesis runs as a process in an environment of its own, because its libraries would change what others import.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from local.settings import ROOT
from tests import rings
from tests.integration.live import Api

if TYPE_CHECKING:
    from tests.integration.live import Stack

SCHEMATHESIS = ROOT / ".venvs" / "schema" / "bin" / "schemathesis"
DOCUMENT = ROOT / "docs" / "openapi.json"
HOOKS = Path(__file__).with_name("schema_hooks.py")
# Valid and invalid requests for each operation, in addition to the boundaries of every field.
EXAMPLES = rings.size(1, 10)
CHECKS = [
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "ignored_auth", "missing_required_header"),
    *("use_after_free", "ensure_resource_availability"),
]
# Left out: `positive_data_acceptance`, because a model may refuse what the API allows, and `unsupported_method`,
# because API Gateway answers 404.

# Field or parameter -> (the list of its real values, the probability of a real value instead of a generated one).
REAL: dict[str, tuple[str, float]] = {
    "path.video_id": ("videos", 0.5),
    "path.character_id": ("characters", 0.5),
    "path.upload_id": ("uploads", 0.5),
    "body.video.id": ("videos", 0.8),
    "body.characters[*].id": ("characters", 0.8),
    "body.model": ("models", 0.8),
    "body.seconds": ("seconds", 0.8),
}


@pytest.fixture(scope="module")
def caller(stack: Stack) -> Api:
    """A caller of a team of its own, because the run fills every list."""
    return Api(stack.base_url, stack.mint("schema"))


@pytest.fixture(scope="module")
def report(caller: Api, luna_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The findings of schemathesis."""
    folder = tmp_path_factory.mktemp("schemathesis")
    Image.new("RGB", (1280, 720), (30, 120, 60)).save(folder / "image.png")
    upload = {"purpose": "video", "filename": "x.mp4", "bytes": 200 * 2**20, "mime_type": "video/mp4"}
    things = {
        "videos": [caller.finished(model=model)["id"] for model in ("sora-2", "solo", "grok")],
        "characters": [caller.character(luna_clip, name)["id"] for name in ("Luna", "Moss")],
        "uploads": [caller.make("/videos/uploads", **upload)["id"] for _ in range(3)],
        "models": ["sora-2", "solo", "grok", "omni", "runway", "kling", "hailuo", "wan-2.2", "azure-sora"],
        "seconds": ["4", "8"],
    }
    config = folder / "schemathesis.toml"
    config.write_text("\n".join(configuration(things)))
    command: list[str | Path] = [SCHEMATHESIS, "--config-file", config, "run", DOCUMENT, "--url", caller.base_url]
    command += ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)]
    command += ["--generation-deterministic", "--continue-on-failure"]
    command += ["--max-redirects", "0", "--request-timeout", "60"]
    command += ["--report", "json", "--report-json-path", folder / "report.json", "--no-color"]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "KEY": caller.key,
        "CLIP": str(luna_clip),
        "IMAGE": str(folder / "image.png"),
        "VIDEO": caller.finished(model="sora-2")["id"],
    }
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert ran.returncode in (0, 1), ran.stdout[-3000:] + ran.stderr[-3000:]
    (folder / "output.txt").write_text(ran.stdout)
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found | {"output": ran.stdout}


def configuration(things: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of schemathesis.toml."""
    yield f"hooks = {json.dumps(str(HOOKS))}"
    yield '[auth.openapi.key]\nbearer = "${KEY}"'
    yield "[dictionaries]"
    for name, values in things.items():
        yield f"{name} = {{ values = {json.dumps(values)} }}"
    yield "[parameters]"
    for place, (name, probability) in REAL.items():
        yield f'"{place}" = {{ dictionary = "{name}", probability = {probability} }}'


def test_everything_is_answered_as_described(report: dict[str, Any]) -> None:
    assert report["failures"] == [], report["output"][-10_000:]
    assert report["errors"] == []
    assert report["complete"]


def test_it_came_as_far_as_the_answers(report: dict[str, Any]) -> None:
    """Each operation succeeded at least once, except to complete an upload, which has no parts in this run."""
    operations = {
        f"{method.upper()} {path}"
        for path, methods in json.loads(DOCUMENT.read_text("utf-8"))["paths"].items()
        for method in methods
    }
    rates = report["valid_rates"]
    reached = {name for name, phases in rates.items() if any(phase["accepted"] for phase in phases.values())}
    assert operations - reached <= {"POST /videos/uploads/{upload_id}/complete"}, rates
    assert report["operations"]["tested"] == len(operations)
    assert report["test_cases"]["generated"] > rings.size(40, 50) * len(operations)

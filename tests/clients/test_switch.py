"""`sora-2` from one provider today and from another tomorrow: only the deployments file changes, not the program.

The stack is deployed once for each provider under test, with no other provider in the file, and at the end with the
tests' own file. So each deployment also removes other deployments. The tests check what happens to the characters,
videos and jobs of the removed deployments.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest

from local.settings import ROOT
from tests import rings
from tests.clients.conftest import HERE, PROGRAMS, environment_of
from tests.integration.live import DEPLOYMENTS, Api, Film, answered, call_stack, refused, together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.live import Json, Stack

LIVE = ("xai", "gemini", "runway", "kling", "minimax")
RING = ("gemini", "kling")  # one extends natively, the other in the emulated way
# The examples in the shipped file are comments; this pattern makes them part of the file.
EXAMPLE = re.compile(r"^# (?=\[deployments\.|[a-z_]+ = )", re.MULTILINE)
SHIPPED = tomllib.loads(EXAMPLE.sub("", (ROOT / "config" / "deployments.toml").read_text("utf-8")))["deployments"]
TESTS = tomllib.loads(DEPLOYMENTS.read_text("utf-8"))["deployments"]
# What is special about a deployment's provider.
EMULATES = {"kling", "minimax"}  # an extension is put together here
# The sizes made for Sora's 1280x720 and 1024x1792: of the same shape, the smallest size that is not smaller.
USUAL = ("1280x720", "1080x1920")
SIZES = {"minimax": ("1344x768", "1440x2560")}


class Relic(NamedTuple):
    """Things that a deployment of the tests' own file made: a character, a video with it, and a job that never ends."""

    character: str
    name: str
    video: str
    running: str


def only(deployment: str) -> str:
    """Return a deployments file with this deployment alone, under the model names that the shipped file gives it."""
    table, shipped = TESTS[deployment], SHIPPED[deployment]
    assert table["provider"] == shipped["provider"]
    lines = [
        f"[deployments.{deployment}]",
        f"provider = {json.dumps(table['provider'])}",
        f"base_url = {json.dumps(table['base_url'])}",
        f"secret = {json.dumps(table['secret'])}",
        "models = {" + ", ".join(f'"{name}" = "{model}"' for name, model in shipped["models"].items()) + "}",
        "default = true",
        "poll_seconds = 1",
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def relics(request: pytest.FixtureRequest, api: Api, luna_clip: Path) -> dict[str, Relic]:
    """The relics of each deployment, by the deployment's name, made while all deployments were configured.

    There is one for each provider that is present in this run, and one for xai, which `make test` never deploys alone.
    """
    deployments = dict.fromkeys([*rings.wanted(request, "present"), "xai"])

    def leave(deployment: str) -> Relic:
        model = next(iter(TESTS[deployment]["models"]))
        name = f"Luna{LIVE.index(deployment)}"
        character = api.character(luna_clip, name, model=model)["id"]
        body: Json = {"model": model, "seconds": "4", "size": "1280x720", "characters": [{"id": character}]}
        running = api.video(prompt=f"{name} sticks-forever", **body)["id"]
        api.wait(running, "in_progress")
        return Relic(character, name, api.finished(prompt=f"{name} waits", **body)["id"], running)

    return dict(zip(deployments, together(leave, list(deployments)), strict=True))


@pytest.fixture(scope="module")
def _restored(stack: Stack, relics: object) -> Iterator[None]:
    yield
    call_stack("up", stack.settings)


@pytest.fixture(scope="module", params=rings.inner(LIVE, RING))
def present(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory, _restored: None
) -> str:
    """The name of the only deployment in the deployments file."""
    file = tmp_path_factory.mktemp("switch") / "deployments.toml"
    file.write_text(only(request.param))
    call_stack("up", stack.settings, file)
    return str(request.param)


class Program(NamedTuple):
    caller: Api
    output: str


@pytest.fixture(scope="module")
def ran(
    stack: Stack, present: str, luna_clip: Path, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Program]]]:
    """The outcome of each program, by the program's name.

    The programs run in parallel, each for a team of its own and in a folder of its own.
    """

    def run(name: str, command: list[str | Path]) -> Program:
        folder = tmp_path_factory.mktemp(name)
        shutil.copy(luna_clip, folder / "luna.mp4")
        shutil.copy(image, folder / "image.png")
        caller = Api(stack.base_url, stack.mint(f"{name}-{present}"))
        environment = environment_of(caller, folder)
        ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=240)
        assert ran.returncode == 0, ran.stderr[-3000:]
        return Program(caller, ran.stdout)

    python, _ = PROGRAMS["openai-3"]
    commands = {"announcement": PROGRAMS["announcement"], "sora": [python, HERE / "sora_code.py"]}
    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(run, name, command) for name, command in commands.items()}


def test_the_announcement(ran: dict[str, Future[Program]], present: str) -> None:
    caller, output = ran["announcement"].result()
    assert re.fullmatch(r"Character: character_[\w-]+\n", output), output
    videos = answered(caller.get("/videos", params={"order": "asc"}))["data"]
    ended = together(lambda video: caller.wait(video["id"]), videos)
    assert [video["seconds"] for video in ended] == ["8", "8", "13"]
    extension = caller.get(f"/videos/{ended[2]['id']}")
    assert extension.headers.get("x-understudy-emulated") == ("extend" if present in EMULATES else None)
    assert round(Film.of(caller.download(ended[2]["id"]).content).seconds) == 13


def test_a_program_that_was_written_for_sora(ran: dict[str, Future[Program]], present: str) -> None:
    seen = json.loads(ran["sora"].result().output)
    made = [(one["model"], one["status"], one["seconds"]) for one in seen["videos"]]
    assert made[0] == ("sora-2", "completed", "8")
    assert [one[:2] for one in made[1:]] == [("sora-2", "completed"), ("sora-2-pro", "completed")]
    assert made[2][2] == "12"
    assert (seen["videos"][0]["size"], seen["videos"][2]["size"]) == SIZES.get(present, USUAL)
    assert all(size > 1000 for size in seen["files"])
    assert (seen["thumbnail"], seen["listed"], seen["deleted"]) == ("WEBP", True, True)


def test_characters_of_removed_providers_still_work(api: Api, relics: dict[str, Relic], present: str) -> None:
    def play(relic: Relic) -> Json:
        assert answered(api.get(f"/videos/characters/{relic.character}"))["name"] == relic.name
        cast = [{"id": relic.character}]
        return api.finished(model="sora-2", prompt=f"{relic.name} goes on", seconds="4", characters=cast)

    assert [video["seconds"] for video in together(play, list(relics.values()))] == ["4"] * len(relics)


def test_what_those_made_that_are_gone(api: Api, relics: dict[str, Relic], present: str) -> None:
    """A video outlives the deployment that made it.

    Understudy has the file and can edit it as a clip. A request that only the removed server could serve is refused. A
    job that was running stays in progress.
    """
    edits: list[str] = []
    for deployment, relic in relics.items():
        assert answered(api.get(f"/videos/{relic.video}"))["status"] == "completed"
        assert round(Film.of(api.download(relic.video).content).seconds) == 4
        edits.append(api.make("/videos/edits", model="sora-2", prompt="dusk", video={"id": relic.video})["id"])
        running = answered(api.get(f"/videos/{relic.running}"))
        assert (running["status"], running["error"]) == ("in_progress", None)
        if deployment != present:
            remix = api.post(f"/videos/{relic.video}/remix", {"prompt": "dusk"})
            error = refused(remix, 400, "deployment_removed")
            assert repr(deployment) in error["message"]
            unnamed = api.post("/videos/edits", {"prompt": "dusk", "video": {"id": relic.video}})
            refused(unnamed, 400, "deployment_removed")  # nobody serves its model under that name
    api.wait_all(edits)

"""Videos and characters that were made at the provider without us, used with the provider's own ids.

The tests use the deployed stack and OpenAI's client.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from local.simulators.process import Simulator
from local.stack import providers
from tests.integration.live import Api, Film, Heard, Stack, answered, refused

SCOPES = ("raw_ids:own", "raw_ids:own-too")
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture(scope="module")
def account(stack: Stack) -> Iterator[httpx.Client]:
    """An HTTP client of the provider itself, with the account of the deployment `own`."""
    url = f"{providers.url(stack.settings, 'openai')}/v1"
    with httpx.Client(base_url=url, headers={"authorization": "Bearer sim-own"}, timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def scoped(stack: Stack) -> Api:
    """A caller whose key allows the provider's ids."""
    return Api(stack.base_url, stack.mint("owners", *SCOPES))


@pytest.fixture(scope="module")
def client(scoped: Api) -> openai.OpenAI:
    """OpenAI's client for the same caller."""
    return openai.OpenAI(base_url=scoped.base_url, api_key=scoped.key, max_retries=0)


@pytest.fixture
def video(account: httpx.Client) -> str:
    """The provider's own id of a new video."""
    body = {"model": "sora-2", "prompt": "A heron in the reeds", "seconds": "4", "size": "1280x720"}
    return str(answered(account.post("/videos", json=body))["id"])


@pytest.fixture
def character(account: httpx.Client, luna_clip: Path) -> str:
    """The provider's own id of a new character."""
    form: dict[str, Any] = {"data": {"name": "Luna"}, "files": {"video": luna_clip.read_bytes()}}
    return str(answered(account.post("/videos/characters", **form))["id"])


@pytest.fixture
def heard(upstream: Simulator) -> Heard:
    """The requests that the account receives from now on; the account's video and character were made before."""
    return Heard(upstream, "own")


def test_a_video_through_openais_client(client: openai.OpenAI, video: str, heard: Heard) -> None:
    first = client.videos.retrieve(video)
    assert (first.status, first.id.startswith("video_"), first.id != video) == ("in_progress", True, True)
    finished = client.videos.poll(video)  # by the provider's id all the way
    assert (finished.id, finished.status) == (first.id, "completed")
    assert (finished.seconds, finished.size, finished.model, finished.prompt) == ("4", "1280x720", "own", None)
    film = Film.of(client.videos.download_content(video).read())
    assert (film.width, film.height, round(film.seconds)) == (1280, 720, 4)

    edited = client.videos.edit(prompt="dusk", video=openai.omit, extra_body={"video": {"id": video}})
    extended = client.videos.extend(prompt="on", seconds="4", video=openai.omit, extra_body={"video": {"id": video}})
    remixed = client.videos.remix(video, prompt="in the snow")
    assert remixed.remixed_from_video_id == first.id
    for made in (edited, extended, remixed):
        assert client.videos.poll(made.id).status == "completed"
    for operation in ("edit_video", "extend_video", "remix_video"):
        assert [one["status"] for one in heard.requests(operation)] == [200]

    assert client.videos.delete(video).id == first.id
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video)
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(first.id)


def test_a_character_through_openais_client(client: openai.OpenAI, character: str, heard: Heard) -> None:
    luna = client.videos.get_character(character)
    assert (luna.name, str(luna.id).startswith("character_")) == ("Luna", True)
    assert client.videos.get_character(str(luna.id)) == client.videos.get_character(character) == luna
    assert heard.count("get_character") == 1
    for one in (character, luna.id):
        cast = {"characters": [{"id": one}]}
        made = client.videos.create_and_poll(model="own", prompt="Luna runs", seconds="4", extra_body=cast)
        assert made.status == "completed"
    assert [one["status"] for one in heard.requests("create_video")] == [200, 200]
    with pytest.raises(openai.BadRequestError, match="Models that can: own"):
        client.videos.create(model="sora-2", prompt="Luna runs", extra_body={"characters": [{"id": character}]})


def test_one_that_the_provider_does_not_know(scoped: Api) -> None:
    refused(scoped.get("/videos/characters/char_nobody"), 404, "character_not_found")
    assert answered(scoped.get("/videos/video_nobody"))["status"] == "in_progress"
    failed = scoped.wait("video_nobody", "failed")
    assert failed["error"]["code"] == "video_not_found"
    assert answered(scoped.delete("/videos/video_nobody"))["deleted"]


def test_the_second_account_is_asked_when_the_first_does_not_know(stack: Stack, scoped: Api) -> None:
    url = f"{providers.url(stack.settings, 'openai')}/v1/videos"
    there = {"authorization": "Bearer sim-own-too"}
    made = httpx.post(url, json={"model": "sora-2-pro", "prompt": "A crane"}, headers=there, timeout=60).json()["id"]
    assert answered(scoped.get(f"/videos/{made}"))["status"] == "in_progress"
    assert scoped.wait(made)["model"] == "own-too"


def test_who_has_no_scope_or_comes_second_reaches_nothing(
    stack: Stack, api: Api, scoped: Api, video: str, character: str, heard: Heard
) -> None:
    refused(api.get(f"/videos/{video}"), 404, "video_not_found")
    refused(api.get(f"/videos/characters/{character}"), 404, "character_not_found")
    refused(api.post("/videos/edits", {"prompt": "x", "video": {"id": video}}), 404, "video_not_found")
    assert heard.requests() == []
    answered(scoped.get(f"/videos/{video}"))
    answered(scoped.get(f"/videos/characters/{character}"))
    scoped.wait(video)
    count = len(heard.requests())
    second = Api(stack.base_url, stack.mint("seconds", *SCOPES))
    refused(second.get(f"/videos/{video}"), 404, "video_not_found")
    refused(second.get(f"/videos/characters/{character}"), 404, "character_not_found")
    assert len(heard.requests()) == count


@pytest.mark.parametrize("where", ["%2e%2e%2fmodels", "a%3Fb=c", "a%2F..%2Fb", "a%23b"])
def test_no_id_becomes_structure(scoped: Api, heard: Heard, where: str) -> None:
    """The function decodes a path parameter once; an id that would leave its path segment is unknown."""
    answer = httpx.get(f"{scoped.base_url}/videos/characters/{where}", headers=scoped.http.headers, timeout=60)
    assert answer.status_code == 404
    assert heard.requests() == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_the_ids_of_the_announcement(scoped: Api, upstream: Simulator, account: httpx.Client, luna_clip: Path) -> None:
    """The curl lines of LiteLLM's announcement work, with its ids `char_abc123def456` and `video_xyz789`."""
    upstream.settings(ids={"own": ["char_abc123def456", "video_xyz789"]})
    form: dict[str, Any] = {"data": {"name": "Luna"}, "files": {"video": luna_clip.read_bytes()}}
    assert answered(account.post("/videos/characters", **form))["id"] == "char_abc123def456"
    made = answered(account.post("/videos", json={"model": "sora-2", "prompt": "Rain", "seconds": "4"}))
    assert made["id"] == "video_xyz789"
    Api(str(account.base_url), "sim-own").wait("video_xyz789")  # on a stack that is used again we know it already
    answered(scoped.get("/videos/video_xyz789"))
    scoped.wait("video_xyz789")

    def curl(*arguments: str) -> Any:
        command = ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {scoped.key}", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
        return json.loads(ran.stdout)

    base, typed = f"{scoped.base_url}/videos", ("-H", "Content-Type: application/json")
    luna = curl("-X", "GET", f"{base}/characters/char_abc123def456")
    assert luna["name"] == "Luna"
    edit = '{"video": {"id": "video_xyz789"}, "prompt": "Add warm golden lighting and enhance colors"}'
    edited = curl("-X", "POST", f"{base}/edits", *typed, "-d", edit)
    extend = (
        '{"video": {"id": "video_xyz789"}, "prompt": "Luna waves goodbye and walks into the sunset", "seconds": "5"}'
    )
    extended = curl("-X", "POST", f"{base}/extensions", *typed, "-d", extend)
    assert scoped.wait(edited["id"])["seconds"] == "4"
    assert scoped.wait(extended["id"])["seconds"] == "9"

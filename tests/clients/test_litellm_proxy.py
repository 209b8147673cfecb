"""A LiteLLM 1.109.1 proxy in front of our API: `openai/sora-2` with our base URL.

The tests avoid the proxy's own defects (see the table of its defects in ../../shared): a character needs
`target_model_names`, lists and deletes do not reach the upstream, and an edit by form does not find its deployment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from bench.litellm_proxy import KEY
from local.simulators.process import Simulator
from tests.integration.live import Api, Film, answered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ORDER = {"model": "sora-2", "prompt": "Luna runs over wet stones", "seconds": "4", "size": "1280x720"}


@pytest.fixture(scope="module")
def proxy(litellm_proxy: Callable[[], str]) -> Api:
    return Api(litellm_proxy(), KEY)


@pytest.fixture(scope="module")
def luna(proxy: Api, luna_clip: Path) -> str:
    """The id of a character as the proxy returns it: our id inside an id of LiteLLM's."""
    return str(proxy.character(luna_clip, target_model_names="sora-2")["id"])


@pytest.fixture(scope="module")
def video(proxy: Api, luna: str) -> dict[str, Any]:
    """A finished video with the character Luna."""
    return proxy.finished(**ORDER, characters=[{"id": luna}])


def characters_of(upstream: Simulator, prompt: str) -> list[str]:
    """Return the ids of the characters that the provider received for the newest video with that prompt."""
    orders = [one["json"] for one in upstream.requests(operation="create_video") if one["json"]]
    return [one["id"] for one in next(one for one in reversed(orders) if one["prompt"] == prompt)["characters"]]


def test_a_character_comes_back_whole(proxy: Api, luna: str) -> None:
    assert answered(proxy.get(f"/videos/characters/{luna}")) | {"created_at": 0} == {
        "id": luna,
        "object": "character",
        "name": "Luna",
        "created_at": 0,
    }


def test_a_video_with_her_is_made_and_downloaded(proxy: Api, video: dict[str, Any]) -> None:
    content = proxy.get(f"/videos/{video['id']}/content")
    assert content.status_code == 200
    film = Film.of(content.content)
    assert (film.width, film.height, round(film.seconds)) == (1280, 720, 4)


def test_an_edit_an_extension_and_a_remix_of_it(proxy: Api, video: dict[str, Any]) -> None:
    source = {"video": {"id": video["id"]}}
    made = [
        proxy.make("/videos/edits", prompt="dusk", **source),
        proxy.make("/videos/extensions", prompt="she waves", seconds="5", **source),
        proxy.make(f"/videos/{video['id']}/remix", prompt="in the snow"),
    ]
    assert [proxy.wait(one["id"])["seconds"] for one in made] == ["4", "9", "4"]


@pytest.mark.parametrize(
    "form", ["characters[][id]", "characters[0][id]", "characters"], ids=["repeated", "numbered", "json"]
)
def test_characters_in_a_form_reach_us_as_the_proxy_wrapped_them(
    proxy: Api, upstream: Simulator, luna: str, form: str
) -> None:
    """The proxy forwards these ids without unwrapping them (defect 1 of its table); our API accepts the wrapped ids."""
    prompt = f"Luna sings, said as {form}"
    value = luna if form.endswith("]") else f'[{{"id": "{luna}"}}]'
    files = [(name, (None, text)) for name, text in {**ORDER, "prompt": prompt, form: value}.items()]
    answered(proxy.post("/videos", files=files))
    assert characters_of(upstream, prompt)[0].startswith("char_")


def test_openai_python_behind_the_proxy(proxy: Api, upstream: Simulator, luna: str) -> None:
    with OpenAI(base_url=proxy.base_url, api_key=KEY) as client:
        prompt = "Luna, seen by openai-python"
        made = client.videos.create(model="sora-2", prompt=prompt, extra_body={"characters": [{"id": luna}]})
        assert client.videos.retrieve(made.id).id == made.id
    assert len(characters_of(upstream, prompt)) == 1


def test_our_errors_come_through(proxy: Api) -> None:
    answer = proxy.post("/videos", {**ORDER, "seconds": "7"})
    assert answer.status_code == 400
    assert "Supported:" in answer.text


def test_a_wrapped_id_is_still_its_teams_alone(proxy: Api, video: dict[str, Any], others: Api) -> None:
    """Another team cannot use an id of ours that the proxy wrapped."""
    assert others.get(f"/videos/{video['id']}").status_code == 404
    assert httpx.get(f"{others.base_url}/videos/{video['id']}").status_code == 401

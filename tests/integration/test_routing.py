"""Two deployments of one model: every later call goes to the deployment that made the video or the character."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.simulators.process import Simulator
from tests.integration.live import PATIENCE, Api, Heard, Stack, answered, together

COUNT = 24
UPSTREAM_ID = re.compile(r"(?:video|char)_[0-9a-f]{40}")
# LiteLLM's own ways to name a deployment: a request's headers and parameters must not matter beside the id.
MISLEADING = {
    "headers": {"custom-llm-provider": "azure", "x-litellm-model-id": "b", "x-litellm-tags": "b"},
    "params": {"custom_llm_provider": "azure", "model": "wan-2.2", "model_id": "b"},
}


@dataclass(frozen=True)
class Made:
    """The ids of a character and of the video with that character."""

    character: str
    video: str


@pytest.fixture(scope="module")
def made(api: Api, luna_clip: Path) -> list[Made]:
    """Characters and videos, distributed by the deployments' equal weights."""
    characters = [
        one["id"] for one in together(lambda _: api.character(luna_clip, model="sora-2"), range(COUNT), workers=2)
    ]
    body = {"model": "sora-2", "prompt": "Luna waits for the tram", "seconds": "4"}
    videos = together(lambda one: api.video(**body, characters=[{"id": one}])["id"], characters, workers=2)
    api.wait_all(videos)
    return [Made(*pair) for pair in zip(characters, videos, strict=True)]


def inside(public_id: str) -> str:
    """Return the provider's own id, which is part of our id."""
    payload = public_id.partition("_")[2]
    found = UPSTREAM_ID.search(base64.urlsafe_b64decode(payload + "==").decode("latin-1"))
    assert found, public_id
    return found[0]


def makers(upstream: Simulator) -> dict[str, str]:
    """Return the account that made each of the provider's ids."""
    return {one["created"]: one["account"] for one in upstream.requests() if one["created"]}


def strays(upstream: Simulator, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the requests that name an id which another account made."""
    owner = makers(upstream)
    return [
        one
        for one in requests
        for mentioned in UPSTREAM_ID.findall(json.dumps([one["path"], one["json"], one["fields"]]))
        if owner[mentioned] != one["account"]
    ]


class Both:
    """The requests that the two accounts receive from now on."""

    def __init__(self, upstream: Simulator) -> None:
        self._upstream = upstream
        self._heard = [Heard(upstream, "a"), Heard(upstream, "b")]

    def requests(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the requests of both accounts, of one operation or of all."""
        return [one for heard in self._heard for one in heard.requests(operation)]

    def all_reached_their_account(self, **counts: int) -> None:
        """Check the counts of requests by operation, that all succeeded, and that none went to the wrong account."""
        assert {name: len(self.requests(name)) for name in counts} == counts
        assert [one for one in self.requests() if one["status"] != 200] == []
        assert strays(self._upstream, self.requests()) == []


@pytest.fixture
def heard(upstream: Simulator) -> Both:
    return Both(upstream)


def test_both_deployments_made_some(upstream: Simulator, made: list[Made]) -> None:
    owner = makers(upstream)
    assert {owner[inside(one.character)] for one in made} == {"a", "b"}
    assert {owner[inside(one.video)] for one in made} == {"a", "b"}
    # A character's home makes the video with the character.
    assert [owner[inside(one.video)] for one in made] == [owner[inside(one.character)] for one in made]


def test_every_character_is_read_whatever_the_request_says_beside(api: Api, made: list[Made]) -> None:
    for one in made:
        assert answered(api.get(f"/videos/characters/{one.character}", **MISLEADING))["id"] == one.character
        assert answered(api.get(f"/videos/{one.video}", **MISLEADING))["id"] == one.video


def remake(api: Api, video: str, number: int) -> dict[str, Any]:
    """Edit, extend or remix the video, by turns, and return the new video."""
    source = {"prompt": "now at dusk", "video": {"id": video}}
    match number % 3:
        case 0:
            return answered(api.post("/videos/edits", source, **MISLEADING))
        case 1:
            return answered(api.post("/videos/extensions", {**source, "seconds": "4"}, **MISLEADING))
    return answered(api.post(f"/videos/{video}/remix", {"prompt": "now at dusk"}, **MISLEADING))


def test_every_later_call_reaches_the_account_that_made_it(api: Api, made: list[Made], heard: Both) -> None:
    new = together(lambda number: remake(api, made[number].video, number)["id"], range(COUNT), workers=2)
    api.wait_all(new)
    third = COUNT // 3
    heard.all_reached_their_account(edit_video=third, extend_video=third, remix_video=third, get_content=COUNT)


@pytest.fixture
def rotated(stack: Stack, upstream: Simulator) -> Iterator[list[str]]:
    """The new keys of both accounts, replaced in Secrets Manager while the simulator refuses the old keys.

    Afterwards the old keys are restored. The new keys stay valid, because functions may still hold them.
    """
    client = stack.settings.client("secretsmanager")
    old, new = {}, []
    for account in ("a", "b"):
        secret = f"understudy/sim-{account}"
        old[secret] = client.get_secret_value(SecretId=secret)["SecretString"]
        new.append(f"{old[secret]}.2")
        client.put_secret_value(SecretId=secret, SecretString=new[-1])
        upstream.revoke(key=old[secret])
    yield new
    for secret, key in old.items():
        upstream.revoke(key=key, restore=True)
        client.put_secret_value(SecretId=secret, SecretString=key)


def test_also_after_the_providers_keys_were_rotated(
    api: Api, made: list[Made], upstream: Simulator, rotated: list[str]
) -> None:
    """A function that holds the old key reads the new key when the provider refuses; no request is lost."""
    some = made[:8]
    since = max(one["number"] for one in upstream.requests())
    body = {"model": "sora-2", "prompt": "Luna waits for the tram", "seconds": "4"}
    new = [answered(api.post("/videos", {**body, "characters": [{"id": one.character}]}))["id"] for one in some]
    new += [remake(api, one.video, number)["id"] for number, one in enumerate(some)]
    api.wait_all(new)
    requests = upstream.requests(since=since)
    assert strays(upstream, requests) == []
    assert {one["key"] for one in requests if one["status"] == 200 and one["account"] in "ab"} == set(rotated)
    assert len([one for one in requests if one["created"]]) == len(new)


def test_deletes_reach_it_too(api: Api, made: list[Made], upstream: Simulator, heard: Both) -> None:
    for one in made[:6]:
        assert answered(api.delete(f"/videos/{one.video}"))["deleted"]
        assert api.get(f"/videos/{one.video}").status_code == 404
    wanted = {inside(one.video) for one in made[:6]}
    until, deleted = time.monotonic() + PATIENCE, set[str]()
    while deleted != wanted and time.monotonic() < until:
        time.sleep(0.25)
        requests = heard.requests("delete_video")
        deleted = {one["path"].rpartition("/")[2] for one in requests if one["status"] == 200}
    assert deleted == wanted
    assert strays(upstream, heard.requests("delete_video")) == []


class TestFailover:
    """After a definite refusal the next deployment is tried, and the first is skipped for a while."""

    def test_the_other_takes_over_and_the_first_is_left_alone(self, api: Api, upstream: Simulator) -> None:
        upstream.revoke(account="first")
        first, second = Heard(upstream, "first"), Heard(upstream, "second")
        try:
            made = [api.video(model="pair")["id"] for _ in range(3)]
        finally:
            upstream.revoke(account="first", restore=True)
        assert second.count("create_video") == 3
        assert len(first.requests()) == 1  # then its circuit was open
        api.wait_all(made)
        assert {one["account"] for one in upstream.requests() if one["path"].endswith(f"/{inside(made[0])}")} == {
            "second"
        }

    def test_a_character_moves_with_the_work(self, api: Api, upstream: Simulator, luna: str) -> None:
        """Luna was made elsewhere: the deployment that serves the model gets her clip once."""
        heard = Heard(upstream, "solo")
        body = {"model": "solo", "prompt": "Luna on another account", "seconds": "4"}
        api.finished(**body, characters=[{"id": luna}])
        made = [one["created"] for one in heard.requests("create_character")]
        assert len(made) == 1
        assert heard.requests("create_video")[0]["json"]["characters"] == [{"id": made[0]}]
        again = Heard(upstream, "solo")
        api.video(**body, characters=[{"id": luna}])
        assert again.count("create_character") == 0  # the handle was kept
        assert again.count("create_video") == 1

"""Two deployments of a model, 200 characters, 200 videos: every later call reaches the deployment that made each."""

from __future__ import annotations

from collections import Counter

import httpx

from tests import rings
from tests.fakes.stage import Stage
from tests.fakes.upstream import MP4, Upstream
from understudy.ids import Kind
from understudy.store import clients, secrets

COUNT = rings.size(40, 200)
LEAST = rings.size(5, 50)  # of one deployment: fewer by chance in one of a million runs
HOSTS = {"one": "one.example", "two": "two.example"}


def make(stage: Stage, upstream: Upstream) -> list[tuple[str, str]]:
    """Make pairs of a character and a finished video with that character, and return their ids."""
    pairs = []
    for _ in range(COUNT):
        form = [("name", "Luna"), ("model", "sora-2"), ("video", ("luna.mp4", MP4, "video/mp4"))]
        luna = stage.call("create_character", form=form).body["id"]
        body = {"model": "sora-2", "prompt": "Luna waits", "characters": [{"id": luna}]}
        pairs.append((luna, stage.call("create_video", json_body=body).body["id"]))
    upstream.finish()
    stage.run()
    return pairs


def home(public_id: str, kind: Kind) -> str:
    """Return the host that an id leads to."""
    return HOSTS[secrets.id_codec().decode(public_id, kind, team="blue").model_id]


def later_calls(stage: Stage, upstream: Upstream, made: list[tuple[str, str]]) -> Counter[str]:
    """Read, use, edit, extend and remix all of them, and return the number of calls by function.

    Each call has to succeed, and only the thing's own deployment may be called.
    """
    counts: Counter[str] = Counter()
    for number, (luna, video) in enumerate(made):
        assert stage.call("get_character", path={"character_id": luna}).status == 200
        assert stage.call("get_video", path={"video_id": video}).body["status"] == "completed"
        source = {"prompt": "at dusk", "video": {"id": video}}
        for function, call in (
            ("create_video", {"json_body": {"prompt": "Luna", "characters": [{"id": luna}]}}),
            ("edit_video", {"json_body": source}),
            ("extend_video", {"json_body": {**source, "seconds": "4"}}),
            ("remix_video", {"path": {"video_id": video}, "json_body": {"prompt": "at dusk"}}),
        ):
            before = len(upstream.heard)
            reply = stage.call(function, query={"model": "wan", "custom_llm_provider": "azure"}, **call)
            assert reply.status == 200, (number, function, reply)
            wanted = home(luna, Kind.CHARACTER) if function == "create_video" else home(video, Kind.VIDEO)
            heard = upstream.heard[before:]
            assert {one.host for one in heard} == {wanted}
            # The fake provider's characters carry its host.
            assert all(wanted in one["id"] for each in heard for one in each.body.get("characters", []))
            counts[function] += 1
    return counts


def rotate(upstream: Upstream) -> None:
    """Replace the keys at both providers; from now on they refuse the old keys."""
    for name in ("a", "b"):
        clients.secretsmanager().put_secret_value(SecretId=f"understudy/{name}", SecretString=f"key-{name}-new")

    def only_new(request: httpx.Request) -> httpx.Response:
        if not request.headers["authorization"].endswith("-new"):
            return httpx.Response(401, json={"error": {"message": "Incorrect API key provided.", "code": "invalid"}})
        return upstream.serve(request)

    for host in HOSTS.values():
        upstream.rules["POST", host, ""] = only_new


def test_every_later_call_reaches_its_deployment_also_after_a_rotation(stage: Stage, upstream: Upstream) -> None:
    made = make(stage, upstream)
    homes = Counter(home(video, Kind.VIDEO) for _, video in made)
    assert sum(homes.values()) == COUNT
    assert min(homes.values()) > LEAST  # equal weights
    assert set(later_calls(stage, upstream, made).values()) == {COUNT}
    rotate(upstream)
    assert set(later_calls(stage, upstream, made[: COUNT // 4]).values()) == {COUNT // 4}
    for execution in stage.executions.running:
        stage.executions.stop(execution)  # what drives the new videos is not needed here
    for _, video in made:
        assert stage.call("delete_video", path={"video_id": video}).status == 200
    assert stage.work() == COUNT
    deletes = [one for one in upstream.heard if one.method == "DELETE"]
    assert Counter(one.host for one in deletes) == homes

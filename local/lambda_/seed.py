"""What the placeholders of event files stand for: real things of a team of their own on a running stack.

`kept` ones are made once a stack and remembered; `fresh` ones are used up by the event, so each event gets new ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from local.lambda_ import functions
from local.lambda_.seed_files import file
from local.settings import ROOT, Settings
from local.stack import lifecycle

TEAM = "events"
PATIENCE_SECONDS = 60.0
UNKNOWN_OBJECT = "an object belongs to no upload"  # what ingest_upload logs of an object that it does not know

_MAKERS: dict[str, tuple[Callable[[Seeds], Any], bool]] = {}
M = TypeVar("M", bound="Callable[[Seeds], Any]")


class SeedFailed(Exception):
    """A placeholder means nothing, or what it stands for could not be made; the message says why."""


class Seeds:
    """The values of one event file."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.outputs: dict[str, str] = settings.facts()["outputs"]
        self._fresh: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """What `${name}` stands for; `${name.part}` is a part of it. Raises SeedFailed."""
        head, *parts = name.split(".")
        if head not in _MAKERS:
            raise SeedFailed(f"There is no ${{{head}}}; there are {', '.join(sorted(_MAKERS))}.")
        make, is_kept = _MAKERS[head]
        value = self._kept(head, make) if is_kept else self._made(head, make)
        for part in parts:
            value = value[part]
        return value

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Ask the API as the events' team; its JSON. Raises SeedFailed."""
        authorization = {"Authorization": f"Bearer {self.value('key')}"}
        url = f"{self.settings.base_url}{path}"
        answer = httpx.request(method, url, headers=authorization, timeout=60, **options)
        if answer.is_error:
            raise SeedFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def finished(self, path: str) -> Any:
        """Wait for a video or an upload. Raises SeedFailed."""

        def done() -> Any:
            thing = self.call("GET", path)
            return thing if thing["status"] in {"completed", "failed"} else None

        return wait(done, f"{path} was not finished")

    def forget_stale(self) -> None:
        """Forget what was kept, if the stack no longer knows it: its table may have been emptied."""
        remembered = self._remembered()
        things = {"character": "/videos/characters/", "video_completed": "/videos/"}
        try:
            for name, path in things.items():
                if name in remembered:
                    self.call("GET", f"{path}{remembered[name]}")
        except SeedFailed:
            self.settings.remember(seeds={})

    def plant(self, what: str, *arguments: str) -> Any:
        """What the API cannot be asked for: seed_rows.py, with the built layer and the operator's rights."""
        deployed = self.settings.client("lambda").get_function_configuration(
            FunctionName=functions.deployed_name("run_job")
        )
        layer = functions.layer(self.settings, "UnderstudyLayer")
        environment = {
            **deployed["Environment"]["Variables"],
            **self.settings.root_credentials,
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": f"{layer}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-m", "local.lambda_.seed_rows", what, *arguments]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
        if ran.returncode:
            raise SeedFailed(f"planting {what} failed:\n{ran.stderr}")
        return json.loads(ran.stdout)

    def _made(self, name: str, make: Callable[[Seeds], Any]) -> Any:
        if name not in self._fresh:
            self._fresh[name] = make(self)
        return self._fresh[name]

    def _kept(self, name: str, make: Callable[[Seeds], Any]) -> Any:
        if name not in self._remembered():
            value = make(self)  # which may remember others
            values = {**self._remembered(), name: value}
            self.settings.remember(seeds={"table": self.outputs["TableName"], "values": values})
        return self._remembered()[name]

    def _remembered(self) -> dict[str, Any]:
        seeds = self.settings.facts().get("seeds", {})
        return dict(seeds["values"]) if seeds.get("table") == self.outputs["TableName"] else {}


def kept(make: M) -> M:
    """A placeholder with the function's name, whose value events only read."""
    _MAKERS[make.__name__] = (make, True)
    return make


def fresh(make: M) -> M:
    """A placeholder with the function's name, whose value events use up."""
    _MAKERS[make.__name__] = (make, False)
    return make


def wait(done: Callable[[], Any], otherwise: str) -> Any:
    """What `done` returns as soon as that is something. Raises SeedFailed."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if found := done():
            return found
        time.sleep(0.25)
    raise SeedFailed(f"{otherwise} after {PATIENCE_SECONDS:.0f} s")


# ---- Names -----------------------------------------------------------------------------------------------------------


@kept
def key(seeds: Seeds) -> str:
    """An API key."""
    return lifecycle.mint(seeds.settings, seeds.outputs["TableName"], TEAM)


@kept
def caller(seeds: Seeds) -> dict[str, str]:
    """Who the key belongs to, as the deployed authorizer says it."""
    return _caller(seeds, seeds.value("key"))


def _caller(seeds: Seeds, key: str) -> dict[str, str]:
    event = {"authorizationToken": f"Bearer {key}", "methodArn": seeds.value("method_arn")}
    client = seeds.settings.client("lambda")
    answer = client.invoke(FunctionName=functions.deployed_name("authorizer"), Payload=json.dumps(event))
    return dict(json.loads(answer["Payload"].read())["context"])


@fresh
def method_arn(seeds: Seeds) -> str:
    """What an authorizer is asked about."""
    return f"arn:aws:execute-api:us-east-1:000000000000:{seeds.outputs['ApiId']}/v1/GET/videos"


@fresh
def bucket(seeds: Seeds) -> str:
    """The bucket's name."""
    return seeds.outputs["BucketName"]


# ---- Characters and videos -------------------------------------------------------------------------------------------


@kept
def character(seeds: Seeds) -> str:
    """The id of a character."""
    return character_new(seeds)


@fresh
def character_new(seeds: Seeds) -> str:
    """The id of a character that may go."""
    form = {"data": {"name": "Luna"}, "files": {"video": file("luna.mp4")}}
    return str(seeds.call("POST", "/videos/characters", **form)["id"])


@kept
def video_completed(seeds: Seeds) -> str:
    """The id of a finished video."""
    return video_new(seeds)


@fresh
def video_new(seeds: Seeds) -> str:
    """The id of a finished video that may go."""
    body = {"model": "sora-2", "prompt": "Luna runs over wet stones", "seconds": "4"}
    video = seeds.call("POST", "/videos", json=body)
    return str(seeds.finished(f"/videos/{video['id']}")["id"])


@kept
def video_unfinished(seeds: Seeds) -> str:
    """The id of a video that stays in the making: no message speaks of it."""
    return str(seeds.plant("running", TEAM, seeds.value("video_completed"))["id"])


@fresh
def video_tampered(seeds: Seeds) -> str:
    """The id of the finished video with one bit of its record changed."""
    real: str = seeds.value("video_completed")
    at = len(real) // 2
    return f"{real[:at]}{'A' if real[at] != 'A' else 'B'}{real[at + 1 :]}"


@fresh
def job_running(seeds: Seeds) -> Any:
    """A video that the provider has finished and we have not noticed: `id`, and the `message` that is due.

    It is a new one, for providers keep what they made for an hour only, and a stack may run longer.
    """
    return seeds.plant("running", TEAM, seeds.value("video_new"))


@fresh
def job_adopted(seeds: Seeds) -> Any:
    """A video that a caller has brought and the provider has not been asked about: `id`, and the `message`."""
    return seeds.plant("adopted", TEAM, seeds.value("video_new"))


@fresh
def job_adopted_unknown(seeds: Seeds) -> Any:
    """The same with an id that the provider never gave out."""
    return seeds.plant("adopted", TEAM, seeds.value("video_completed"), "video_of_nobody")


# ---- Made at the provider, without us --------------------------------------------------------------------------------


@kept
def provider(seeds: Seeds) -> dict[str, str]:
    """The first OpenAI-shaped deployment: `deployment`, `base_url` and `secret`, the name of its key's secret."""
    file = tomllib.loads((seeds.settings.folder / "deployments.toml").read_text("utf-8"))
    for name, one in file["deployments"].items():
        if one["provider"] == "openai" and "secret" in one:
            return {"deployment": name, "base_url": one["base_url"], "secret": one["secret"].partition(":")[2]}
    raise SeedFailed("No deployment of this stack is with an OpenAI-shaped simulator.")


@kept
def caller_raw(seeds: Seeds) -> dict[str, str]:
    """A caller who may bring that deployment's own ids."""
    scope = f"raw_ids:{seeds.value('provider')['deployment']}"
    return _caller(seeds, lifecycle.mint(seeds.settings, seeds.outputs["TableName"], TEAM, scope))


@fresh
def video_raw(seeds: Seeds) -> str:
    """The provider's own id of a finished video."""
    made = _upstream(seeds, "POST", "/videos", json={"model": "sora-2", "prompt": "A heron", "seconds": "4"})["id"]
    wait(lambda: _upstream(seeds, "GET", f"/videos/{made}")["status"] == "completed", f"{made} was not finished")
    return str(made)


@fresh
def character_raw(seeds: Seeds) -> str:
    """The provider's own id of a character."""
    form = {"data": {"name": "Luna"}, "files": {"video": file("luna.mp4")}}
    return str(_upstream(seeds, "POST", "/videos/characters", **form)["id"])


def _upstream(seeds: Seeds, method: str, path: str, **options: Any) -> Any:
    there = seeds.value("provider")
    secrets = seeds.settings.client("secretsmanager")
    key = secrets.get_secret_value(SecretId=there["secret"])["SecretString"]  # it may have been rotated
    authorization = {"Authorization": f"Bearer {key}"}
    answer = httpx.request(method, f"{there['base_url']}{path}", headers=authorization, timeout=60, **options)
    answer.raise_for_status()
    return answer.json()


# ---- Files in the bucket ---------------------------------------------------------------------------------------------


@fresh
def clip_key(seeds: Seeds) -> str:
    """The key of a clip that the media functions may open."""
    return _stored(seeds, "luna.mp4")


@fresh
def garbage_key(seeds: Seeds) -> str:
    """The key of something that is no clip."""
    return _stored(seeds, "notes.txt")


def _stored(seeds: Seeds, name: str) -> str:
    stored = f"media/inputs/{TEAM}/seed/{name}"
    seeds.settings.client("s3").put_object(Bucket=seeds.value("bucket"), Key=stored, Body=file(name)[1])
    return stored


# ---- Uploads ---------------------------------------------------------------------------------------------------------


@fresh
def upload_pending(seeds: Seeds) -> str:
    """The id of an upload that nothing has been sent to."""
    size = len(file("luna.mp4")[1])
    wanted = {"purpose": "character", "filename": "luna.mp4", "bytes": size, "mime_type": "video/mp4", "name": "Luna"}
    return str(seeds.call("POST", "/videos/uploads", json=wanted)["id"])


@fresh
def upload_in_parts(seeds: Seeds) -> str:
    """The id of an upload in parts, of which none has arrived."""
    wanted = {"purpose": "video", "filename": "long.mp4", "bytes": 300 * 1024 * 1024, "mime_type": "video/mp4"}
    return str(seeds.call("POST", "/videos/uploads", json=wanted)["id"])


@fresh
def upload_arrived(seeds: Seeds) -> str:
    """The id of an upload in parts that have all arrived."""
    data = file("luna.mp4")[1]
    planted = seeds.plant("upload_in_parts", TEAM, str(len(data)))
    for part in planted["parts"]:
        httpx.put(part["url"], content=data, timeout=60).raise_for_status()
    return str(planted["id"])


@fresh
def landed(seeds: Seeds) -> Any:
    """A clip that has landed for a character and waits to be taken: `id` of the upload, `key`, `version`, `bytes`."""
    return _landed(seeds, "luna.mp4")


@fresh
def landed_garbage(seeds: Seeds) -> Any:
    """The same with something that is no clip."""
    return _landed(seeds, "notes.txt")


def _landed(seeds: Seeds, name: str) -> Any:
    """The deployed function is told of the object as well, and must not take it: it lands before there is an upload."""
    data = file(name)[1]
    begun = int(time.time() * 1000)
    planted = seeds.plant("upload_row", TEAM, str(len(data)))
    s3, logs = seeds.settings.client("s3"), seeds.settings.client("logs")
    put = s3.put_object(Bucket=seeds.value("bucket"), Key=planted["key"], Body=data, ContentType="video/mp4")

    def seen() -> bool:
        events = logs.filter_log_events(logGroupName=seeds.outputs["LogGroupName"], startTime=begun)["events"]
        return any(UNKNOWN_OBJECT in event["message"] for event in events)

    wait(seen, "the deployed ingest_upload has not seen what landed")
    seeds.plant("row", json.dumps(planted["row"]))
    return {"id": planted["id"], "key": planted["key"], "version": put["VersionId"], "bytes": len(data)}

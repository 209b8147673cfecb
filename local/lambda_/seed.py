"""The values of the placeholders in event files: real objects on a running stack, of a team for the events only.

A `kept` value is made once for each stack and remembered. The event uses up a `fresh` value, so each event file gets a
new one.
"""

from __future__ import annotations

import json
import os
import secrets
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
LEFT_ALONE = "an object of an upload that has failed"  # ingest_upload logs this for an object that it leaves alone

_MAKERS: dict[str, tuple[Callable[[Seeds], Any], bool]] = {}
M = TypeVar("M", bound="Callable[[Seeds], Any]")


class SeedFailed(Exception):
    """A placeholder is unknown, or its value could not be made; the message says why."""


class Seeds:
    """The values of the placeholders in one event file."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.outputs: dict[str, str] = settings.facts()["outputs"]
        self._fresh: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """Return the value of `${name}`. `${name.part}` is a part of that value. Raises SeedFailed."""
        head, *parts = name.split(".")
        if head not in _MAKERS:
            raise SeedFailed(f"There is no ${{{head}}}; there are {', '.join(sorted(_MAKERS))}.")
        make, is_kept = _MAKERS[head]
        value = self._kept(head, make) if is_kept else self._made(head, make)
        for part in parts:
            value = value[part]
        return value

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call the API as the events' team and return the JSON of the answer. Raises SeedFailed."""
        authorization = {"Authorization": f"Bearer {self.value('key')}"}
        url = f"{self.settings.base_url}{path}"
        answer = httpx.request(method, url, headers=authorization, timeout=60, **options)
        if answer.is_error:
            raise SeedFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def finished(self, path: str) -> Any:
        """Wait until a video or an upload is completed or failed, and return it. Raises SeedFailed."""

        def done() -> Any:
            thing = self.call("GET", path)
            return thing if thing["status"] in {"completed", "failed"} else None

        return wait(done, f"{path} was not finished")

    def forget_stale(self) -> None:
        """Forget the kept values if the stack no longer knows them, for example after its table was emptied."""
        remembered = self._remembered()
        things = {"character": "/videos/characters/", "video_completed": "/videos/"}
        try:
            for name, path in things.items():
                if name in remembered:
                    self.call("GET", f"{path}{remembered[name]}")
        except SeedFailed:
            self.settings.remember(seeds={})

    def plant(self, what: str, *arguments: str) -> Any:
        """Create an object that the API cannot create. Raises SeedFailed.

        This runs seed_rows.py with the built layer and the operator's rights.
        """
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
            value = make(self)  # may remember other values, so these are read again in the next line
            values = {**self._remembered(), name: value}
            self.settings.remember(seeds={"table": self.outputs["TableName"], "values": values})
        return self._remembered()[name]

    def _remembered(self) -> dict[str, Any]:
        seeds = self.settings.facts().get("seeds", {})
        return dict(seeds["values"]) if seeds.get("table") == self.outputs["TableName"] else {}


def kept(make: M) -> M:
    """Register a placeholder with the function's name. Events only read its value."""
    _MAKERS[make.__name__] = (make, True)
    return make


def fresh(make: M) -> M:
    """Register a placeholder with the function's name. Events use up its value."""
    _MAKERS[make.__name__] = (make, False)
    return make


def wait(done: Callable[[], Any], otherwise: str) -> Any:
    """Wait until `done` returns a true value, and return that value. Raises SeedFailed."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if found := done():
            return found
        time.sleep(0.25)
    raise SeedFailed(f"{otherwise} after {PATIENCE_SECONDS:.0f} s")


# ---- Names -----------------------------------------------------------------------------------------------------------


@kept
def key(seeds: Seeds) -> str:
    """Return an API key."""
    return lifecycle.mint(seeds.settings, seeds.outputs["TableName"], TEAM)


@kept
def caller(seeds: Seeds) -> dict[str, str]:
    """Return the caller that the deployed authorizer finds for the key."""
    return _caller(seeds, seeds.value("key"))


def _caller(seeds: Seeds, key: str) -> dict[str, str]:
    event = {"authorizationToken": f"Bearer {key}", "methodArn": seeds.value("method_arn")}
    client = seeds.settings.client("lambda")
    answer = client.invoke(FunctionName=functions.deployed_name("authorizer"), Payload=json.dumps(event))
    return dict(json.loads(answer["Payload"].read())["context"])


@fresh
def method_arn(seeds: Seeds) -> str:
    """Return the ARN of a method, the input of an authorizer."""
    return f"arn:aws:execute-api:us-east-1:000000000000:{seeds.outputs['ApiId']}/v1/GET/videos"


@fresh
def bucket(seeds: Seeds) -> str:
    """Return the bucket's name."""
    return seeds.outputs["BucketName"]


# ---- Characters and videos -------------------------------------------------------------------------------------------


@kept
def character(seeds: Seeds) -> str:
    """Return the id of a character."""
    return character_new(seeds)


@fresh
def character_new(seeds: Seeds) -> str:
    """Return the id of a new character, which the event may delete."""
    form = {"data": {"name": "Luna"}, "files": {"video": file("luna.mp4")}}
    return str(seeds.call("POST", "/videos/characters", **form)["id"])


@kept
def video_completed(seeds: Seeds) -> str:
    """Return the id of a finished video."""
    return video_new(seeds)


@fresh
def video_new(seeds: Seeds) -> str:
    """Return the id of a new finished video, which the event may delete."""
    body = {"model": "sora-2", "prompt": "Luna runs over wet stones", "seconds": "4"}
    video = seeds.call("POST", "/videos", json=body)
    return str(seeds.finished(f"/videos/{video['id']}")["id"])


@kept
def video_unfinished(seeds: Seeds) -> str:
    """Return the id of a video that stays unfinished, because no execution drives it."""
    return str(seeds.plant("running", TEAM, seeds.value("video_completed"))["id"])


@fresh
def video_tampered(seeds: Seeds) -> str:
    """Return the id of the finished video with one character in its middle changed."""
    real: str = seeds.value("video_completed")
    at = len(real) // 2
    return f"{real[:at]}{'A' if real[at] != 'A' else 'B'}{real[at + 1 :]}"


@fresh
def job_running(seeds: Seeds) -> Any:
    """Return a video that is finished at the provider, but still running here: its `id`, and `team` and `video`.

    `team` and `video` are what an execution knows of it; `video` is the record.

    The video is new each time: the simulator keeps a finished video for an hour only, and a stack may run longer.
    """
    return seeds.plant("running", TEAM, seeds.value("video_new"))


@fresh
def job_late(seeds: Seeds) -> Any:
    """Return a video like `job_running` whose deadline has passed."""
    return seeds.plant("late", TEAM, seeds.value("video_new"))


@fresh
def job_adopted(seeds: Seeds) -> Any:
    """Return a video whose provider's id a caller gave, before the provider was asked.

    The parts are those of `job_running`.
    """
    return seeds.plant("adopted", TEAM, seeds.value("video_new"))


@fresh
def job_adopted_unknown(seeds: Seeds) -> Any:
    """Return a video like `job_adopted`, but with an id that the provider does not know."""
    return seeds.plant("adopted", TEAM, seeds.value("video_completed"), "video_of_nobody")


@fresh
def job_stopped(seeds: Seeds) -> Any:
    """Return a video like `job_running` whose execution an operator has stopped; `execution` is the execution's ARN.

    The execution is stopped before the row of the video exists, so the deployed sweep_jobs finds nothing to do.
    """
    machine, client = seeds.outputs["JobMachineArn"], seeds.settings.client("stepfunctions")
    name = f"{int(time.time() * 1000):012x}{secrets.token_hex(8)}"
    begun = {"team": TEAM, "video": name, "begun": int(time.time()), "next": {"seconds": 900}}
    arn = client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(begun))["executionArn"]
    client.stop_execution(executionArn=arn)
    return {**seeds.plant("quiet", TEAM, seeds.value("video_new"), name), "execution": arn}


@fresh
def job_machine(seeds: Seeds) -> str:
    """Return the ARN of the state machine that drives jobs."""
    return seeds.outputs["JobMachineArn"]


# ---- Made directly at the provider -----------------------------------------------------------------------------------


@kept
def provider(seeds: Seeds) -> dict[str, str]:
    """Return the first OpenAI deployment with a secret: `deployment`, `base_url`, and `secret`, the secret's name."""
    file = tomllib.loads((seeds.settings.folder / "deployments.toml").read_text("utf-8"))
    for name, one in file["deployments"].items():
        if one["provider"] == "openai" and "secret" in one:
            return {"deployment": name, "base_url": one["base_url"], "secret": one["secret"].partition(":")[2]}
    raise SeedFailed("No deployment of this stack is with an OpenAI-shaped simulator.")


@kept
def caller_raw(seeds: Seeds) -> dict[str, str]:
    """Return a caller who may use the provider's own ids of that deployment."""
    scope = f"raw_ids:{seeds.value('provider')['deployment']}"
    return _caller(seeds, lifecycle.mint(seeds.settings, seeds.outputs["TableName"], TEAM, scope))


@fresh
def video_raw(seeds: Seeds) -> str:
    """Return the provider's own id of a finished video."""
    made = _upstream(seeds, "POST", "/videos", json={"model": "sora-2", "prompt": "A heron", "seconds": "4"})["id"]
    wait(lambda: _upstream(seeds, "GET", f"/videos/{made}")["status"] == "completed", f"{made} was not finished")
    return str(made)


@fresh
def character_raw(seeds: Seeds) -> str:
    """Return the provider's own id of a character."""
    form = {"data": {"name": "Luna"}, "files": {"video": file("luna.mp4")}}
    return str(_upstream(seeds, "POST", "/videos/characters", **form)["id"])


def _upstream(seeds: Seeds, method: str, path: str, **options: Any) -> Any:
    there = seeds.value("provider")
    keys = seeds.settings.client("secretsmanager")
    key = keys.get_secret_value(SecretId=there["secret"])["SecretString"]  # it may have been rotated
    authorization = {"Authorization": f"Bearer {key}"}
    answer = httpx.request(method, f"{there['base_url']}{path}", headers=authorization, timeout=60, **options)
    answer.raise_for_status()
    return answer.json()


# ---- Files in the bucket ---------------------------------------------------------------------------------------------


@fresh
def clip_key(seeds: Seeds) -> str:
    """Return the bucket key of a clip that the media functions may open."""
    return _stored(seeds, "luna.mp4")


@fresh
def garbage_key(seeds: Seeds) -> str:
    """Return the bucket key of a file that is not a clip."""
    return _stored(seeds, "notes.txt")


def _stored(seeds: Seeds, name: str) -> str:
    stored = f"media/inputs/{TEAM}/seed/{name}"
    seeds.settings.client("s3").put_object(Bucket=seeds.value("bucket"), Key=stored, Body=file(name)[1])
    return stored


# ---- Uploads ---------------------------------------------------------------------------------------------------------


@fresh
def upload_pending(seeds: Seeds) -> str:
    """Return the id of an upload without any data yet."""
    size = len(file("luna.mp4")[1])
    wanted = {"purpose": "character", "filename": "luna.mp4", "bytes": size, "mime_type": "video/mp4", "name": "Luna"}
    return str(seeds.call("POST", "/videos/uploads", json=wanted)["id"])


@fresh
def upload_in_parts(seeds: Seeds) -> str:
    """Return the id of an upload in parts; no part has arrived."""
    wanted = {"purpose": "video", "filename": "long.mp4", "bytes": 300 * 1024 * 1024, "mime_type": "video/mp4"}
    return str(seeds.call("POST", "/videos/uploads", json=wanted)["id"])


@fresh
def upload_arrived(seeds: Seeds) -> str:
    """Return the id of an upload in parts; all parts have arrived."""
    data = file("luna.mp4")[1]
    planted = seeds.plant("upload_in_parts", TEAM, str(len(data)))
    for part in planted["parts"]:
        httpx.put(part["url"], content=data, timeout=60).raise_for_status()
    return str(planted["id"])


@fresh
def landed(seeds: Seeds) -> Any:
    """Return an upload for a character whose clip is in the bucket, not processed: `id`, `key`, `version`, `bytes`."""
    return _landed(seeds, "luna.mp4")


@fresh
def landed_garbage(seeds: Seeds) -> Any:
    """Return an upload like `landed`, with a file that is not a clip."""
    return _landed(seeds, "notes.txt")


def _landed(seeds: Seeds, name: str) -> Any:
    """Store a file in the bucket for an upload that is not processed yet.

    The deployed ingest_upload is notified of the object, too, and must not process it. So the upload counts as failed
    until it was.
    """
    data = file(name)[1]
    begun = int(time.time() * 1000)
    planted = seeds.plant("upload_row", TEAM, str(len(data)))
    s3, logs = seeds.settings.client("s3"), seeds.settings.client("logs")
    put = s3.put_object(Bucket=seeds.value("bucket"), Key=planted["key"], Body=data, ContentType="video/mp4")

    def seen() -> bool:
        events = logs.filter_log_events(logGroupName=seeds.outputs["LogGroupName"], startTime=begun)["events"]
        return any(LEFT_ALONE in event["message"] for event in events)

    wait(seen, "the deployed ingest_upload has not seen what landed")
    seeds.plant("row", json.dumps(planted["row"]))
    return {"id": planted["id"], "key": planted["key"], "version": put["VersionId"], "bytes": len(data)}

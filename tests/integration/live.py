"""The deployed local stack as the tests use it: its API over HTTP, its simulators, its AWS."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import av
import httpx
from PIL import Image, ImageChops, ImageStat

from local.settings import ROOT, Settings
from local.simulators.process import Simulator
from local.stack import lifecycle

SPEED = "4"  # of the simulators: a job runs for half a second
DEPLOYMENTS = Path(__file__).parent / "deployments.toml"
DEAF = "127.0.0.77"  # where ${deaf} in it leads, at a port of the stack's
DEAF_PORT = 30  # above the stack's own
PATIENCE = 90.0

T = TypeVar("T")
R = TypeVar("R")
Json = dict[str, Any]


def deaf(settings: Settings) -> tuple[str, int]:
    """Return host and port of the server of this stack that never answers."""
    return DEAF, settings.port + DEAF_PORT


def call_stack(command: str, settings: Settings, deployments: Path | None = None) -> None:
    """Run a command of the local stack as the Makefile does, with the tests' deployments file or the given file."""
    process = start_stack(settings, command, deployments)
    said, _ = process.communicate()
    assert process.returncode == 0, said


def start_stack(settings: Settings, command: str = "up", deployments: Path | None = None) -> subprocess.Popen[str]:
    """Start the process that `call_stack` waits for, and return the process."""
    if deployments is None:
        deployments = settings.folder / "tests-deployments.toml"
        deployments.parent.mkdir(parents=True, exist_ok=True)
        deployments.write_text(DEPLOYMENTS.read_text("utf-8").replace("${deaf}", "{}:{}".format(*deaf(settings))))
    environment = {
        **os.environ,
        "PORT": str(settings.port),
        "DEPLOYMENTS": str(deployments),
        "SIMULATOR_SPEED": SPEED,
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "local.stack", command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@dataclass(frozen=True)
class Key:
    """An API key as `keys create` shows it."""

    text: str
    id: str


def shown(output: str) -> Key:
    """Return the key that `keys create` or `keys rotate` printed."""
    return Key(output.split()[0], output.partition("Key id ")[2].split(".")[0])


@dataclass(frozen=True)
class Stack:
    """A running stack; `key` belongs to the stack's own team, `other_key` to another team."""

    settings: Settings
    key: str
    other_key: str

    @property
    def base_url(self) -> str:
        return self.settings.base_url

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the deployed template."""
        return dict(self.settings.facts()["outputs"])

    def simulator(self, name: str) -> Simulator:
        """Return the control of a simulator."""
        return Simulator(self.settings.folder / "simulators" / name).attach()

    def mint(self, team: str, *scopes: str) -> str:
        """Make a new key for a team and return the key's text."""
        return lifecycle.mint(self.settings, self.outputs["TableName"], team, *scopes)

    def mint_limited(self, teams: Sequence[str], *, concurrent: int, budget: int) -> list[str]:
        """Make a key for each team and return the keys' texts.

        Each key allows `concurrent` videos at once and a budget of `budget` micro-dollars a month.
        """
        environment = {
            **self.settings.root_credentials,
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT / "layers" / "understudy"),
            "TABLE_NAME": self.outputs["TableName"],
            "POWERTOOLS_SERVICE_NAME": "understudy",
        }
        limits = f"Limits(concurrent={concurrent}, budget={budget})"
        code = (
            "import sys; from understudy.access.keys import Limits, mint; "
            f"[print(mint(t, limits={limits})[0]) for t in sys.argv[1:]]"
        )
        command = [sys.executable, "-c", code, *teams]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()

    def environments(self, function: str) -> list[int]:
        """Return the ids of the processes that run a function."""
        mark = str(self.settings.folder / "tmp" / f"ministack-lambda-understudy-{function}-")
        return [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and mark in _command_line(process)
        ]

    def kill(self, function: str) -> int:
        """Kill every process that runs a function, and return the number of processes."""
        victims = self.environments(function)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while not set(victims).isdisjoint(self.environments(function)) and time.monotonic() < until:
            time.sleep(0.01)  # a process that is ending can still be given a call, which would fail
        return len(victims)

    def keys(self, *arguments: str) -> str:
        """Run `understudy keys ...` as an operator does, and return the output."""
        command = [Path(sys.executable).with_name("understudy"), "keys", *arguments, "--local"]
        environment = {"PATH": os.environ.get("PATH", ""), "PORT": str(self.settings.port)}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def key_row(self, key: Key, sort: str) -> Json:
        """Return a row of a key from DynamoDB, or an empty dictionary if there is none."""
        place = {"pk": {"S": f"key#{key.id}"}, "sk": {"S": sort}}
        client = self.settings.client("dynamodb")
        found = client.get_item(TableName=self.outputs["TableName"], Key=place, ConsistentRead=True)
        return dict(found.get("Item", {}))


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended meanwhile


class Heard:
    """The requests that a simulator receives for one account from now on."""

    def __init__(self, simulator: Simulator, account: str) -> None:
        self._simulator, self._account = simulator, account
        self._since = max((record["number"] for record in simulator.requests()), default=0)

    def requests(self, operation: str | None = None) -> list[Json]:
        """Return the requests in order, of one operation or of all."""
        filters = {"account": self._account, "since": self._since}
        return self._simulator.requests(**filters, **({"operation": operation} if operation else {}))

    def count(self, operation: str) -> int:
        """Return the number of requests of an operation."""
        return len(self.requests(operation))


@cache
def certificates() -> ssl.SSLContext:
    """Return httpx's trusted certificates, loaded once: loading them for each client takes longer than most calls."""
    return httpx.create_ssl_context()


class Api:
    """A caller of the API without retries: the test sees each answer as it came."""

    def __init__(self, base_url: str, key: str) -> None:
        self.base_url, self.key = base_url, key
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=base_url, headers=headers, timeout=60, verify=certificates())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.http.post(path, json=body, **options) if body is not None else self.http.post(path, **options)

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(path)

    def make(self, path: str, **body: Any) -> Json:
        """Send a POST with a JSON body, check that it succeeds, and return its body."""
        return answered(self.post(path, body))

    def video(self, **body: Any) -> Json:
        """Order a video and return it."""
        return self.make("/videos", **{"prompt": "Rain on a tin roof", **body})

    def character(self, clip: Path, name: str = "Luna", **fields: str) -> Json:
        """Make a character from a clip and return it."""
        files = {"video": (clip.name, clip.read_bytes(), "video/mp4")}
        return answered(self.post("/videos/characters", data={"name": name, **fields}, files=files))

    def wait(self, video_id: str, *statuses: str) -> Json:
        """Poll the video until it has one of the statuses (default: completed), and return it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            video = answered(self.get(f"/videos/{video_id}"))
            if video["status"] in (statuses or ("completed",)):
                return video
            assert video["status"] not in {"completed", "failed"}, video
            time.sleep(0.25)
        raise AssertionError(f"not {statuses or 'completed'} after {PATIENCE} s: {video}")

    def wait_all(self, video_ids: Iterable[str]) -> None:
        """Wait until all these videos are completed."""
        for video_id in video_ids:
            self.wait(video_id)

    def finished(self, **body: Any) -> Json:
        """Order a video, wait until it is completed, and return it."""
        return self.wait(self.video(**body)["id"])

    def download(self, video_id: str, variant: str = "video", **headers: str) -> httpx.Response:
        """Fetch the content behind the redirect without any credential, and return the response."""
        answer = self.get(f"/videos/{video_id}/content", params={"variant": variant})
        assert answer.status_code == 302, answer.text
        return httpx.get(answer.headers["location"], headers=headers, timeout=60, verify=certificates())


def answered(answer: httpx.Response) -> Json:
    """Check that the status is 200, and return the body."""
    assert answer.status_code == 200, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return dict(answer.json())


def record(public_id: str) -> str:
    """Return the key of the job's row, which is part of the job's id."""
    payload = base64.urlsafe_b64decode(public_id.removeprefix("video_") + "==")
    found = re.search(rb"[0-9a-f]{28}", payload)
    assert found
    return found[0].decode()


def refused(answer: httpx.Response, status: int, code: str, param: str | None = None) -> Json:
    """Check that the answer is this refusal in OpenAI's envelope with a request id, and return the error."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"].startswith("application/json"), answer.headers
    assert answer.headers.get("x-request-id"), answer.headers
    assert set(answer.json()) == {"error"}, answer.text
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert error["code"] == code, error
    assert error["param"] == param, error
    assert error["message"], error
    return error


def together(function: Callable[[T], R], things: Sequence[T], workers: int = 4) -> list[R]:
    """Call the function for each of the things, `workers` at a time, and return the results in order."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, things))


class Aside(threading.Thread):
    """A slow call that runs in the background; `result` waits for its end and raises the error that it raised."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._act, self._result, self._error = act, None, None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._act()
        except BaseException as error:
            self._error = error  # type: ignore[assignment]

    def result(self, seconds: float = 120) -> Any:
        self.join(seconds)
        assert not self.is_alive(), f"not finished after {seconds} s"
        if self._error is not None:
            raise self._error
        return self._result


@dataclass(frozen=True)
class Film:
    """The content of an MP4; all frames are decoded, so the file is known to play."""

    width: int
    height: int
    seconds: float
    frames: list[Image.Image]

    @classmethod
    def of(cls, content: bytes) -> Film:
        with av.open(io.BytesIO(content), "r") as container:
            stream = container.streams.video[0]
            frames = [frame.to_image() for frame in container.decode(stream)]  # type: ignore[no-untyped-call]
            assert container.duration is not None
            return cls(stream.width, stream.height, container.duration / av.time_base, frames)


def playing_time(content: bytes) -> float:
    """Decode all frames of an MP4 and return its length in seconds."""
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        assert stream.average_rate
        return float(sum(1 for _ in container.decode(stream)) / stream.average_rate)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures of the same size, from 0 (equal) to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base as circuits
from moto import mock_aws
from moto.core.models import MockAWS

from tests.fakes import clock as clocks
from tests.fakes.clock import Clock
from tests.fakes.dynamodb import DynamoDB
from tests.fakes.edges import Edges
from tests.fakes.executions import MACHINE, Executions
from tests.fakes.stage import NAMES, Stage, build, load
from tests.fakes.upload_queue import UploadQueue
from tests.fakes.upstream import MP4, Upstream
from understudy.deployments import config
from understudy.files import clips
from understudy.network import http_client
from understudy.store import bucket, clients, secrets
from understudy.store import executions as started
from understudy.store import queue as queues

TOML = """
[deployments.one]
provider = "openai"
base_url = "https://one.example/v1"
secret = "secretsmanager:understudy/a"
models = { "sora-2" = "sora-2" }
default = true

[deployments.two]
provider = "openai"
base_url = "https://two.example/v1"
secret = "secretsmanager:understudy/b"
models = { "sora-2" = "sora-2" }

[deployments.solo]
provider = "openai"
base_url = "https://solo.example/v1"
secret = "secretsmanager:understudy/c"
models = { "solo" = "sora-2" }
options = { deadline_seconds = 900 }

[deployments.plain]
provider = "hosted_vllm"
base_url = "https://plain.example/v1"
models = { "wan" = "wan-2.2" }
"""

LAST_FRAME = b"\xff\xd8\xff\xe0the last picture"

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "TABLE_NAME": NAMES["table"],
    "BUCKET_NAME": NAMES["bucket"],
    "JOB_MACHINE": MACHINE,
    "ID_SECRET": "ids",
    "UPLOAD_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/u",
    "POWERTOOLS_SERVICE_NAME": "understudy",
    "POWERTOOLS_METRICS_NAMESPACE": "Understudy",
}


def cold_start() -> None:
    """Clear every cache of an execution environment; only AWS clients stay, because making them is expensive."""
    kept_clients = list(vars(clients).values())
    for module in clocks.layer_modules():
        for value in vars(module).values():
            if hasattr(value, "cache_clear") and value not in kept_clients:
                value.cache_clear()
    secrets._neighbours = (float("-inf"), [])
    secrets._provider_keys.clear()
    for kept in (circuits._LOCAL_FAILURES, circuits._LOCAL_SUCCESSES, circuits._LAST_OBSERVED_STATE):
        kept.clear()


@pytest.fixture(scope="session")
def aws_clients() -> Iterator[None]:
    """The environment of the AWS clients, which live for the session: making one costs more than most tests here."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield


@pytest.fixture
def table_engine() -> str:
    """The stand-in for DynamoDB: "fakes" (tests.fakes) or "moto", which is slow."""
    return "fakes"


@pytest.fixture
def dynamodb() -> DynamoDB:
    """The table of tests.fakes."""
    return DynamoDB(Edges())


@pytest.fixture
def edges(aws_clients: None, dynamodb: DynamoDB, table_engine: str) -> Iterator[Edges]:
    """The count of every call to AWS and to providers."""
    edges = dynamodb.edges
    hooks = {
        clients.s3(): edges.aws,
        clients.secretsmanager(): edges.aws,
        clients.dynamodb(): dynamodb.answer if table_engine == "fakes" else edges.aws,
    }
    for client, hook in hooks.items():
        client.meta.events.register("before-call", hook)
    yield edges
    for client, hook in hooks.items():
        client.meta.events.unregister("before-call", hook)


@pytest.fixture(scope="module")
def moto() -> Iterator[MockAWS]:
    """The AWS of moto. It starts once for each module, because each start registers thousands of addresses."""
    with mock_aws() as moto:
        yield moto


@pytest.fixture
def aws_stack(edges: Edges, moto: MockAWS) -> Iterator[None]:
    """AWS with nothing but the template's table, bucket and secrets."""
    cold_start()
    moto.reset()
    build()
    edges.touched.clear()
    yield
    cold_start()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until the test moves it."""
    return clocks.install(monkeypatch)


@pytest.fixture
def toml() -> str:
    """The deployments file; a module or a test may replace it."""
    return TOML


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that replaces the deployments file, as a deployment does."""

    def configure(text: str) -> None:
        file = tmp_path / "deployments.toml"
        file.write_text(text)
        monkeypatch.setattr(config, "FILE", file)
        config.deployments.cache_clear()

    return configure


@pytest.fixture
def upstream(aws_stack: None, edges: Edges, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """The providers; no request reaches a network."""
    upstream = Upstream(edges=edges, clock=clock)
    client = httpx.Client(transport=upstream.transport())
    monkeypatch.setattr(http_client, "_http", lambda: client)
    return upstream


@pytest.fixture
def executions(aws_stack: None, edges: Edges, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Executions:
    """Step Functions, on the test's clock."""
    executions = Executions(clock, edges)
    monkeypatch.setattr(started, "stepfunctions", lambda: executions)
    return executions


@pytest.fixture
def upload_queue(monkeypatch: pytest.MonkeyPatch) -> UploadQueue:
    """The queue of what has landed in the bucket."""
    queue = UploadQueue()
    monkeypatch.setattr(queues, "sqs", lambda: queue)
    return queue


@pytest.fixture
def stage(
    clock: Clock,
    edges: Edges,
    executions: Executions,
    upload_queue: UploadQueue,
    upstream: Upstream,
    configure: Any,
    toml: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    """Handlers, AWS and providers, ready to be called; the sealed media functions answer for a 3 s clip."""
    configure(toml)
    monkeypatch.setattr(clips, "_call", _media)
    for name in ("run_job", "sweep_jobs"):
        monkeypatch.setattr(load(name), "time", clock)
    return Stage(clock, edges, executions, upload_queue)


def _media(_function: str, event: dict[str, Any], _deadline: float, _param: str = "video") -> dict[str, Any]:
    """Answer for the media functions and write the objects that they would write; a clip of MP4's bytes lasts 3 s."""
    for name in ("thumbnail_key", "spritesheet_key"):
        if name in event:
            bucket.put(event[name], b"picture", "image/webp")
    match event.get("task"):
        case "last_frame":
            bucket.size(event["key"])
            bucket.put(event["output_key"], LAST_FRAME, "image/jpeg")
            return {"ok": True, "bytes": len(LAST_FRAME), "width": event["width"], "height": event["height"]}
        case "concatenate":
            whole = b"".join(stored(key) for key in event["keys"])
            bucket.put(event["output_key"], whole, "video/mp4")
            return {"ok": True, "bytes": len(whole), "duration": _seconds(whole), "width": 1280, "height": 720}
    data, stills = stored(event["key"]), []
    for n in range(event.get("stills", 0)):
        key = f"{event['stills_prefix']}still-{n}.jpg"
        bucket.put(key, b"\xff\xd8jpeg", "image/jpeg")
        stills.append({"key": key, "width": 1280, "height": 720, "seconds": n, "bytes": 6})
    facts = {"ok": True, "duration": _seconds(data), "width": 1280, "height": 720, "bytes": len(data)}
    return facts | {"stills": stills, "mime_type": "video/mp4"}


def stored(key: str) -> bytes:
    """Return the object under a key."""
    return clients.s3().get_object(Bucket=NAMES["bucket"], Key=key)["Body"].read()


def _seconds(data: bytes) -> float:
    return 3.0 * max(data.count(MP4), 1)

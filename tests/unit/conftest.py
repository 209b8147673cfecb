from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto import mock_aws

from tests.fakes.stage import NAMES, Stage, build
from tests.fakes.upstream import Upstream
from understudy import aws, deployments, media, outbound, providers, routing, secrets, settings, storage

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

[deployments.plain]
provider = "hosted_vllm"
base_url = "https://plain.example/v1"
models = { "wan" = "wan-2.2" }
"""


def clear_caches() -> None:
    """Forget what an execution environment keeps, as a new one would."""
    cached: list[Any] = [
        settings.settings,
        aws.dynamodb,
        aws.s3,
        aws.sqs,
        aws.lambda_,
        aws.secretsmanager,
        secrets.id_codec,
        deployments.deployments,
        providers.load,
        routing._circuits,
        outbound._http,
    ]
    for function in cached:
        getattr(function, "cache_clear", lambda: None)()
    secrets._neighbours = (float("-inf"), [])
    from aws_lambda_powertools.utilities.parameters import clear_caches as clear_parameters

    clear_parameters()


@pytest.fixture
def aws_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto's AWS with what the template makes."""
    environment = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "TABLE_NAME": NAMES["table"],
        "BUCKET_NAME": NAMES["bucket"],
        "JOB_QUEUE_URL": f"https://sqs.us-east-1.amazonaws.com/123456789012/{NAMES['queue']}",
        "ID_SECRET": "ids",
        "POWERTOOLS_SERVICE_NAME": "understudy",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    clear_caches()
    with mock_aws():
        build()
        yield
    clear_caches()


@pytest.fixture
def toml() -> str:
    return TOML


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Upstream:
    upstream = Upstream()
    client = httpx.Client(transport=upstream.transport())
    monkeypatch.setattr(outbound, "_http", lambda: client)
    return upstream


@pytest.fixture
def stage(aws_stack: None, upstream: Upstream, toml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Handlers, AWS and providers, ready to be called. The sealed media functions answer for a 3 s clip."""
    file = tmp_path / "deployments.toml"
    file.write_text(toml)
    monkeypatch.setattr(deployments, "FILE", file)
    monkeypatch.setattr(media, "_call", _media)
    return Stage()


def _media(_function: str, event: dict[str, Any], _param: str) -> dict[str, Any]:
    """The media functions' answers, with the objects that they would have written."""
    facts = {"ok": True, "duration": 3.0, "width": 1280, "height": 720, "bytes": storage.size(event["key"])}
    stills = []
    for n in range(event.get("stills", 0)):
        key = f"{event['stills_prefix']}still-{n}.jpg"
        storage.put(key, b"\xff\xd8jpeg", "image/jpeg")
        stills.append({"key": key, "width": 1280, "height": 720, "seconds": n, "bytes": 6})
    for name in ("thumbnail_key", "spritesheet_key"):
        if name in event:
            storage.put(event[name], b"picture", "image/webp")
    return facts | {"stills": stills, "mime_type": "video/mp4"}

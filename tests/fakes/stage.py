"""The whole backend in one process: moto's AWS, and our handlers called as the gateway and Step Functions call them."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import httpx

from tests.fakes import executions as engine
from tests.fakes.clock import Clock
from tests.fakes.edges import Edges
from tests.fakes.executions import Execution, Executions
from tests.fakes.upload_queue import UploadQueue
from tests.fakes.upstream import MP4
from understudy.access import keys
from understudy.store import clients

ROOT = Path(__file__).parents[2]
NAMES = {"table": "t", "bucket": "bucket"}
JOB_MILLISECONDS = 300_000

Form = list[tuple[str, Any]]


@dataclass
class Context:
    """The attributes of a Lambda context that our code reads."""

    milliseconds: int = 28_000
    function_name: str = "f"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn"
    aws_request_id: str = "r"

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's envelope."""
        assert set(self.body) == {"error"}, self
        error: dict[str, Any] = self.body["error"]
        assert set(error) == {"message", "type", "param", "code"}, self
        return error


@dataclass
class Stage:
    """The backend as clients and executions see it; calls are made with the key that signed in last."""

    clock: Clock
    edges: Edges
    executions: Executions
    upload_queue: UploadQueue
    caller: keys.Caller = field(init=False)
    milliseconds: int = 28_000
    calls: list[tuple[str, Reply]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sign_in("blue")

    def sign_in(self, team: str, **facts: Any) -> keys.Caller:
        """Make a key for the team and use it from now on; assign `caller` to use an earlier one again."""
        _, self.caller = keys.mint(team, **facts)
        return self.caller

    def call(
        self,
        function: str,
        *,
        json_body: Any = None,
        form: Form | None = None,
        raw: bytes | None = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call an HTTP function with an event like API Gateway's, and return the reply."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        body, content_type = _encoded(json_body, form, raw)
        if content_type:
            sent.setdefault("content-type", content_type)
        endpoint = load(function).handler.endpoint
        event = {
            "resource": endpoint.path,
            "path": endpoint.path.format(**(path or {})),
            "httpMethod": endpoint.method,
            "headers": sent,
            "multiValueHeaders": {name: [value] for name, value in sent.items()},
            "queryStringParameters": dict(query) if query else None,
            "multiValueQueryStringParameters": None,
            "pathParameters": {name: quote(value, safe="") for name, value in path.items()} if path else None,
            "requestContext": {"requestId": "req-1", "authorizer": self.caller.context()},
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }
        answer = load(function).handler(event, Context(self.milliseconds))
        answered = {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}
        reply = Reply(answer["statusCode"], answered, json.loads(answer["body"]) if answer["body"] else None)
        self.calls.append((function, reply))
        return reply

    # What tests do most.

    def create(self, prompt: str = "A fox", *, headers: Mapping[str, str] | None = None, **body: Any) -> Reply:
        """Call POST /videos with a JSON body, and return the reply."""
        return self.call("create_video", json_body={"prompt": prompt, **body}, headers=headers)

    def character(self, name: str = "Luna", **fields: str) -> str:
        """Make a character and return its id."""
        form: Form = [("name", name), ("video", ("clip.mp4", MP4, "video/mp4")), *fields.items()]
        reply = self.call("create_character", form=form)
        assert reply.status == 200, reply
        return str(reply.body["id"])

    def show(self, video_id: str) -> dict[str, Any]:
        """Return the answer of GET /videos/{video_id}."""
        reply = self.call("get_video", path={"video_id": video_id})
        assert reply.status == 200, reply
        video: dict[str, Any] = reply.body
        return video

    def listed(self) -> list[dict[str, Any]]:
        """Return the team's videos, at most 100, newest first (GET /videos)."""
        videos: list[dict[str, Any]] = self.call("list_videos", query={"limit": "100"}).body["data"]
        return videos

    def work(self) -> int:
        """Take the next step of every execution that runs now, and return their number. No step may fail."""
        due = sorted(self.executions.running, key=lambda one: one.due)
        for execution in due:
            self.clock.now = max(self.clock.now, execution.due)
            assert self.step(execution), execution
        return len(due)

    def run(self, seconds: float = 24 * 3600) -> int:
        """Let time pass until no execution runs or the seconds are over; return the number of steps."""
        end, count = self.clock.now + seconds, 0
        while execution := self.executions.next(end):
            self.step(execution)
            count += 1
        return count

    def later(self, hours: int = 2) -> None:
        """Let hours pass, each with the sweep at its end, and all executions run to their end."""
        for _ in range(hours):
            self.run()
            self.clock.advance(3600)
            self.sweep()
        self.run()

    def step(self, execution: Execution) -> bool:
        """Take the next step of an execution that is due. Return False if it has failed or its function died."""
        return self.executions.advance(execution, self._run_job)

    def repeat(self, execution: Execution) -> Any:
        """Take a step once more than the execution does, as when Lambda runs a call twice. Return its result."""
        return load("run_job").handler(execution.data, Context(JOB_MILLISECONDS))

    def sweep(self) -> None:
        """Look after the jobs that nobody drives, as happens once an hour."""
        load("sweep_jobs").handler({"detail-type": "Scheduled Event", "detail": {}}, Context(JOB_MILLISECONDS))

    def _run_job(self, event: dict[str, Any]) -> Any:
        return engine.call(load("run_job").handler, event, Context(JOB_MILLISECONDS))


@cache
def load(function: str) -> ModuleType:
    """Import a function's app.py and return the module."""
    spec = importlib.util.spec_from_file_location(f"fn_{function}", ROOT / "functions" / function / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build() -> None:
    """Create the template's table, bucket and secrets in moto."""
    clients.dynamodb().create_table(
        TableName=NAMES["table"],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "unfinished", "AttributeType": "S"},
            {"AttributeName": "created_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "unfinished",
                "KeySchema": [
                    {"AttributeName": "unfinished", "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    clients.s3().create_bucket(Bucket=NAMES["bucket"])
    manager = clients.secretsmanager()
    manager.create_secret(Name="ids", SecretString="m" * 64)
    for name in ("a", "b", "c"):
        manager.create_secret(Name=f"understudy/{name}", SecretString=f"key-{name}")


def _encoded(json_body: Any, form: Form | None, raw: bytes | None) -> tuple[bytes, str | None]:
    if raw is not None:
        return raw, None
    if form is not None:
        files = [(name, value if isinstance(value, tuple) else (None, value)) for name, value in form]
        request = httpx.Request("POST", "http://x/", files=files)
        return request.read(), request.headers["content-type"]
    if json_body is not None:
        return json.dumps(json_body).encode(), "application/json"
    return b"", None

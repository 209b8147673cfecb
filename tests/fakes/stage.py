"""The whole backend in one process: moto's AWS, our handlers called as API Gateway and SQS would call them."""

from __future__ import annotations

import base64
import importlib.util
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import httpx

from tests.fakes.clock import Clock
from tests.fakes.edges import Edges, Killed
from tests.fakes.queue import Message, Queue
from understudy import aws, table

ROOT = Path(__file__).parents[2]
NAMES = {"table": "t", "bucket": "bucket", "queue": "q"}
JOB_MILLISECONDS = 300_000

Form = list[tuple[str, Any]]


@dataclass
class Context:
    """What a Lambda context has that our code reads."""

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
        """The error of OpenAI's envelope."""
        assert set(self.body) == {"error"}, self
        error: dict[str, Any] = self.body["error"]
        assert set(error) == {"message", "type", "param", "code"}, self
        return error


@dataclass
class Stage:
    """One team's view by default; `team` and `key_id` may be changed between calls."""

    clock: Clock
    edges: Edges
    queue: Queue
    team: str = "blue"
    key_id: str = "k1"
    scopes: str = ""
    milliseconds: int = 28_000
    calls: list[tuple[str, Reply]] = field(default_factory=list)

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
        """Call an HTTP function through an event such as API Gateway's."""
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
            "pathParameters": dict(path) if path else None,
            "requestContext": {
                "requestId": "req-1",
                "authorizer": {"team": self.team, "key_id": self.key_id, "scopes": self.scopes},
            },
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }
        answer = load(function).handler(event, Context(self.milliseconds))
        answered = {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}
        reply = Reply(answer["statusCode"], answered, json.loads(answer["body"]) if answer["body"] else None)
        self.calls.append((function, reply))
        return reply

    def work(self) -> int:
        """Run `run_job` once on every message that is in the queue now; returns how many there were."""
        count = len(self.queue.waiting)
        for _ in range(count):
            message = self.queue.receive()
            assert message is not None
            assert self.deliver(message), self.queue.dead
        return count

    def run(self, seconds: float = 24 * 3600) -> int:
        """Let time pass until the queue is empty or the seconds are over; returns how many messages were worked on."""
        end, count = self.clock.now + seconds, 0
        while message := self.queue.receive(end):
            self.deliver(message)
            count += 1
        return count

    def deliver(self, message: Message) -> bool:
        """Give a message to `run_job`; one whose work failed, or whose function died, comes back."""
        record = {
            "messageId": secrets.token_hex(4),
            "body": message.body,
            "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": str(message.received)},
        }
        try:
            answer = load("run_job").handler({"Records": [record]}, Context(JOB_MILLISECONDS))
        except Killed:
            answer = None
        if answer == {"batchItemFailures": []}:
            return True
        self.queue.give_back(message)
        return False

    def messages(self) -> list[str]:
        """Take all messages off the queue, delayed ones included."""
        bodies = [message.body for message in self.queue.waiting]
        self.queue.waiting.clear()
        return bodies


@cache
def load(function: str) -> ModuleType:
    """A function's module."""
    spec = importlib.util.spec_from_file_location(f"fn_{function}", ROOT / "functions" / function / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build() -> None:
    """What the template makes, in moto."""
    aws.dynamodb().create_table(
        TableName=NAMES["table"],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.s3().create_bucket(Bucket=NAMES["bucket"])
    for key_id in ("k1", "k2", "k3"):
        table.put(table.api_key_key(key_id), {"team": "blue", "key_id": key_id, "scopes": []})
        table.put(table.slots_key(key_id), {"open": {}})
    manager = aws.secretsmanager()
    manager.create_secret(Name="ids", SecretString="m" * 64)
    for name in ("a", "b", "c"):
        manager.create_secret(Name=f"understudy/{name}", SecretString=f"key-{name}")


@cache
def parameters() -> Any:
    """Systems Manager's client; only some deployments keep their keys there."""
    return boto3.client("ssm")


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

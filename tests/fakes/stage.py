"""The whole backend in one process: moto's AWS, our handlers called as API Gateway and SQS would call them."""

from __future__ import annotations

import base64
import importlib.util
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3

from understudy import aws

ROOT = Path(__file__).parents[2]
NAMES = {"table": "t", "bucket": "bucket", "queue": "q"}


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


@dataclass
class Stage:
    """One team's view by default; `team` may be changed between calls."""

    team: str = "blue"
    key_id: str = "k1"
    scopes: str = ""
    milliseconds: int = 28_000
    functions: dict[str, ModuleType] = field(default_factory=dict)

    def call(
        self,
        function: str,
        *,
        json_body: Any = None,
        form: list[tuple[str, Any]] | None = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call an HTTP function through an event such as API Gateway's."""
        import httpx

        sent: dict[str, str] = dict(headers or {})
        raw = b""
        if form is not None:
            files = [(name, value if isinstance(value, tuple) else (None, value)) for name, value in form]
            request = httpx.Request("POST", "http://x/", files=files)
            raw, sent["content-type"] = request.read(), request.headers["content-type"]
        elif json_body is not None:
            raw, sent["content-type"] = json.dumps(json_body).encode(), "application/json"
        endpoint = self.load(function).handler.endpoint
        concrete = endpoint.path.format(**(path or {}))
        event = {
            "resource": endpoint.path,
            "path": concrete,
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
            "body": base64.b64encode(raw).decode() if raw else None,
            "isBase64Encoded": bool(raw),
        }
        answer = self.load(function).handler(event, Context(self.milliseconds))
        answered = {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}
        return Reply(answer["statusCode"], answered, json.loads(answer["body"]) if answer["body"] else None)

    def work(self) -> int:
        """Run `run_job` on every message that is due or not, as if all delays had passed; returns how many there were."""
        count = 0
        for message in self.messages():
            record = {"messageId": secrets.token_hex(4), "body": message, "eventSource": "aws:sqs", "attributes": {}}
            answer = self.load("run_job").handler({"Records": [record]}, Context(300_000))
            assert answer == {"batchItemFailures": []}, answer
            count += 1
        return count

    def messages(self) -> list[str]:
        """Take all messages off the queue, delayed ones included."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.sqs import sqs_backends

        queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues[NAMES["queue"]]
        bodies = [message.body for message in queue._messages]
        queue._messages.clear()
        return bodies

    def load(self, function: str) -> ModuleType:
        if function not in self.functions:
            spec = importlib.util.spec_from_file_location(f"fn_{function}", ROOT / "functions" / function / "app.py")
            assert spec and spec.loader
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            self.functions[function] = module
        return self.functions[function]


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
    aws.sqs().create_queue(QueueName=NAMES["queue"])
    manager = boto3.client("secretsmanager")
    manager.create_secret(Name="ids", SecretString="m" * 64)
    for name in ("a", "b", "c"):
        manager.create_secret(Name=f"understudy/{name}", SecretString=f"key-{name}")

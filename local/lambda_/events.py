"""Event files: `events/FUNCTION.json` and `events/FUNCTION.CASE.json`, one event each and what is expected of it.

    {"request": {...}, "expect": {...}}     what a client sends; becomes the event that API Gateway makes of it
    {"messages": [...], "expect": {...}}    bodies of messages; become the event that SQS makes of them
    {"event": ..., "expect": {...}}         the event as it is

request   `path` and `query` parameters, `headers`, and one of `json`, `body` (text as it is) and `form`; `files` of a
          form are names of seed_files.FILES. `caller`: null for a request that no authorizer saw, or another caller
          than the events' own.
expect    `status` and `body` of an HTTP answer, `answer` of another; every key that stands there has to be in what
          came. `afterwards`: {"path", "body"} is what the API then says. `error`: the errorType that Lambda shows.

`${name}` stands for something real on the running stack (seed.py); a string that is nothing else takes its type.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from local.lambda_ import seed_files
from local.lambda_.functions import Route
from local.settings import ROOT

FOLDER = ROOT / "events"
_PLACEHOLDER = re.compile(r"\$\{([a-z_.]+)\}")
_SHAPES = {"request", "messages", "event"}


class BadEventFile(Exception):
    """An event file cannot be used; the message says why."""


def function_of(file: Path) -> str:
    """The function that an event file is for."""
    return file.name.split(".")[0]


def files(name: str | None = None) -> list[Path]:
    """The event files of a function, or of all: first the one without a case."""
    found = (file for file in FOLDER.glob("*.json") if name in (None, function_of(file)))
    return sorted(found, key=lambda file: (function_of(file), file.name.count("."), file.name))


def read(file: Path) -> dict[str, Any]:
    """The file as it stands; one that is nothing but an event (a rendered one, say) expects nothing of its answer.

    Raises BadEventFile.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadEventFile(f"{file}: {error}") from error
    if not isinstance(content, dict) or not set(content) <= _SHAPES | {"expect"}:
        return {"event": content}
    if len(set(content) & _SHAPES) != 1:
        raise BadEventFile(f"{file}: exactly one of {', '.join(sorted(_SHAPES))} is needed")
    return content


def fill(node: Any, value: Callable[[str], Any]) -> Any:
    """The same with every placeholder filled in."""
    if isinstance(node, dict):
        return {fill(key, value): fill(item, value) for key, item in node.items()}
    if isinstance(node, list):
        return [fill(item, value) for item in node]
    if not isinstance(node, str):
        return node
    if whole := _PLACEHOLDER.fullmatch(node):
        return value(whole[1])
    return _PLACEHOLDER.sub(lambda match: str(value(match[1])), node)


def event(content: dict[str, Any], route: Route | None, caller: Callable[[], dict[str, str]]) -> Any:
    """The event itself, of a file that is filled in. Raises BadEventFile for a request to what has no route."""
    if "messages" in content:
        return {"Records": [_record(number, message) for number, message in enumerate(content["messages"], 1)]}
    if "request" not in content:
        return content["event"]
    if route is None:
        raise BadEventFile("This function has no route: its file needs `messages` or `event`, not `request`.")
    request = content["request"]
    given = request.get("caller", True)
    return _proxied(request, route, caller() if given is True else given)


def differences(expected: Any, found: Any, where: str) -> Iterator[str]:
    """How `found` is not what was expected, in sentences. Objects may hold more than expected, lists may not."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key in found:
                yield from differences(value, found[key], f"{where}.{key}")
            else:
                yield f"{where} has no {key!r}"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{where}[{index}]")
    elif expected != found or type(expected) is not type(found):
        yield f"{where} is {json.dumps(found)[:300]} and not {json.dumps(expected)[:300]}"


def _proxied(request: dict[str, Any], route: Route, caller: dict[str, str] | None) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html (2026-11)"""
    headers = {"Accept": "*/*", "Host": "127.0.0.1", **request.get("headers", {})}
    content_type, body = _body(request)
    if content_type:
        headers = {"Content-Type": content_type, **headers}
    # Forms are the API's one binary media type: they arrive as base64, everything else as text.
    binary = content_type is not None and content_type.startswith("multipart/")
    parameters, query = request.get("path"), request.get("query")
    path = route.path.format(**(parameters or {}))
    context = {
        "requestId": str(uuid.uuid4()),
        "stage": "v1",
        "httpMethod": route.method,
        "resourcePath": route.path,
        "path": f"/v1{path}",
        "identity": {"sourceIp": "127.0.0.1", "userAgent": "understudy-invoke"},
    }
    if caller is not None:
        context["authorizer"] = {**caller, "principalId": caller["key_id"]}
    return {
        "resource": route.path,
        "path": path,
        "httpMethod": route.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": context,
        "body": None if body is None else base64.b64encode(body).decode() if binary else body.decode(),
        "isBase64Encoded": binary,
    }


def _body(request: dict[str, Any]) -> tuple[str | None, bytes | None]:
    """Content type and bytes of the body."""
    if "json" in request:
        return "application/json", json.dumps(request["json"]).encode()
    if "body" in request:
        return "application/json", str(request["body"]).encode()
    if "form" not in request and "files" not in request:
        return None, None
    parts: list[Any] = [(name, (None, text)) for name, text in request.get("form", {}).items()]
    parts += [(name, _file(filename)) for name, filename in request.get("files", {}).items()]
    form = httpx.Request("POST", "http://127.0.0.1/", files=parts)
    return form.headers["content-type"], form.read()


def _file(name: str) -> tuple[str, bytes, str]:
    if name not in seed_files.FILES:
        raise BadEventFile(f"There is no file {name!r}; there are {', '.join(seed_files.FILES)}.")
    return seed_files.file(name)


def _record(number: int, message: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html (2026-11)"""
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"receipt-{number}",
        "body": message if isinstance(message, str) else json.dumps(message),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "awsRegion": "us-east-1",
    }

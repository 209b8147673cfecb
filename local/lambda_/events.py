"""Event files: `events/FUNCTION.json` and `events/FUNCTION.CASE.json`. Each has one event and the expected answer.

    {"request": {...}, "expect": {...}}     a client's request; it becomes an event of API Gateway
    {"messages": [...], "expect": {...}}    bodies of messages; they become an event of SQS
    {"event": ..., "expect": {...}}         the event itself

request   `path` and `query` parameters, `headers`, and one of `json`, `body` (text, sent unchanged) and `form`. `files`
          of a form are names in seed_files.FILES. `caller` replaces the default caller of the events; null means that
          no authorizer has seen the request.
expect    `status` and `body` of an HTTP answer, or `answer` for any other result. Every expected key must be in the
          answer; more keys are allowed. `afterwards`: {"path", "body"} is a GET of the API after the event, and its
          expected body. `error`: the errorType that Lambda shows.

`${name}` stands for a real value on the running stack (seed.py). A string that is only a placeholder becomes a value of
the value's own type.
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
    """Return the name of the function that an event file is for."""
    return file.name.split(".")[0]


def files(name: str | None = None) -> list[Path]:
    """Return the event files of a function, or of all functions. The file without a case comes first."""
    found = (file for file in FOLDER.glob("*.json") if name in (None, function_of(file)))
    return sorted(found, key=lambda file: (function_of(file), file.name.count("."), file.name))


def read(file: Path) -> dict[str, Any]:
    """Read an event file, without filling in its placeholders. Raises BadEventFile.

    A file may also hold only an event, for example a rendered event. Then nothing is expected of the answer.
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
    """Return the node with every placeholder filled in. `value` returns the value of a placeholder's name."""
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
    """Build the event of a file whose placeholders are filled in.

    Raises BadEventFile if the file has a `request` but the function has no route.
    """
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
    """Yield a sentence for each difference between `found` and `expected`.

    Objects may have more keys than expected; lists must have the expected length.
    """
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
    """Build the event that API Gateway makes of a request.

    https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html (2026-11)
    """
    headers = {"Accept": "*/*", "Host": "127.0.0.1", **request.get("headers", {})}
    content_type, body = _body(request)
    if content_type:
        headers = {"Content-Type": content_type, **headers}
    # Forms are the API's only binary media type: they arrive as base64, all other bodies as text.
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
    """Return the content type and the bytes of the body, or None and None. Raises BadEventFile."""
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
    """Build one record of an event of SQS.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html (2026-11)
    """
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"receipt-{number}",
        "body": message if isinstance(message, str) else json.dumps(message),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "awsRegion": "us-east-1",
    }

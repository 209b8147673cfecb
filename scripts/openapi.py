"""Generate docs/openapi.json from the functions: `python scripts/openapi.py [--check]`.

Each HTTP function's handler has an `Endpoint`. Request bodies are pydantic models and answers are typed dicts, so the
document describes the code. With --check the script writes nothing, and a difference is an error.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "layers" / "understudy"))

from pydantic import TypeAdapter  # noqa: E402

import understudy  # noqa: E402
from understudy.api.endpoint import Endpoint  # noqa: E402
from understudy.api.requests import IMAGE_TYPES, VIDEO_TYPES  # noqa: E402

TARGET = ROOT / "docs" / "openapi.json"
REF = "#/components/schemas/{model}"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
ALL = {401: "The key is missing, unknown or revoked.", 429: "Too many calls at once or in this minute."}
WRONG = {400: "Something is wrong with the request; `param` names it."}
ABSENT = {404: "No such thing of the caller's, or no such model."}
BODY = {
    413: "The body is too large for the gateway; upload the file first.",
    415: "The body's content type is not understood.",
}
MAKES = {
    403: "The key may not use this model.",
    409: "The first request with this Idempotency-Key is still running.",
    422: "The Idempotency-Key was used with another request.",
}
UPSTREAM = {
    500: "Something went wrong here.",
    502: "The provider failed, or its answer was lost.",
    503: "The provider is not reachable.",
    504: "The provider did not answer in time.",
}
# OpenAPI 3.1 has no `format: binary`: a file is text of a media type that is not text.
FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
NULL = {"type": "null"}
FILE_TYPES = {"video": VIDEO_TYPES, "input_reference": IMAGE_TYPES}
TEXT = {"schema": {"type": "string"}}
HEADERS = {
    "Video": {
        "openai-poll-after-ms": {**TEXT, "description": "How long to wait before asking again."},
        "x-understudy-emulated": {
            **TEXT,
            "description": "The operation, if the model has none such and the video was put together here.",
        },
    }
}
PAGING = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 100, "default": 20}},
    {"name": "order", "in": "query", "schema": {"type": "string", "enum": ["asc", "desc"], "default": "desc"}},
    {"name": "after", "in": "query", "schema": {"type": "string"}, "description": "The last id of the page before."},
]


def endpoints() -> list[tuple[str, Endpoint, str]]:
    """Return (function name, endpoint, description) for every HTTP function."""
    found = []
    for file in sorted((ROOT / "functions").glob("*/app.py")):
        text = file.read_text("utf-8")
        if "Endpoint(" not in text:
            continue
        spec = importlib.util.spec_from_file_location(f"functions_{file.parent.name}", file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append((file.parent.name, module.handler.endpoint, inspect.getdoc(module.handler) or ""))
    return found


def description() -> dict[str, Any]:
    """Build the whole document."""
    schemas: dict[str, Any] = {"ErrorResponse": ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for name, endpoint, text in endpoints():
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(name, endpoint, text, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Understudy",
            "version": understudy.__version__,
            "description": "OpenAI's Videos API with characters, edits and extensions, on any provider that is alive.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:4000/v1", "description": "make up"}],
        "security": [{"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(name: str, endpoint: Endpoint, text: str, schemas: dict[str, Any]) -> dict[str, Any]:
    documentation = endpoint.documentation
    parameters: list[dict[str, Any]] = [
        {"name": path, "in": "path", "required": True, "schema": {"type": "string"}}
        for path in re.findall(r"{(\w+)}", endpoint.path)
    ]
    if documentation.get("paged"):
        parameters += PAGING
    if variants := documentation.get("variants"):
        schema = {"type": "string", "enum": list(variants), "default": variants[0]}
        parameters.append({"name": "variant", "in": "query", "schema": schema})
    failures = ALL | UPSTREAM
    if parameters or endpoint.counts:
        failures = failures | WRONG | ABSENT
    operation: dict[str, Any] = {"operationId": name, "summary": documentation["summary"], "description": text}
    if body := documentation.get("body"):
        operation["requestBody"] = _request(body, schemas)
        failures = failures | BODY
    if endpoint.counts == "make":
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}})
        failures = failures | MAKES
    operation["parameters"] = parameters
    operation["responses"] = {"302" if documentation.get("redirects") else "200": _success(documentation, schemas)}
    error = {"application/json": {"schema": {"$ref": REF.format(model="ErrorResponse")}}}
    operation["responses"] |= {
        str(status): {"description": text, "content": error} for status, text in sorted(failures.items())
    }
    return {key: value for key, value in operation.items() if value}


def _success(documentation: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if documentation.get("redirects"):
        location = {"Location": {"schema": {"type": "string", "format": "uri"}}}
        return {"description": "Where the file is, for an hour.", "headers": location}
    answer = documentation["answer"]
    _collect(answer, schemas)
    schema = {"$ref": REF.format(model=answer.__name__)}
    headers = {"headers": HEADERS[answer.__name__]} if answer.__name__ in HEADERS else {}
    return {"description": "Done.", **headers, "content": {"application/json": {"schema": schema}}}


def _request(body: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Build the request body: as JSON, where no field is a file, and as a form, where no field is null."""
    _collect(body, schemas)
    name = body.__name__
    whole = schemas[name]
    properties = whole["properties"]
    files = [field for field, schema in properties.items() if FILE in _ways(schema)]
    schemas[name] = {**whole, "properties": {field: _without(FILE, schema) for field, schema in properties.items()}}
    in_form = {**whole, "properties": {field: _without(NULL, schema) for field, schema in properties.items()}}
    form: dict[str, Any] = {"schema": {"$ref": REF.format(model=name)}}
    if in_form != schemas[name]:
        schemas[f"{name}Form"] = {**in_form, "title": f"{name}Form"}
        form["schema"] = {"$ref": REF.format(model=f"{name}Form")}
    if files:
        form["encoding"] = {field: {"contentType": ", ".join(FILE_TYPES[field])} for field in files}
    plain = {"schema": {"$ref": REF.format(model=name)}}
    return {"required": True, "content": {"application/json": plain, "multipart/form-data": form}}


def _ways(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alternative types of a field."""
    ways: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return ways


def _without(way: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field without one of its types."""
    if way not in _ways(schema):
        return schema
    ways = [one for one in _ways(schema) if one != way]
    rest = {key: value for key, value in schema.items() if key != "anyOf" and not (way == NULL and key == "default")}
    return {**rest, **ways[0]} if len(ways) == 1 else {**rest, "anyOf": ways}


def _collect(kind: Any, schemas: dict[str, Any]) -> None:
    schema = TypeAdapter(kind).json_schema(ref_template=REF, mode="validation")
    for name, found in [*schema.pop("$defs", {}).items(), (kind.__name__, schema)]:
        if schemas.setdefault(name, found) != found:
            raise ValueError(f"two different things are called {name}")


def document() -> str:
    """Return the text of the file."""
    return json.dumps(description(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    if not check:
        TARGET.write_text(document(), "utf-8")
    elif not TARGET.exists() or TARGET.read_text("utf-8") != document():
        print("docs/openapi.json is not what the functions say: run `make openapi`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

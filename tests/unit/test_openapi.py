"""docs/openapi.json describes what the functions do, in valid OpenAPI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from local.lambda_ import events
from scripts import openapi, translate

DOCUMENT: dict[str, Any] = json.loads(openapi.TARGET.read_text("utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
FORMS = {"CreateCharacterForm": "video", "CreateVideoForm": "input_reference"}
FORMS |= {"EditVideoForm": "video", "ExtendVideoForm": "video"}


def _json(file: Path) -> Any:
    """Return the JSON body of an event file, or None if the file expects no 200 or has no JSON body."""
    content = events.read(file)
    return content.get("request", {}).get("json") if content["expect"].get("status") == 200 else None


def test_the_document_is_what_the_functions_say() -> None:
    assert openapi.document() == openapi.TARGET.read_text("utf-8"), "run `make openapi`"


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_it_describes_every_route_of_the_template() -> None:
    routes = set()
    for resource in translate.source()["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            name = resource["Properties"]["CodeUri"].rpartition("/")[2]
            for event in resource["Properties"].get("Events", {}).values():
                if event["Type"] == "Api":
                    routes.add((name, event["Properties"]["Method"].lower(), event["Properties"]["Path"]))
    assert {(operation["operationId"], method, path) for path, method, operation in _operations()} == routes


def test_seconds_are_text_or_a_number_within_limits() -> None:
    seconds = SCHEMAS["ExtendVideo"]["properties"]["seconds"]
    for fine in ("8", 8, "9999", 1):
        assert OAS31Validator(seconds).is_valid(fine), fine
    for wrong in ("banana", "0", 0, "10000", 10000, 1.5, None):
        assert not OAS31Validator(seconds).is_valid(wrong), wrong


def test_no_word_of_pydantic_is_left_in_it() -> None:
    unknown = {"ge", "le", "gt", "lt", "multiple_of", "max_length", "min_length"}
    assert not unknown & {key for node in _objects(SCHEMAS) for key in node}


def test_files_come_in_forms_and_never_in_json() -> None:
    with_files = {name for name, schema in SCHEMAS.items() if any(node == openapi.FILE for node in _objects(schema))}
    assert with_files == set(FORMS)
    for _, _, operation in _operations():
        content = operation.get("requestBody", {}).get("content", {})
        if form := content.get("multipart/form-data"):
            name = form["schema"]["$ref"].rpartition("/")[2]
            assert form.get("encoding", {}).keys() == ({FORMS[name]} if name in FORMS else set())
            assert content["application/json"]["schema"]["$ref"].rpartition("/")[2] not in FORMS


def test_nothing_in_a_form_is_null_and_no_reference_has_two_ways() -> None:
    forms = [schema for name, schema in SCHEMAS.items() if name.endswith("Form")]
    assert len(forms) > len(FORMS)
    assert not [field for form in forms for field in form["properties"].values() if openapi.NULL in _objects(field)]
    reference = OAS31Validator({"$ref": "#/components/schemas/VideoReference", "components": DOCUMENT["components"]})
    for fine in ({"id": "x"}, {"upload_id": "x"}):
        assert reference.is_valid(fine), fine
    for wrong in ({}, {"id": "x", "upload_id": "y"}, {"id": ""}, {"other": "x"}):
        assert not reference.is_valid(wrong), wrong


def test_calls_that_make_something_take_an_idempotency_key() -> None:
    keyed = {
        operation["operationId"]
        for _, _, operation in _operations()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert keyed == {"create_character", "create_video", "edit_video", "extend_video", "remix_video"}


@pytest.mark.parametrize("file", [file for file in events.files() if _json(file)], ids=lambda file: file.stem)
def test_requests_that_succeed_are_as_described(file: Path) -> None:
    operation = next(one for _, _, one in _operations() if one["operationId"] == events.function_of(file))
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    validator = OAS31Validator({**schema, "components": DOCUMENT["components"]})
    assert [error.message for error in validator.iter_errors(_json(file))] == []


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a document, the document itself first."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _objects(child)

"""Every function alone: its built artifact under AWS's runtime client, with only the rights of its role."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from openapi_schema_validator import OAS31Validator

from local.lambda_ import events, functions, invoke
from local.lambda_.seed import Seeds
from local.settings import REGION, ROOT
from tests import rings

if TYPE_CHECKING:
    from tests.integration.live import Stack

OPENAPI: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))


def _refused(expect: dict[str, Any]) -> bool:
    """Return whether an event file expects a refusal of any kind."""
    answer, afterwards = expect.get("answer") or {}, expect.get("afterwards", {}).get("body", {})
    statement = answer.get("policyDocument", {}).get("Statement", [{}])[0]
    return (
        expect.get("status", 200) >= 400
        or "error" in expect
        or answer.get("ok") is False
        or bool(answer.get("batchItemFailures"))
        or statement.get("Effect") == "Deny"
        or afterwards.get("status") == "failed"
    )


def _first_of_each() -> Iterator[Path]:
    """Yield each function's success file and its first file that expects a refusal."""
    for name in functions.names():
        success, *others = events.files(name)
        yield success
        yield next(file for file in others if _refused(events.read(file)["expect"]))


# tests/unit checks the same code for what the other files expect; `make test-all` repeats that on the artifact.
@pytest.mark.parametrize("file", rings.inner(events.files(), [*_first_of_each()]), ids=lambda file: file.stem)
def test_the_function_answers_as_its_event_file_says(stack: Stack, file: Path) -> None:
    result = invoke.run(stack.settings, invoke.case(stack.settings, file))
    assert not result.differences, "\n".join([*result.differences, result.outcome.log])
    answer = result.outcome.result or {}
    if "statusCode" in answer:
        assert _undescribed(events.function_of(file), answer) == []


@pytest.mark.parametrize("name", functions.names())
def test_every_function_has_a_success_and_a_refusal(name: str) -> None:
    expected = {file.stem: events.read(file)["expect"] for file in events.files(name)}
    assert name in expected, f"events/{name}.json is missing"
    assert not _refused(expected.pop(name))
    assert any(_refused(one) for one in expected.values())


def test_every_event_file_is_of_a_function() -> None:
    assert {events.function_of(file) for file in events.files()} == set(functions.names())


def test_a_rendered_event_is_a_plain_one(stack: Stack, tmp_path: Path) -> None:
    rendered = _invoke(stack, "get_video", "--render")
    event = json.loads(rendered.stdout)
    assert event["pathParameters"]["video_id"].startswith("video_")
    assert event["requestContext"]["authorizer"]["team"] == "events"
    assert "${" not in rendered.stdout
    file = tmp_path / "event.json"
    file.write_text(rendered.stdout)
    again = _invoke(stack, "get_video", str(file))
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["statusCode"] == 200


def test_sam_s_own_s3_event_drives_ingest_upload(stack: Stack, tmp_path: Path) -> None:
    seeds = Seeds(stack.settings)
    landed = seeds.value("landed")
    command = [str(ROOT / ".venvs" / "sam" / "bin" / "sam"), "local", "generate-event", "s3", "put"]
    command += ["--bucket", seeds.value("bucket"), "--key", landed["key"], "--region", REGION]
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    generated = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    file = tmp_path / "put.json"
    file.write_text(generated.stdout)
    done = _invoke(stack, "ingest_upload", str(file), "--message")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"batchItemFailures": []}
    upload = seeds.call("GET", f"/videos/uploads/{landed['id']}")
    assert (upload["status"], upload["character"]["name"]) == ("completed", "Luna")


def test_an_answer_that_is_not_the_expected_one_fails(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "list_models.json"
    file.write_text(json.dumps({"request": {}, "expect": {"status": 200, "body": {"object": "banana"}}}))
    ran = _invoke(stack, "list_models", str(file))
    assert ran.returncode == 1
    assert 'body.object is "list" and not "banana"' in ran.stderr


def test_the_function_has_its_role_s_rights_only(stack: Stack) -> None:
    environment = functions.load(stack.settings, "list_characters").environment
    table = boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=stack.settings.aws_url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment["AWS_SESSION_TOKEN"],
    )
    row: Any = {"pk": {"S": "nothing"}, "sk": {"S": "here"}}
    assert "Item" not in table.get_item(TableName=environment["TABLE_NAME"], Key=row)
    with pytest.raises(ClientError, match="AccessDenied"):
        table.put_item(TableName=environment["TABLE_NAME"], Item=row)


def _undescribed(name: str, answer: dict[str, Any]) -> list[str]:
    """Return the differences between an HTTP function's answer and its description in docs/openapi.json."""
    operations = (operation for methods in OPENAPI["paths"].values() for operation in methods.values())
    responses = next(one["responses"] for one in operations if one["operationId"] == name)
    status = str(answer["statusCode"])
    if status not in responses:
        return [f"{status} is not described"]
    content = responses[status].get("content")
    if content is None:
        return []
    schema = {**content["application/json"]["schema"], "components": OPENAPI["components"]}
    return [error.message for error in OAS31Validator(schema).iter_errors(json.loads(answer["body"]))]


def _invoke(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PORT": str(stack.settings.port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "local.lambda_.invoke", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

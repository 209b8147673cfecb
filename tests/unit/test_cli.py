"""The command `understudy`: its account and region, and its error messages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from click.testing import CliRunner

from understudy_cli import aws_options, upload
from understudy_cli.main import main

NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", *aws_options.CREDENTIALS)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings with which the AWS SDK would be called; no call is made."""
    seen: dict[str, Any] = {}

    def outputs(stack: str, *needed: str) -> dict[str, str]:
        seen.update({name: os.environ.get(name) for name in NAMES}, stack=stack)
        raise ValueError("no further")

    for name in ("PORT", *NAMES):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(aws_options, "outputs", outputs)
    return seen


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.mark.parametrize(
    ("options", "environment", "region"),
    [
        ([], {}, None),
        ([], {"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        ([], {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-north-1"),
        ([], {"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        (["--region", "eu-west-1"], {"AWS_REGION": "eu-north-1"}, "eu-west-1"),
    ],
)
def test_the_region(place: dict[str, Any], options: list[str], environment: dict[str, str], region: str) -> None:
    run("keys", "list", *options, **environment)
    assert place["AWS_DEFAULT_REGION"] == region


def test_a_profile_prevails_over_credentials_in_the_environment(place: dict[str, Any]) -> None:
    given = {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other", "AWS_SESSION_TOKEN": "other"}
    run("keys", "list", "--profile", "studio", "--stack", "mine", **given)
    assert (place["AWS_PROFILE"], place["stack"]) == ("studio", "mine")
    assert [place[name] for name in aws_options.CREDENTIALS] == [None, None, None]


def test_the_local_stack(place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / ".local" / "5000" / "root.json"
    root.parent.mkdir(parents=True)
    root.write_text('{"id": "AKIAROOT", "secret": "s3cret"}')
    monkeypatch.chdir(tmp_path)
    run("keys", "list", "--local", PORT="5000", AWS_PROFILE="studio", AWS_REGION="eu-north-1", AWS_SESSION_TOKEN="x")
    assert place["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5001"
    assert place["AWS_DEFAULT_REGION"] == "us-east-1"
    assert (place["AWS_ACCESS_KEY_ID"], place["AWS_SECRET_ACCESS_KEY"]) == ("AKIAROOT", "s3cret")
    assert place["AWS_PROFILE"] is None
    assert place["AWS_SESSION_TOKEN"] is None


def test_without_a_local_stack_the_command_says_where_to_call_it(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("keys", "list", "--local", PORT="5000")
    assert ran.exit_code == 2
    assert "after `make up`" in ran.output
    assert place == {}


@pytest.mark.parametrize("options", [["--region", "eu-west-1"], ["--profile", "studio"]])
def test_the_local_stack_has_its_own_region_and_credentials(place: dict[str, Any], options: list[str]) -> None:
    ran = run("keys", "list", "--local", *options)
    assert ran.exit_code == 2
    assert "leave out --region and --profile" in ran.output
    assert place == {}


def test_a_stack_that_is_not_there_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in aws_options.CREDENTIALS[:2]:
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ran = run("redrive", "--stack", "nowhere", "--region", "us-east-1")
    assert ran.exit_code == 1
    assert ran.output.startswith("Error: Stack 'nowhere' was not found: ")
    assert "--stack, --region, --profile or --local" in ran.output
    assert "Traceback" not in ran.output


COMMANDS = [
    ["keys", "list"],
    ["keys", "create", "--team", "blue"],
    ["keys", "revoke", "0123"],
    ["keys", "rotate", "0123"],
    ["jobs", "show", "0123"],
    ["jobs", "open"],
    ["smoke", "--model", "sora-2", "--key", "us-x"],
    ["redrive"],
    ["storage"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_profile_that_does_not_exist_is_said_in_one_line(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # restores what the command sets
        monkeypatch.delenv(name)
    ran = run(*command, "--profile", "nobody", "--region", "us-east-1")
    assert ran.exit_code == 1
    assert ran.output == (
        "Error: The config profile (nobody) could not be found. "
        "Choose another with --profile, or add it to ~/.aws/config.\n"
    )


def test_every_command_of_operators_is_tried_with_such_a_profile() -> None:
    """`doctor` has a row for the profile in its table, and `upload` needs no AWS."""
    known = {
        f"{name} {below}".strip()
        for name, command in main.commands.items()
        for below in getattr(command, "commands", {"": None})
    }
    assert known - {"doctor", "upload"} == {" ".join(one[: 2 if one[0] in {"keys", "jobs"} else 1]) for one in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_stack_that_is_not_understudys_is_said_in_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class CloudFormation:
        def describe_stacks(self, StackName: str) -> dict[str, Any]:
            return {"Stacks": [{"Outputs": [{"OutputKey": "Site", "OutputValue": "x"}]}]}

    monkeypatch.setattr(aws_options.boto3, "client", lambda service: CloudFormation())
    ran = run(*command)
    assert ran.exit_code == 1
    assert ran.output.startswith("Error: Stack 'understudy' lacks outputs: ")
    assert ran.output.endswith("Deploy this version of the template, or choose Understudy's stack with --stack.\n")


def test_dead_letters_go_back_to_the_queue_of_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []

    class Sqs:
        def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
            assert QueueUrl == "the queue"
            return {"Attributes": {"QueueArn": "arn:dead", "ApproximateNumberOfMessages": "2"}}

        def start_message_move_task(self, SourceArn: str) -> None:
            moved.append(SourceArn)

    monkeypatch.setattr(aws_options, "outputs", lambda stack, *needed: {"DeadLettersUrl": "the queue"})
    monkeypatch.setattr(boto3, "client", lambda service: {"sqs": Sqs()}[service])
    ran = run("redrive")
    assert (ran.exit_code, ran.output) == (0, "2 dead letters go back to the queue of uploads.\n")
    assert moved == ["arn:dead"]


def test_keys_are_listed_as_lines_without_a_terminal(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy_cli import keys

    row = {"key_id": "0123", "created_at": 0, "team": "blue", "scopes": [], "models": ["a", "b"], "budget": 2_500_000}
    monkeypatch.setattr(aws_options, "use_table", lambda stack: None)
    monkeypatch.setattr(keys.api_keys, "every", lambda: iter([row, {**row, "team": "red", "revoked_at": 1}]))
    ran = run("keys", "list", "--team", "blue")
    assert ran.output == "0123\t1970-01-01\tworks\tblue\t-\t-\t$2.50\ta,b\t-\n"
    assert run("keys", "list").output.splitlines()[1].split("\t")[2:4] == ["revoked", "red"]


def test_an_upload_needs_a_key_and_a_file(tmp_path: Path) -> None:
    clip = tmp_path / "luna.mp4"
    ran = run("upload", str(clip), UNDERSTUDY_API_KEY="us-x")
    assert (ran.exit_code, "does not exist" in ran.output) == (2, True)
    clip.write_bytes(b"clip")
    ran = run("upload", str(clip))
    assert (ran.exit_code, "UNDERSTUDY_API_KEY" in ran.output) == (2, True)


def test_what_the_gateway_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "luna.mp4"
    clip.write_bytes(b"clip")
    body = json.dumps({"error": {"message": "This API key is no longer valid."}}).encode()
    transport = httpx.MockTransport(lambda request: httpx.Response(401, content=body))
    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **given: real(**given, transport=transport))
    ran = run("upload", str(clip), UNDERSTUDY_API_KEY="us-x")
    assert (ran.exit_code, ran.output) == (1, "Error: 401: This API key is no longer valid.\n")


@pytest.mark.parametrize("status", [307, 403])
def test_bytes_that_the_bucket_did_not_take_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A new bucket answers 307 for a while. Nobody follows it, because the form has been read already."""
    clip = tmp_path / "luna.mp4"
    clip.write_bytes(b"clip")
    monkeypatch.setattr(httpx, "post", lambda *_, **__: httpx.Response(status, text="<Error/>"))
    how = {"url": "https://bucket.example/", "fields": {"key": "uploads/blue/1"}}
    bar = upload.Bar("luna.mp4", 4)
    with pytest.raises(RuntimeError, match=f"The bucket refused the upload \\({status}\\): <Error/>"):
        upload.send_form(how, clip, "video/mp4", bar)
    bar.close()


def test_a_gateway_that_redirects_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(308, headers={"location": "https://x.example/v1"}))
    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **given: real(**given, transport=transport))
    with pytest.raises(RuntimeError, match="308: "):
        upload.Api("http://gateway.example/v1", "us-x").call("GET", "/videos/uploads/1")


def test_the_command_is_installed() -> None:
    """The package has what `uv tool install .` needs: an entry point and the command's dependencies."""
    from importlib.metadata import distribution

    understudy = distribution("understudy")
    assert [point.value for point in understudy.entry_points] == ["understudy_cli.main:main"]
    assert {"boto3", "click", "httpx", "rich"} == set(understudy.requires or ())
    assert boto3 is not None

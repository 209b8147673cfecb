"""Every loaded module adds to a function's cold start, so a new library must not arrive unnoticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import modules

FILE = Path(__file__).parents[1] / "expected_modules.json"
EXPECTED: dict[str, dict[str, Any]] = json.loads(FILE.read_text("utf-8"))

AWS_SDK = {"boto3", "botocore"}
# Functions that call providers need httpx, functions that read a body need pydantic.
HTTP_CLIENT, BODY_PARSER = {"httpx"}, {"pydantic"}
BODILESS = {
    *("authorizer", "get_character", "list_characters", "delete_character"),
    *("get_video", "list_videos", "delete_video", "get_content"),
    *("get_upload", "cancel_upload", "complete_upload"),
}
UPLOADS = {"create_upload", "sign_parts"}
SEALED = {"inspect_clip", "stitch_clips"}


@pytest.mark.parametrize("name", modules.functions())
def test_a_function_loads_what_is_expected(name: str) -> None:
    """A function loads exactly the expected modules.

    If the expectation has changed, run `python -m tests.fakes.modules > tests/expected_modules.json` and check the
    diff.
    """
    assert modules.observe_alone(name) == EXPECTED[name]


def test_list_models_needs_no_aws_no_client_and_no_parser() -> None:
    assert EXPECTED["list_models"]["said"] == 200
    assert not _loaded("list_models") & (AWS_SDK | HTTP_CLIENT | BODY_PARSER)


@pytest.mark.parametrize("name", sorted(BODILESS))
def test_functions_of_the_table_only_need_no_client_and_no_parser(name: str) -> None:
    assert "botocore" in _loaded(name), "the answer did not come as far as the table"
    assert not _loaded(name) & (HTTP_CLIENT | BODY_PARSER)


def test_an_id_of_a_providers_is_looked_up_without_client_and_parser() -> None:
    """Only a question to a provider about a character needs httpx, and nothing here needs pydantic."""
    code = "import sys; from understudy.api import lookup, raw_ids; print([*{'httpx', 'pydantic'} & {*sys.modules}])"
    layer = {"PYTHONPATH": str(FILE.parents[1] / "layers" / "understudy")}
    ran = subprocess.run([sys.executable, "-c", code], env=layer, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_what_reads_a_video_knows_of_no_provider_and_of_nothing_else_that_is_owned() -> None:
    """Importing these modules' dataclasses would take half as long as an empty function's start."""
    code = "import sys; from understudy.api import lookup, responses; print(*sorted(sys.modules))"
    layer = {"PYTHONPATH": str(FILE.parents[1] / "layers" / "understudy")}
    ran = subprocess.run([sys.executable, "-c", code], env=layer, capture_output=True, text=True, check=True)
    parts = ("deployments.config", "deployments.routing", "providers", "characters", "files")
    assert not {f"understudy.{part}" for part in parts} & {*ran.stdout.split()}


@pytest.mark.parametrize("name", sorted(UPLOADS))
def test_uploads_talk_to_no_provider(name: str) -> None:
    assert not _loaded(name) & HTTP_CLIENT


@pytest.mark.parametrize("name", sorted(SEALED))
def test_the_sealed_functions_have_only_media_and_the_sdk(name: str) -> None:
    assert "av" in _loaded(name)
    assert not _loaded(name) & (HTTP_CLIENT | BODY_PARSER)


def test_media_is_opened_nowhere_else() -> None:
    assert {name for name in EXPECTED if "av" in _loaded(name)} == SEALED


def test_clients_of_aws_are_made_on_first_use() -> None:
    assert not [name for name, loaded in EXPECTED.items() if AWS_SDK & set(loaded["import"])]


def _loaded(name: str) -> set[str]:
    return {*EXPECTED[name]["import"], *EXPECTED[name]["answer"]}

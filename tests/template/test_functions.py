"""What every function has, and what only some functions may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.conftest import Resources, of_type

ROOT = Path(__file__).parents[2]
API = {
    "create_character",
    "get_character",
    "list_characters",
    "delete_character",
    "create_video",
    "get_video",
    "list_videos",
    "delete_video",
    "get_content",
    "remix_video",
    "edit_video",
    "extend_video",
    "list_models",
    "create_upload",
    "get_upload",
    "cancel_upload",
    "sign_parts",
    "complete_upload",
}
SEALED = {"inspect_clip", "stitch_clips"}
BEHIND = {"authorizer", "run_job", "sweep_jobs", "ingest_upload"} | SEALED


def test_all_functions_are_there(functions: Resources) -> None:
    assert set(functions) == API | BEHIND
    assert {app.parent.name for app in (ROOT / "functions").glob("*/app.py")} == set(functions)


def test_every_function_is_a_folder_with_a_handler(functions: Resources) -> None:
    for name, function in functions.items():
        assert function["Code"]["S3Key"].endswith(f"functions/{name}")
        assert "def handler(" in (ROOT / "functions" / name / "app.py").read_text()
        assert function["Handler"] == "app.handler"


def test_every_function_says_how_long_and_how_much(functions: Resources) -> None:
    for name, function in functions.items():
        assert 1 <= function["Timeout"] <= 300, name
        assert function["MemorySize"] >= 512, name
        assert function["TracingConfig"] == {"Mode": "Active"}, name
        assert function["Runtime"] == {"Ref": "PythonRuntime"}, name
        assert function["Architectures"] == [{"Ref": "Arch"}], name


def test_functions_of_the_api_answer_before_the_gateway_gives_up(functions: Resources) -> None:
    assert {functions[name]["Timeout"] for name in API} == {28}
    assert functions["authorizer"]["Timeout"] < 28


def test_every_function_logs_json_into_a_group_that_forgets(functions: Resources, resources: Resources) -> None:
    for function in functions.values():
        logging = dict(function["LoggingConfig"])
        assert (logging["LogGroup"], logging["LogFormat"]) == ({"Ref": "Logs"}, "JSON")
    assert resources["Logs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetention"}


def test_the_log_level_is_lambdas(functions: Resources, template: Resources) -> None:
    """With JSON, Lambda gives the functions AWS_LAMBDA_LOG_LEVEL, and Powertools obeys that one (3.37, logger.py)."""
    for function in functions.values():
        level = function["LoggingConfig"]["ApplicationLogLevel"]
        assert level == {"Fn::FindInMap": ["LogLevels", {"Ref": "LogLevel"}, "Lambda"]}
    lambdas = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
    levels = template["Mappings"]["LogLevels"]
    assert set(levels) == set(template["Parameters"]["LogLevel"]["AllowedValues"])
    assert {level["Lambda"] for level in levels.values()} <= lambdas


def test_every_function_has_a_role_of_its_own(functions: Resources) -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert len(set(roles)) == len(functions)


def test_every_function_gets_the_agreed_environment(functions: Resources) -> None:
    agreed = {
        "TABLE_NAME",
        "BUCKET_NAME",
        "JOB_MACHINE",
        "UPLOAD_QUEUE_URL",
        "ID_SECRET",
        "INSPECT_FUNCTION",
        "STITCH_FUNCTION",
        "MAX_CHARACTERS",
        "MAX_UPLOADS",
        "MAX_STORAGE",
        "ALLOWED_ORIGIN",
        "ALLOW_PRIVATE_NETWORKS",
        "AWS_ENDPOINT_URL",
        "LOG_LEVEL",
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
    }
    for name, function in functions.items():
        assert set(function["Environment"]["Variables"]) == agreed, name


def test_no_environment_resolves_a_secret(functions: Resources) -> None:
    assert "{{resolve:" not in repr(functions)


def test_the_names_in_the_environment_are_the_names_of_the_functions(functions: Resources) -> None:
    variables = functions["run_job"]["Environment"]["Variables"]
    assert variables["INSPECT_FUNCTION"] == functions["inspect_clip"]["FunctionName"]
    assert variables["STITCH_FUNCTION"] == functions["stitch_clips"]["FunctionName"]


def test_what_is_relaxed_locally_is_strict_by_default(functions: Resources, template: Resources) -> None:
    for function in functions.values():
        variables = function["Environment"]["Variables"]
        assert variables["ALLOW_PRIVATE_NETWORKS"] == {"Fn::If": ["IsLocal", "1", ""]}
        assert variables["AWS_ENDPOINT_URL"] == {"Ref": "LocalEndpoint"}
    assert template["Parameters"]["LocalEndpoint"]["Default"] == ""
    assert template["Conditions"]["IsLocal"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "LocalEndpoint"}, ""]}]}


def _layers(function: dict[str, object]) -> set[str]:
    return {str(layer["Ref"])[:-10] for layer in function["Layers"]}  # type: ignore[attr-defined]


def test_only_the_sealed_functions_carry_the_media_layer_and_nothing_else(functions: Resources) -> None:
    for name, function in functions.items():
        assert _layers(function) == {"MediaLayer" if name in SEALED else "UnderstudyLayer"}, name


@pytest.mark.parametrize("name", sorted(SEALED))
def test_sealed_functions_are_bounded(functions: Resources, name: str) -> None:
    assert functions[name]["Timeout"] <= 120
    reserved = functions[name]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["ReservesMedia", {"Ref": "MediaConcurrency"}, {"Ref": "AWS::NoValue"}]}


def test_the_worker_takes_one_message_and_reports_a_failed_one(resources: Resources) -> None:
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    queues = {mapping["FunctionName"]["Ref"]: mapping["EventSourceArn"]["Fn::GetAtt"][0] for mapping in mappings}
    assert queues == {"IngestUploadFunction": "UploadQueue"}
    for mapping in mappings:
        assert mapping["BatchSize"] == 1
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

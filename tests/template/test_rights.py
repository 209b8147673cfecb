"""Least privilege: named actions on named resources, and every right is used by a function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.template.conftest import Resources, of_type, rights

# What SAM adds to every role so that it can write logs and traces and read its queue; the boundary narrows them.
ADDED_BY_SAM = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "AWSLambdaSQSQueueExecutionRole"}
CALLS_PROVIDERS = {
    "create_character",
    "get_character",  # of one that a caller brings by the provider's id
    "delete_character",  # the same
    "create_video",
    "edit_video",
    "extend_video",
    "remix_video",
    "run_job",
    "ingest_upload",
}
DECODES_NO_ID = {"authorizer", "list_models", "inspect_clip", "stitch_clips"}


def _statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, policy in of_type(resources, "AWS::IAM::ManagedPolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_actions_are_named(resources: Resources) -> None:
    for name, statement in _statements(resources):
        assert "NotAction" not in statement and "NotResource" not in statement, name
        for action in _list(statement["Action"]):
            assert "*" not in action, f"{name}: {action}"


def test_resources_are_named(resources: Resources) -> None:
    for name, statement in _statements(resources):
        wild = [resource for resource in _list(statement["Resource"]) if resource == "*"]
        # X-Ray has no resource-level permissions.
        assert not wild or all(a.startswith("xray:") for a in _list(statement["Action"])), f"{name}: {statement}"


def test_every_role_is_fenced(roles: Resources) -> None:
    for name, role in roles.items():
        assert role["PermissionsBoundary"] == {"Ref": "Boundary"}, name


def test_every_right_lies_within_the_fence(resources: Resources) -> None:
    fence = resources["Boundary"]["Properties"]["PolicyDocument"]["Statement"]
    fenced = {action for statement in fence for action in _list(statement["Action"])}
    for name, statement in _statements(resources):
        assert set(_list(statement["Action"])) <= fenced, name


def test_roles_hold_our_policies_and_what_sam_adds(roles: Resources) -> None:
    for name, role in roles.items():
        for arn in role["ManagedPolicyArns"]:
            if isinstance(arn, dict) and "Ref" in arn:
                assert arn["Ref"].startswith("Can"), name
            else:
                assert arn.rpartition("/")[2] in ADDED_BY_SAM, f"{name}: {arn}"


def test_only_lambda_takes_the_roles(roles: Resources) -> None:
    for role in roles.values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": ["lambda.amazonaws.com"]}


def test_only_who_calls_providers_reads_their_credentials(roles: Resources) -> None:
    assert {name for name, role in roles.items() if "CanReadProviderSecrets" in rights(role)} == CALLS_PROVIDERS


def test_only_who_decodes_ids_reads_the_secret_behind_them(roles: Resources) -> None:
    for name, role in roles.items():
        assert ("CanReadIdSecret" in rights(role)) != (name in DECODES_NO_ID), name


@pytest.mark.parametrize("name", ["inspect_clip", "stitch_clips"])
def test_who_opens_media_reaches_one_prefix_of_the_bucket_and_nothing_else(
    roles: Resources, resources: Resources, name: str
) -> None:
    assert rights(roles[name]) == {"CanUseMedia"}
    (statement,) = resources["CanUseMedia"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == {"Fn::Sub": "${Bucket.Arn}/media/*"}


def test_a_function_that_needs_nothing_has_nothing(roles: Resources) -> None:
    assert rights(roles["list_models"]) == set()


def test_readers_cannot_write(roles: Resources) -> None:
    for name in ("authorizer", "list_characters", "list_videos", "get_upload"):
        assert rights(roles[name]) <= {"CanReadTable", "CanReadIdSecret"}, name


def test_what_adopts_writes_no_key(resources: Resources) -> None:
    """The right to adopt a caller's id only writes the partitions for that, and no API key."""
    (statement,) = resources["CanAdopt"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "dynamodb:PutItem"
    assert statement["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["team#*", "upstream#*"]}}


def test_every_right_is_used_by_somebody(roles: Resources, resources: Resources) -> None:
    declared = set(of_type(resources, "AWS::IAM::ManagedPolicy")) - {"Boundary"}
    assert declared == set().union(*(rights(role) for role in roles.values()))

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
    assert {name for name, role in roles.items() if "CanReadSecrets" in rights(role)} == CALLS_PROVIDERS


def test_only_who_decodes_ids_reads_the_secret_behind_them(roles: Resources) -> None:
    for name, role in roles.items():
        assert bool(rights(role) & {"CanReadIdSecret", "CanReadSecrets"}) != (name in DECODES_NO_ID), name


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
    assert rights(roles["authorizer"]) == {"CanReadKeys"}
    for name in ("list_characters", "list_videos", "get_upload"):
        assert rights(roles[name]) <= {"CanReadTable", "CanReadIdSecret"}, name


def test_what_adopts_writes_no_key(resources: Resources) -> None:
    """The right to adopt a caller's id only writes the partitions for that, and no API key."""
    (statement,) = resources["CanAdopt"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    assert statement["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["team#*", "upstream#*"]}}


def test_no_function_makes_a_key_or_changes_what_a_key_may_do(resources: Resources) -> None:
    """Every write names the partitions that it may reach, and of a key's rows only counters, slots and budgets."""
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
    facts = {"team", "models", "scopes", "make_limit", "concurrent", "budget", "payer", "hash", "created_at"}
    for name, statement in _statements(resources):
        if name == "Boundary" or not writes & set(_list(statement["Action"])):
            continue
        condition = statement["Condition"]["ForAllValues:StringLike"]
        if "key#*" in condition["dynamodb:LeadingKeys"]:
            assert condition["dynamodb:LeadingKeys"] == ["key#*"], name
            assert statement["Action"] == "dynamodb:UpdateItem", name
            assert not facts & set(condition["dynamodb:Attributes"]), name
        else:
            assert set(condition["dynamodb:LeadingKeys"]) <= {"team#*", "upstream#*", "circuit"}, name


def test_the_authorizer_reads_keys_and_nothing_else(resources: Resources) -> None:
    (statement,) = resources["CanReadKeys"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "dynamodb:GetItem"
    assert statement["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["key#*"]}}


def test_no_role_has_more_policies_than_iam_takes(roles: Resources) -> None:
    """IAM's quota is 10 managed policies a role (IAM's page of quotas, 2026-11). Two are kept free."""
    count = {name: len(role["ManagedPolicyArns"]) for name, role in roles.items()}
    assert max(count.values()) <= 8, count


def test_lambda_takes_no_chain_of_messages_for_a_loop(roles: Resources, resources: Resources) -> None:
    """Lambda stops a function that sends messages to the queue that invokes it, after 16, unless it is told not to."""
    sends = {
        name: {target["Fn::GetAtt"][0] for target in map(dict, _list(statement["Resource"])) if "Fn::GetAtt" in target}
        for name, statement in _statements(resources)
        if "sqs:SendMessage" in _list(statement["Action"])
    }
    for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        function = resources[mapping["FunctionName"]["Ref"]]["Properties"]
        role = function["Role"]["Fn::GetAtt"][0]
        reached = set().union(*(sends.get(right, set()) for right in rights(resources[role]["Properties"])))
        if mapping["EventSourceArn"]["Fn::GetAtt"][0] in reached:
            assert function["RecursiveLoop"] == "Allow", mapping["FunctionName"]


def test_two_stacks_in_one_account_read_their_own_secrets(resources: Resources) -> None:
    named = [
        resource["Fn::Sub"]
        for _, statement in _statements(resources)
        for resource in _list(statement["Resource"])
        if isinstance(resource, dict) and any(kind in str(resource) for kind in (":secret:", ":parameter"))
        if "Fn::Sub" in resource
    ]
    assert named
    for arn in named:
        assert "${AWS::StackName}/" in arn or "${IdSecret}" in arn, arn


def test_every_right_is_used_by_somebody(roles: Resources, resources: Resources) -> None:
    declared = set(of_type(resources, "AWS::IAM::ManagedPolicy")) - {"Boundary"}
    assert declared == set().union(*(rights(role) for role in roles.values()))

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
DECODES_NO_ID = {"authorizer", "list_models", "sweep_jobs", "inspect_clip", "stitch_clips"}


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


def test_every_role_is_fenced(resources: Resources, roles: Resources) -> None:
    found = of_type(resources, "AWS::IAM::Role")
    assert len(found) == len(roles) + 1  # the state machine's
    for name, role in found.items():
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


def test_only_lambda_takes_the_roles_of_functions(roles: Resources) -> None:
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


def test_no_function_makes_a_loop_that_lambda_would_stop(
    functions: Resources, roles: Resources, resources: Resources
) -> None:
    """Lambda stops a loop after 16 calls if it goes through calls of functions, SQS, SNS or S3.

    A job is a loop through Step Functions, which Lambda does not count (AWS's page "Use Lambda recursive loop
    detection", 2026-11).
    """
    invoked = _invoked_by_queues(resources)
    chains = {
        name: {invoked[queue] for queue in _queues(rights(roles[name]), resources) if queue in invoked}
        | _called(rights(roles[name]), resources)
        for name in functions
    }
    assert chains["complete_upload"] == {"IngestUploadFunction"}  # by way of the bucket
    assert chains["run_job"] == {"InspectClipFunction", "StitchClipsFunction"}
    ids = {function: f"{''.join(word.capitalize() for word in function.split('_'))}Function" for function in functions}
    left = {ids[name]: ahead for name, ahead in chains.items()}
    while ends := {name for name, ahead in left.items() if not ahead & set(left)}:
        left = {name: ahead for name, ahead in left.items() if name not in ends}
    assert left == {}, "a loop"
    assert "RecursiveLoop" not in repr(resources)


def _invoked_by_queues(resources: Resources) -> dict[str, str]:
    """Return the function that each queue invokes."""
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    return {mapping["EventSourceArn"]["Fn::GetAtt"][0]: mapping["FunctionName"]["Ref"] for mapping in mappings}


def _queues(policies: set[str], resources: Resources) -> set[str]:
    """Return the queues that get a message if a function with these policies sends one or writes an object."""
    told = resources["Bucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    found = set()
    for resource in _resources(policies, {"sqs:SendMessage", "s3:PutObject"}, resources):
        if "Fn::GetAtt" in resource:
            found.add(resource["Fn::GetAtt"][0])
            continue
        written = resource["Fn::Sub"].removeprefix("${Bucket.Arn}/").rstrip("*")
        for one in told:
            (rule,) = one["Filter"]["S3Key"]["Rules"]
            if written.startswith(rule["Value"]) or rule["Value"].startswith(written):
                found.add(one["Queue"]["Fn::GetAtt"][0])
    return found


def _called(policies: set[str], resources: Resources) -> set[str]:
    """Return the functions that a function with these policies may call."""
    return {one["Fn::GetAtt"][0] for one in _resources(policies, {"lambda:InvokeFunction"}, resources)}


def _resources(policies: set[str], actions: set[str], resources: Resources) -> list[dict[str, Any]]:
    return [
        resource
        for name, statement in _statements(resources)
        if name in policies and actions & set(_list(statement["Action"]))
        for resource in _list(statement["Resource"])
    ]


def test_nobody_sends_to_a_queue_but_s3(resources: Resources) -> None:
    for name, statement in _statements(resources):
        assert "sqs:SendMessage" not in _list(statement["Action"]), name


def test_only_these_may_invoke_a_function_from_outside(resources: Resources) -> None:
    """API Gateway may call the aliases, and the rules of this stack may call sweep_jobs."""
    for name, permission in of_type(resources, "AWS::Lambda::Permission").items():
        principal, source = permission["Principal"], permission["SourceArn"]
        if principal == "events.amazonaws.com":
            assert permission["FunctionName"] == {"Ref": "SweepJobsFunction"}, name
            assert source["Fn::GetAtt"][0] in of_type(resources, "AWS::Events::Rule"), name
        else:
            assert principal == "apigateway.amazonaws.com", name
            assert permission["FunctionName"]["Ref"] in of_type(resources, "AWS::Lambda::Alias"), name


def test_no_execution_is_stopped_and_no_machine_is_changed_by_a_role_of_this_stack(resources: Resources) -> None:
    allowed = {action for _, statement in _statements(resources) for action in _list(statement["Action"])}
    assert {action for action in allowed if action.startswith("states:")} == {
        "states:StartExecution",
        "states:DescribeExecution",
    }


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


def test_every_right_is_used_by_somebody(resources: Resources) -> None:
    declared = set(of_type(resources, "AWS::IAM::ManagedPolicy")) - {"Boundary"}
    assert declared == set().union(*(rights(role) for role in of_type(resources, "AWS::IAM::Role").values()))


def test_only_who_takes_uploads_deletes_for_good_and_no_character_or_video(
    roles: Resources, resources: Resources
) -> None:
    """Every other deletion leaves an old version, from which an operator can restore the object for some days."""
    found = [
        (name, resource["Fn::Sub"])
        for name, statement in _statements(resources)
        for resource in _list(statement["Resource"])
        if "s3:DeleteObjectVersion" in _list(statement["Action"]) and name != "Boundary"
    ]
    assert found == [("CanTakeUploads", "${Bucket.Arn}/uploads/*"), ("CanTakeUploads", "${Bucket.Arn}/media/inputs/*")]
    assert {name for name, role in roles.items() if "CanTakeUploads" in rights(role)} == {"ingest_upload"}


def test_who_may_leave_objects_of_characters_behind_can_delete_them(roles: Resources) -> None:
    """A maker deletes what it could not finish, and the sweep what dead makers have left."""
    deleting = {name for name, role in roles.items() if rights(role) & {"CanDeleteCharacters", "CanTakeUploads"}}
    assert deleting == {"create_character", "delete_character", "ingest_upload", "sweep_jobs"}

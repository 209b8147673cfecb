"""Versions and the alias that callers use: a change of a function makes a new version, which then answers."""

from __future__ import annotations

import copy
from typing import Any

from samtranslator.translator.transform import transform

from bench.cost import WITHOUT_SNAPSTART
from scripts import translate
from tests.template.conftest import Resources, of_type
from tests.template.test_functions import API

ALIASED = API | {"authorizer"}


def _translate(template: Resources) -> Resources:
    return dict(transform(copy.deepcopy(template), {}, translate.NoManagedPolicies())["Resources"])


def _packed(template: Resources) -> Resources:
    """Return the template as `sam package` passes it on."""
    packed = copy.deepcopy(template)
    for name, resource in packed["Resources"].items():
        for field in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
            resource["Properties"][field] = f"s3://bucket/{name}"
    return packed


def _versions(resources: Resources) -> dict[str, Any]:
    """Return the logical id and the properties of each function's version.

    CloudFormation makes a new version if one of the two changes.
    """
    versions = of_type(resources, "AWS::Lambda::Version")
    return {version["FunctionName"]["Ref"]: (name, version) for name, version in versions.items()}


def _name(function: str, resources: Resources) -> str:
    name: str = resources[function]["Properties"]["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
    return name.replace("-", "_")


def test_what_a_caller_waits_for_has_an_alias_and_nothing_else(resources: Resources) -> None:
    aliases = of_type(resources, "AWS::Lambda::Alias").values()
    assert {_name(alias["FunctionName"]["Ref"], resources) for alias in aliases} == ALIASED
    assert {alias["Name"] for alias in aliases} == {"live"}


def test_only_these_may_have_a_snapshot_and_by_default_none(resources: Resources, template: Resources) -> None:
    for function in of_type(resources, "AWS::Lambda::Function").values():
        name = function["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-").replace("-", "_")
        assert function.get("SnapStart") == ({"ApplyOn": {"Ref": "SnapStart"}} if name in ALIASED else None), name
    assert template["Parameters"]["SnapStart"]["Default"] == "None"


def test_the_api_calls_aliases_and_may(resources: Resources) -> None:
    (api,) = of_type(resources, "AWS::ApiGateway::RestApi").values()
    called = {
        operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        for path in api["Body"]["paths"].values()
        for method, operation in path.items()
        if method != "options"
    }
    assert len(called) == len(API)
    assert all("FunctionAliaslive}/invocations" in uri for uri in called), called
    scheme = api["Body"]["components"]["securitySchemes"]["KeyAuthorizer"]["x-amazon-apigateway-authorizer"]
    assert scheme["authorizerUri"]["Fn::Sub"][1] == {"__FunctionArn__": {"Ref": "AuthorizerFunctionAliaslive"}}
    permissions = of_type(resources, "AWS::Lambda::Permission").values()
    permitted = {one["FunctionName"]["Ref"] for one in permissions if one["Principal"] == "apigateway.amazonaws.com"}
    assert permitted == set(of_type(resources, "AWS::Lambda::Alias"))


def test_a_version_that_is_not_the_last_one_goes(resources: Resources) -> None:
    versions = [one for one in resources.values() if one["Type"] == "AWS::Lambda::Version"]
    assert len(versions) == len(ALIASED)
    assert {one["DeletionPolicy"] for one in versions} == {"Delete"}


def test_a_changed_layer_makes_new_versions(template: Resources) -> None:
    packed = _packed(template)
    before = _versions(_translate(packed))
    packed["Resources"]["UnderstudyLayer"]["Properties"]["ContentUri"] = "s3://bucket/another"
    after = _versions(_translate(packed))
    assert all(after[function] != version for function, version in before.items())


def test_changed_properties_make_a_new_version_of_the_function(template: Resources) -> None:
    for field, value in {"Timeout": 27, "CodeUri": "s3://bucket/another", "MemorySize": 1024}.items():
        packed = _packed(template)
        before = _versions(_translate(packed))
        packed["Resources"]["GetVideoFunction"]["Properties"][field] = value
        after = _versions(_translate(packed))
        assert {name for name in after if after[name] != before[name]} == {"GetVideoFunction"}, field


def test_parameters_that_a_function_sees_make_a_new_version(resources: Resources, template: Resources) -> None:
    """The versions' description contains every parameter that a function sees.

    SAM ignores the values of parameters (aws/serverless-application-model#3820). CloudFormation replaces a version
    whose description changes.
    """
    seen = _parameters(of_type(resources, "AWS::Lambda::Function"), template)
    assert "SnapStart" in seen
    for version in of_type(resources, "AWS::Lambda::Version").values():
        described = version["Description"]["Fn::Sub"]
        assert {name for name in template["Parameters"] if f"${{{name}}}" in described} == seen


def test_the_longest_description_is_not_too_long(resources: Resources, template: Resources) -> None:
    """The description has at most 256 characters, which is Lambda's limit."""
    (described,) = {one["Description"]["Fn::Sub"] for one in of_type(resources, "AWS::Lambda::Version").values()}
    values = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()}
    values |= {
        "SnapStart": "PublishedVersions",
        "AllowedOrigin": "o" * template["Parameters"]["AllowedOrigin"]["MaxLength"],
    }
    layer = "arn:aws-us-gov:lambda:ap-southeast-2:123456789012:layer:UnderstudyLayer0123456789:1000"
    for name, value in values.items():
        described = described.replace(f"${{{name}}}", value)
    (name,) = {name for name in of_type(resources, "AWS::Lambda::LayerVersion") if name.startswith("Understudy")}
    assert len(described.replace(f"${{{name}}}", layer)) <= 256


def _parameters(functions: Resources, template: Resources) -> set[str]:
    """Return the parameters that the functions with an alias refer to, including those of the condition IsLocal."""
    text = repr([one for one in functions.values() if "SnapStart" in one]) + repr(template["Conditions"]["IsLocal"])
    return {name for name in template["Parameters"] if f"{{'Ref': '{name}'}}" in text}


def test_the_cost_model_knows_which_functions_have_snapshots(functions: Resources) -> None:
    assert set(functions) - ALIASED == WITHOUT_SNAPSTART

"""The template, as written and as CloudFormation gets it."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import translate

Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    return translate.source()


@pytest.fixture(scope="session")
def resources() -> Resources:
    """Every resource of the translated template, by logical id."""
    return dict(translate.translated()["Resources"])


@pytest.fixture(scope="session")
def functions(resources: Resources) -> Resources:
    """The properties of every function, by the name of its folder."""
    found = {}
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::Function":
            name = resource["Properties"]["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
            found[name.replace("-", "_")] = resource["Properties"]
    return found


@pytest.fixture(scope="session")
def roles(resources: Resources, functions: Resources) -> Resources:
    """The properties of every function's role, by the name of the function's folder."""
    return {name: resources[function["Role"]["Fn::GetAtt"][0]]["Properties"] for name, function in functions.items()}


def of_type(resources: Resources, kind: str) -> Resources:
    """Return the properties of all resources of a type, by logical id."""
    return {name: r.get("Properties", {}) for name, r in resources.items() if r["Type"] == kind}


def rights(role: dict[str, Any]) -> set[str]:
    """Return the rights of a role: the names of this template's policies that the role has."""
    return {arn["Ref"] for arn in role["ManagedPolicyArns"] if isinstance(arn, dict) and "Ref" in arn}

"""The functions of a running local stack: their builds by `sam build` and their deployed configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.lambda_.runtime import Function
from local.settings import REGION, ROOT, STACK, Settings


class NoSuchFunction(Exception):
    """The stack has no such function; the message lists the functions."""


@dataclass(frozen=True)
class Route:
    """The route of a function in the API; `path` is the path in the template, without the stage."""

    method: str
    path: str


def names() -> list[str]:
    """Return the names of all functions, which are the names of their folders."""
    return sorted(file.parent.name for file in (ROOT / "functions").glob("*/app.py"))


def load(settings: Settings, name: str) -> Function:
    """Return a function to run here: its built code and layers, its deployed environment, its role's credentials.

    A call that the role may not make in the cloud fails here as well. Raises NoSuchFunction.
    """
    properties = _properties(settings, name)
    deployed = settings.client("lambda").get_function_configuration(FunctionName=deployed_name(name))
    role = settings.client("sts").assume_role(RoleArn=deployed["Role"], RoleSessionName=deployed["FunctionName"])
    credentials = role["Credentials"]
    build = _build(settings)
    return Function(
        name=deployed["FunctionName"],
        code=build / properties["CodeUri"],
        layers=tuple(build / layer["Ref"] for layer in properties["Layers"]),
        environment={
            **deployed["Environment"]["Variables"],
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
            "AWS_LAMBDA_LOG_FORMAT": deployed["LoggingConfig"]["LogFormat"],
        },
        handler=deployed["Handler"],
        timeout=deployed["Timeout"],
        memory=deployed["MemorySize"],
        arn=deployed["FunctionArn"],
    )


def route(settings: Settings, name: str) -> Route | None:
    """Return the function's route, or None if the API does not call the function. Raises NoSuchFunction."""
    for event in _properties(settings, name).get("Events", {}).values():
        if event["Type"] == "Api":
            return Route(event["Properties"]["Method"].upper(), event["Properties"]["Path"])
    return None


def logical_id(settings: Settings, name: str) -> str:
    """Return the function's logical id in the template. Raises NoSuchFunction."""
    suffix = f"-{name.replace('_', '-')}"
    for logical, resource in _template(_build(settings)).items():
        if resource["Type"] == "AWS::Serverless::Function":
            full: str = resource["Properties"]["FunctionName"]["Fn::Sub"]
            if full == f"${{AWS::StackName}}{suffix}":
                return logical
    raise NoSuchFunction(f"The stack has no function {name!r}. There are: {', '.join(names())}.")


def deployed_name(name: str) -> str:
    """Return the function's name in Lambda."""
    return f"{STACK}-{name.replace('_', '-')}"


def layer(settings: Settings, name: str) -> Path:
    """Return the `python` folder of a built layer, by the layer's logical id in the template."""
    return _build(settings) / name / "python"


def _properties(settings: Settings, name: str) -> dict[str, Any]:
    return dict(_template(_build(settings))[logical_id(settings, name)]["Properties"])


def _build(settings: Settings) -> Path:
    return settings.folder / "build"


@cache
def _template(build: Path) -> dict[str, Any]:
    """Read the resources of the template that `sam build` wrote. It names the folders of the artifacts."""
    return dict(yaml.safe_load((build / "template.yaml").read_text("utf-8"))["Resources"])

"""Adds from the template what MiniStack's API Gateway leaves out.

MiniStack's import of an OpenAPI body skips `x-amazon-apigateway-gateway-responses`. Ours are there because on AWS a
gateway response only takes effect with the next deployment. MiniStack's mock integrations answer a preflight request
without headers, so the front adds the headers.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from local.settings import ROOT, Settings
from local.stack import sam

STAGE = "v1"
# The gateway's answers that the front gives.
FRONTS = (
    "REQUEST_TOO_LARGE",
    "INTEGRATION_TIMEOUT",
    "INTEGRATION_FAILURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "INVALID_SIGNATURE",
)


def put_responses(settings: Settings, api_id: str) -> None:
    """Give the deployed API the template's gateway responses, and deploy them to its stage."""
    apigateway = settings.client("apigateway")
    for response_type, response in _api(settings)["GatewayResponses"].items():
        headers = response.get("ResponseParameters", {}).get("Headers", {})
        status = {"statusCode": str(response["StatusCode"])} if "StatusCode" in response else {}
        apigateway.put_gateway_response(
            restApiId=api_id,
            responseType=response_type,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            responseTemplates=response["ResponseTemplates"],
            **status,
        )
    apigateway.create_deployment(restApiId=api_id, stageName=STAGE)


def for_front(settings: Settings, api_id: str) -> dict[str, Any]:
    """Build the front's configuration: the address of the API, and the answers that the front gives for the gateway."""
    api = _api(settings)
    refusals = {
        kind: {
            "status": api["GatewayResponses"][kind]["StatusCode"],
            "headers": {
                name: value.strip("'")
                for name, value in api["GatewayResponses"][kind]["ResponseParameters"]["Headers"].items()
                if not value.startswith("context.")
            },
            "body": api["GatewayResponses"][kind]["ResponseTemplates"]["application/json"],
        }
        for kind in FRONTS
    }
    cors = {name: value.strip("'") for name, value in api["Cors"].items()}
    return {
        "port": settings.port + 1,
        "prefix": f"/_aws/execute-api/{api_id}/{STAGE}",
        "binary": api["BinaryMediaTypes"],
        "routes": sorted(_routes()),
        "refusals": refusals,
        "preflight": {
            "Access-Control-Allow-Origin": cors["AllowOrigin"],
            "Access-Control-Allow-Methods": cors["AllowMethods"],
            "Access-Control-Allow-Headers": cors["AllowHeaders"],
            "Access-Control-Max-Age": cors["MaxAge"],
        },
    }


def _routes() -> set[tuple[str, str]]:
    """Return the methods and paths that the API has."""
    events = [
        event["Properties"]
        for resource in _template()["Resources"].values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if event["Type"] == "Api"
    ]
    return {(event["Method"].upper(), event["Path"]) for event in events} | {("OPTIONS", one["Path"]) for one in events}


@cache
def _template() -> dict[str, Any]:
    from samtranslator.yaml_helper import yaml_parse

    return dict(yaml_parse((ROOT / "template.yaml").read_text()))


def _api(settings: Settings) -> dict[str, Any]:
    template = _template()
    defaults = {name: str(value.get("Default", "")) for name, value in template["Parameters"].items()}
    values = defaults | sam.parameters(settings)
    properties = template["Resources"]["Api"]["Properties"]
    return {name: _substitute(properties[name], values) for name in ("BinaryMediaTypes", "Cors", "GatewayResponses")}


def _substitute(node: Any, values: dict[str, str]) -> Any:
    """Resolve `!Sub` of parameters, the only function that these properties use."""
    if isinstance(node, dict):
        if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
            return re.sub(r"\$\{([A-Za-z]+)\}", lambda match: values[match[1]], node["Fn::Sub"])
        return {key: _substitute(value, values) for key, value in node.items()}
    return [_substitute(item, values) for item in node] if isinstance(node, list) else node

"""The routes, their authorizer, and the gateway's own refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.template.conftest import Resources, of_type

ROUTES = {
    ("POST", "/videos"): "CreateVideo",
    ("GET", "/videos"): "ListVideos",
    ("GET", "/videos/{video_id}"): "GetVideo",
    ("DELETE", "/videos/{video_id}"): "DeleteVideo",
    ("GET", "/videos/{video_id}/content"): "GetContent",
    ("POST", "/videos/{video_id}/remix"): "RemixVideo",
    ("POST", "/videos/edits"): "EditVideo",
    ("POST", "/videos/extensions"): "ExtendVideo",
    ("POST", "/videos/characters"): "CreateCharacter",
    ("GET", "/videos/characters"): "ListCharacters",
    ("GET", "/videos/characters/{character_id}"): "GetCharacter",
    ("DELETE", "/videos/characters/{character_id}"): "DeleteCharacter",
    ("POST", "/videos/uploads"): "CreateUpload",
    ("GET", "/videos/uploads/{upload_id}"): "GetUpload",
    ("DELETE", "/videos/uploads/{upload_id}"): "CancelUpload",
    ("POST", "/videos/uploads/{upload_id}/parts"): "SignParts",
    ("POST", "/videos/uploads/{upload_id}/complete"): "CompleteUpload",
    ("GET", "/models"): "ListModels",
}
STATUS = {
    "UNAUTHORIZED": 401,
    "ACCESS_DENIED": 401,
    "MISSING_AUTHENTICATION_TOKEN": 404,
    "INVALID_SIGNATURE": 404,
    "RESOURCE_NOT_FOUND": 404,
    "REQUEST_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "THROTTLED": 429,
    "QUOTA_EXCEEDED": 429,
    "WAF_FILTERED": 403,
    "DEFAULT_4XX": None,  # each keeps its own
    "AUTHORIZER_FAILURE": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "INTEGRATION_FAILURE": 502,
    "INTEGRATION_TIMEOUT": 504,
    "DEFAULT_5XX": None,
}


@pytest.fixture(scope="session")
def body(resources: Resources) -> dict[str, Any]:
    """The OpenAPI document that the gateway imports."""
    return dict(resources["Api"]["Properties"]["Body"])


def _operations(body: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in body["paths"].items()
        for method, operation in methods.items()
        if method != "options"
    }


def test_every_route_reaches_its_function(body: dict[str, Any]) -> None:
    operations = _operations(body)
    assert set(operations) == set(ROUTES)
    for route, name in ROUTES.items():
        integration = operations[route]["x-amazon-apigateway-integration"]
        assert f"${{{name}FunctionAliaslive}}" in json.dumps(integration["uri"]), route
        assert integration["type"] == "aws_proxy"


def test_every_route_wants_a_key(body: dict[str, Any]) -> None:
    for route, operation in _operations(body).items():
        assert operation["security"] == [{"KeyAuthorizer": []}], route


def test_preflights_want_none(body: dict[str, Any]) -> None:
    for path, methods in body["paths"].items():
        assert "security" not in methods["options"], path
        assert methods["options"]["x-amazon-apigateway-integration"]["type"] == "mock", path


def test_keys_are_remembered_for_a_minute(body: dict[str, Any]) -> None:
    scheme = body["components"]["securitySchemes"]["KeyAuthorizer"]
    assert (scheme["in"], scheme["name"]) == ("header", "Authorization")
    assert scheme["x-amazon-apigateway-authorizer"]["type"] == "token"
    assert scheme["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"] == 60


def test_a_rest_api_of_one_region_with_stage_v1(resources: Resources) -> None:
    assert resources["Api"]["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    assert stage["StageName"] == "v1"
    assert stage["TracingEnabled"] is True
    (settings,) = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}


def test_forms_are_binary_and_nothing_else(resources: Resources) -> None:
    # If every type were binary, the preflight mocks would answer 500 on AWS.
    assert resources["Api"]["Properties"]["BinaryMediaTypes"] == ["multipart/form-data"]


def test_refusals_are_part_of_the_deployment(body: dict[str, Any], resources: Resources) -> None:
    # As separate resources they would race with the first deployment, and a later change would need another deployment.
    assert set(body["x-amazon-apigateway-gateway-responses"]) == set(STATUS)
    assert not of_type(resources, "AWS::ApiGateway::GatewayResponse")


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_refusals_come_in_the_envelope(body: dict[str, Any], kind: str, status: int | None) -> None:
    response = body["x-amazon-apigateway-gateway-responses"][kind]
    assert response.get("statusCode") == (str(status) if status else None)
    assert set(response["responseTemplates"]) == {"application/json"}
    error = json.loads(response["responseTemplates"]["application/json"])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".") and error["type"] and error["code"] and error["param"] is None
    headers = response["responseParameters"]
    assert headers["gatewayresponse.header.x-request-id"] == "context.requestId"
    assert "gatewayresponse.header.Access-Control-Allow-Origin" in headers
    exposed = headers["gatewayresponse.header.Access-Control-Expose-Headers"]
    for header in headers:
        name = header.removeprefix("gatewayresponse.header.").lower()
        assert name.startswith("access-control-") or name in exposed, f"a page cannot read {name}"


@pytest.mark.parametrize("kind", ["UNAUTHORIZED", "ACCESS_DENIED"])
def test_a_bad_key_is_what_the_clients_expect(body: dict[str, Any], kind: str) -> None:
    response = body["x-amazon-apigateway-gateway-responses"][kind]
    assert json.loads(response["responseTemplates"]["application/json"])["error"]["code"] == "invalid_api_key"


def test_too_large_names_the_way_out(body: dict[str, Any]) -> None:
    response = body["x-amazon-apigateway-gateway-responses"]["REQUEST_TOO_LARGE"]
    assert "POST /v1/videos/uploads" in response["responseTemplates"]["application/json"]


@pytest.mark.parametrize("kind", ["INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"])
def test_clients_do_not_repeat_what_may_have_been_done(body: dict[str, Any], kind: str) -> None:
    headers = body["x-amazon-apigateway-gateway-responses"][kind]["responseParameters"]
    assert headers["gatewayresponse.header.x-should-retry"] == "'false'"


@pytest.mark.parametrize("kind", ["THROTTLED", "AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"])
def test_clients_do_not_repeat_what_nobody_can_remember(body: dict[str, Any], kind: str) -> None:
    """A retry of a request that no function has seen could be taken for the retry of an identical call."""
    response = body["x-amazon-apigateway-gateway-responses"][kind]
    assert response["responseParameters"]["gatewayresponse.header.x-should-retry"] == "'false'"


def test_no_old_tls(resources: Resources) -> None:
    api = resources["Api"]["Properties"]
    assert api["SecurityPolicy"] == "SecurityPolicy_TLS13_1_2_2021_06"
    assert api["EndpointAccessMode"] == "BASIC"  # required with such a policy


def test_the_access_log_is_a_choice_and_holds_no_id(resources: Resources) -> None:
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    condition, setting, otherwise = stage["AccessLogSetting"]["Fn::If"]
    assert (condition, otherwise) == ("LogsAccess", {"Ref": "AWS::NoValue"})
    assert set(json.loads(setting["Format"])) >= {"status", "request_id", "refused"}
    assert "$context.path" not in setting["Format"] and "$context.authorizer" not in setting["Format"]

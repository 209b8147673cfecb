"""The inputs of `sam local`: addresses that containers can reach, and names that SAM CLI understands."""

from __future__ import annotations

from pathlib import Path

import yaml

from local.lambda_ import sam_local
from local.lambda_.sam_local import Emulator
from local.settings import Settings

EMULATOR = Emulator(Settings(4700), Path("/nowhere"), "172.17.0.1", "")


def test_the_stack_s_addresses_are_those_that_containers_see() -> None:
    queue = "http://127.0.0.1:4701/000000000000/understudy-UploadQueue"
    simulator = 'base_url = "http://127.0.0.1:4702/v1"'
    assert EMULATOR.seen(queue) == "http://172.17.0.1:4701/000000000000/understudy-UploadQueue"
    assert EMULATOR.seen(simulator) == 'base_url = "http://172.17.0.1:4702/v1"'


def test_other_addresses_stay() -> None:
    text = "http://127.0.0.1:4700/v1 http://127.0.0.1:9999 https://videos.example.com:4701"
    assert EMULATOR.seen(text) == text


def test_functions_are_named_as_they_are_deployed_and_the_authorizer_is_no_alias(tmp_path: Path) -> None:
    authorizer = {"FunctionArn": {"Ref": "AuthorizerFunction.Alias"}}
    content = {
        "AuthorizerFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"FunctionName": {"Fn::Sub": "${AWS::StackName}-authorizer"}, "Timeout": 10},
        },
        "Api": {
            "Type": "AWS::Serverless::Api",
            "Properties": {"Auth": {"Authorizers": {"KeyAuthorizer": authorizer}}},
        },
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {}},
    }
    template = tmp_path / "template.yaml"
    template.write_text(yaml.safe_dump({"Resources": content}))
    sam_local._name_functions(template)
    resources = yaml.safe_load(template.read_text())["Resources"]
    assert resources["AuthorizerFunction"]["Properties"] == {"FunctionName": "understudy-authorizer", "Timeout": 10}
    authorizers = resources["Api"]["Properties"]["Auth"]["Authorizers"]
    assert authorizers["KeyAuthorizer"] == {"FunctionArn": {"Fn::GetAtt": ["AuthorizerFunction", "Arn"]}}
    assert resources["Table"] == content["Table"]

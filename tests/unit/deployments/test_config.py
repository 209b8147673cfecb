from __future__ import annotations

from pathlib import Path

import pytest

from understudy.deployments.config import BadDeployments, Deployments
from understudy.errors import InvalidRequest, NotFound

GOOD = """
[deployments.main]
provider = "openai"
base_url = "https://api.example.com/v1/"
secret = "secretsmanager:understudy/main"
models = { "sora-2" = "sora-2-2025-12-08", "pro" = "sora-2-pro" }
weight = 3
default = true
poll_seconds = 2.5
options = { characters = 1 }

[deployments.second]
provider = "hosted_vllm"
base_url = "http://vllm.internal:8000/v1"
models = { "sora-2" = "wan" }
"""


def test_a_good_file() -> None:
    deployments = Deployments.parse(GOOD)
    main = deployments.get("main")
    assert (main.provider, main.base_url, main.weight, main.poll_seconds) == (
        "openai",
        "https://api.example.com/v1",
        3,
        2.5,
    )
    assert (main.secret, main.options) == ("secretsmanager:understudy/main", {"characters": 1})
    second = deployments.get("second")
    assert (second.secret, second.weight, second.poll_seconds, second.default) == (None, 1, None, False)
    assert deployments.default() is main
    assert deployments.default_model == "sora-2"
    assert deployments.models() == ["sora-2", "pro"]
    assert [one.id for one in deployments.group("sora-2")] == ["main", "second"]
    assert [one.id for one in deployments] == ["main", "second"]


def test_a_model_that_nobody_serves() -> None:
    with pytest.raises(NotFound) as caught:
        Deployments.parse(GOOD).group("x" * 500)
    assert caught.value.param == "model"
    assert "sora-2, pro" in caught.value.message
    assert len(caught.value.message) < 300


def test_a_deployment_that_left_the_file() -> None:
    deployments = Deployments.parse(GOOD)
    assert deployments.find("gone") is None
    with pytest.raises(InvalidRequest) as caught:
        deployments.get("gone")
    assert caught.value.code == "deployment_removed"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[deployments.main]", "[deployments.main", "deployments file"),
        ("[deployments.", "[servers.", "no [deployments.<id>] table"),
        ("[deployments.main]", "[deployments.Main]", "[deployments.Main]"),
        ("[deployments.main]", "[deployments.-main]", "begins with"),
        ("[deployments.main]", f"[deployments.{'m' * 41}]", "40"),
        ("default = true", "default = false", "exactly one"),
        ("default = true", 'default = "true"', "default"),
        ('models = { "sora-2" = "wan" }', 'models = { "sora-2" = "wan" }\ndefault = true', "exactly one"),
        ('provider = "openai"', 'provider = "opnai"', "one of azure"),
        ('provider = "openai"', 'provider = "../x"', "one of azure"),
        ('provider = "openai"', "provider = 5", "one of azure"),
        ('provider = "openai"', 'provider = "base"', "one of azure"),
        ('provider = "openai"\n', "", "one of azure"),
        ("https://api.example.com/v1/", "api.example.com/v1", "base_url"),
        ("https://api.example.com/v1/", "ftp://api.example.com", "base_url"),
        ("https://api.example.com/v1/", "https://api.example.com/v1?key=1", "base_url"),
        ("https://api.example.com/v1/", "https://api.example.com/#x", "base_url"),
        ("https://api.example.com/v1/", "https://", "base_url"),
        ("secretsmanager:understudy/main", "sk-1234", "never the key itself"),
        ("secretsmanager:understudy/main", "secretsmanager:other/main", "secret"),
        ("secretsmanager:understudy/main", "ssm:understudy/main", "secret"),
        ("secretsmanager:understudy/main", "secretsmanager:{other}/main", "secret"),
        ("secretsmanager:understudy/main", "secretsmanager:understudy/../x y", "secret"),
        ('{ "sora-2" = "wan" }', '["sora-2"]', "models"),
        ('{ "sora-2" = "wan" }', '{ "sora-2" = 5 }', "models"),
        ('{ "sora-2" = "wan" }', '{ "sora-2" = "" }', "models"),
        ('{ "sora-2" = "wan" }', "{}", "models"),
        ("weight = 3", "weight = -1", "weight"),
        ("weight = 3", "weight = 0.5", "weight"),
        ("weight = 3", "weight = true", "weight"),
        ("poll_seconds = 2.5", "poll_seconds = 0", "poll_seconds"),
        ("poll_seconds = 2.5", "poll_seconds = 901", "poll_seconds"),
        ("poll_seconds = 2.5", 'poll_seconds = "5"', "poll_seconds"),
        ("options = { characters = 1 }", "options = 5", "options"),
        ("options = { characters = 1 }", 'options = { micro_dollars = { "" = 0.1 } }', "whole micro-dollars a second"),
        ("options = { characters = 1 }", "options = { micro_dollars = 100_000 }", "should be a table"),
        ("weight = 3", "wieght = 3", "'wieght'"),
        ("weight = 3", 'api_key = "sk-1"', "'api_key'"),
    ],
)
def test_a_broken_file_says_where_and_why(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(BadDeployments) as caught:
        Deployments.parse(GOOD.replace(old, new))
    assert words in str(caught.value)
    assert str(caught.value).startswith("deployments file: ")


@pytest.mark.parametrize("text", ["", "# nothing", "deployments = 5", "[deployments]\nmain = 5"])
def test_an_empty_file(text: str) -> None:
    with pytest.raises(BadDeployments):
        Deployments.parse(text)


def test_the_file_that_is_shipped() -> None:
    shipped = Path(__file__).parents[3] / "config" / "deployments.toml"
    deployments = Deployments.parse(shipped.read_text("utf-8"))
    assert deployments.default_model in deployments.models()

"""The deployments file of a local stack: placeholders, simulators, secrets."""

from __future__ import annotations

import tomllib
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from local.settings import Settings
from local.stack import providers


class Elsewhere(Settings):
    """The settings of a stack with a temporary folder and with moto as its AWS."""

    def client(self, service: str) -> object:
        return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "DEPLOYMENTS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr("local.settings.ROOT", tmp_path)
    return Elsewhere(4000)


def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    monkeypatch.setenv("DEPLOYMENTS", str(file))


def test_the_shipped_file_is_whole_once_filled(settings: Settings) -> None:
    rendered, used = providers.render(settings)
    deployments = tomllib.loads(rendered.read_text())["deployments"]
    assert deployments["sim-a"]["base_url"] == "http://127.0.0.1:4002/v1"
    assert {"openai", "vllm"} <= set(used)
    assert sum(deployment.get("default", False) for deployment in deployments.values()) == 1


def test_a_file_without_simulators_needs_none(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(tmp_path, monkeypatch, '[deployments.x]\nbase_url = "https://api.example.com/v1"\n')
    assert providers.render(settings)[1] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [('base_url = "${simulator.abacus}"', "abacus"), ("[deployments", "mine.toml")],
)
def test_a_file_that_cannot_be_used_says_why(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    _file(tmp_path, monkeypatch, text)
    with pytest.raises(providers.BadDeploymentsFile, match=says):
        providers.render(settings)


def test_a_file_that_is_not_there_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYMENTS", "/nowhere.toml")
    with pytest.raises(providers.BadDeploymentsFile, match=r"/nowhere\.toml"):
        providers.render(settings)


def test_secrets_are_made_once_and_the_missing_are_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(
        tmp_path,
        monkeypatch,
        """
[deployments.a]
base_url = "${simulator.openai}/v1"
secret = "secretsmanager:understudy/sim-a"
[deployments.b]
base_url = "https://api.example.com/v1"
secret = "ssm:/understudy/acme-main"
[deployments.c]
base_url = "https://api.example.com/v1"
secret = "secretsmanager:understudy/other"
[deployments.d]
base_url = "https://api.example.com/v1"
""",
    )
    rendered, _ = providers.render(settings)
    monkeypatch.setenv("SECRET_ACME_MAIN", "from the environment")
    with mock_aws():
        _secrets_are_made(settings, rendered)


def _secrets_are_made(settings: Settings, rendered: Path) -> None:
    missing = providers.provide_secrets(settings, rendered)
    assert len(missing) == 1
    assert "understudy/other" in missing[0] and "SECRET_OTHER" in missing[0]
    secrets = boto3.client("secretsmanager", region_name="us-east-1")
    assert secrets.get_secret_value(SecretId="understudy/sim-a")["SecretString"] == "sim-a"
    parameters = boto3.client("ssm", region_name="us-east-1")
    parameter = parameters.get_parameter(Name="/understudy/acme-main", WithDecryption=True)["Parameter"]
    assert (parameter["Type"], parameter["Value"]) == ("SecureString", "from the environment")
    secrets.put_secret_value(SecretId="understudy/sim-a", SecretString="rotated")
    providers.provide_secrets(settings, rendered)
    assert secrets.get_secret_value(SecretId="understudy/sim-a")["SecretString"] == "rotated"

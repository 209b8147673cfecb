"""Which servers serve which model names: the deployments file.

    [deployments.openai-main]                    # the stable id: part of every managed id, never give it to another
    provider = "openai"                          # a file in understudy/providers/
    base_url = "https://api.example.com/v1"
    secret = "secretsmanager:{stack}/openai"     # or "ssm:/{stack}/openai"; left out: the server wants no key
    models = { "sora-2" = "sora-2" }             # name that callers use -> name at the provider
    weight = 1                                   # relative share of a model's new work; 0: see routing.candidates
    default = true                               # exactly one: serves requests that name no model
    poll_seconds = 5                             # replaces the provider's own pace
    options = {}                                 # documented in the provider file

The file is packed into the layer, so reading it costs no call. An invalid file raises BadDeployments at its first use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from understudy import providers
from understudy.errors import InvalidRequest, NotFound
from understudy.providers.prices import Prices

FILE = Path(__file__).parents[1] / "deployments.toml"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_SECRET = re.compile(r"(secretsmanager:|ssm:/)(\{stack\}|understudy)/[A-Za-z0-9/_.-]+")
_FIELDS = {"provider", "base_url", "secret", "models", "weight", "default", "poll_seconds", "options"}


class BadDeployments(Exception):
    """The deployments file is invalid. The message says where and why."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One account at one server."""

    id: str
    provider: str
    base_url: str
    models: Mapping[str, str]
    secret: str | None = None
    weight: int = 1
    default: bool = False
    poll_seconds: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Deployments:
    """All deployments of the file, by id and by model name."""

    def __init__(self, deployments: list[Deployment]) -> None:
        self._by_id = {deployment.id: deployment for deployment in deployments}

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self._by_id.values())

    def models(self) -> list[str]:
        """Return every model name that callers may use, in the file's order."""
        return list(dict.fromkeys(name for deployment in self for name in deployment.models))

    def group(self, model: str) -> list[Deployment]:
        """Return the deployments that serve a model name. Raises NotFound if no deployment serves it."""
        group = [deployment for deployment in self if model in deployment.models]
        if not group:
            names = ", ".join(self.models())
            raise NotFound(
                f"The model {model[:80]!r} does not exist. Available: {names}.", param="model", code="model_not_found"
            )
        return group

    def default(self) -> Deployment:
        """Return the deployment for requests that name no model."""
        return next(deployment for deployment in self if deployment.default)

    @property
    def default_model(self) -> str:
        """The model for requests that name no model."""
        return next(iter(self.default().models))

    def find(self, deployment_id: str) -> Deployment | None:
        """Return the deployment with this id, or None if it has left the file."""
        return self._by_id.get(deployment_id)

    def get(self, deployment_id: str) -> Deployment:
        """Return the deployment with this id. Raises InvalidRequest if it has left the file."""
        deployment = self.find(deployment_id)
        if deployment is None:
            raise removed(deployment_id)
        return deployment

    @staticmethod
    def parse(text: str) -> Deployments:
        """Parse the file's text. Raises BadDeployments if it is invalid."""
        try:
            tables = tomllib.loads(text).get("deployments")
        except tomllib.TOMLDecodeError as error:
            raise BadDeployments(f"deployments file: {error}") from error
        if not isinstance(tables, dict) or not tables:
            raise BadDeployments("deployments file: no [deployments.<id>] table")
        deployments = [_deployment(name, table) for name, table in tables.items()]
        if sum(deployment.default for deployment in deployments) != 1:
            raise BadDeployments("deployments file: exactly one deployment must have default = true")
        return Deployments(deployments)


def removed(deployment_id: str) -> InvalidRequest:
    """Return the error for a request that needs a deployment which has left the file."""
    return InvalidRequest(
        f"The deployment {deployment_id!r} that made this is no longer configured, so Understudy cannot ask its "
        "provider. Stored files can still be downloaded and used with other models.",
        code="deployment_removed",
    )


@cache
def deployments() -> Deployments:
    """Return the deployments of the file, read once in an execution environment."""
    return Deployments.parse(FILE.read_text("utf-8"))


def _deployment(name: str, table: Any) -> Deployment:
    def wrong(why: str) -> BadDeployments:
        return BadDeployments(f"deployments file: [deployments.{name}]: {why}")

    if not isinstance(table, dict):
        raise wrong("must be a table")
    if not _ID.fullmatch(name):
        raise wrong("an id has up to 40 of a-z 0-9 . _ - and begins with a letter or digit")
    if unknown := set(table) - _FIELDS:
        raise wrong(f"unknown field {min(unknown)!r}")
    provider, base_url, models = table.get("provider"), table.get("base_url"), table.get("models")
    if provider not in providers.names():
        raise wrong(f"provider must be one of {', '.join(providers.names())}")
    if not isinstance(base_url, str) or not re.match(r"https?://[^/?#]+[^?#]*$", base_url):
        raise wrong("base_url must be an http(s) URL without query")
    if not isinstance(models, dict) or not models or not all(isinstance(one, str) and one for one in models.values()):
        raise wrong('models must be a table of name = "name at the provider"')
    secret = table.get("secret")
    if secret is not None and not (isinstance(secret, str) and _SECRET.fullmatch(secret)):
        raise wrong('secret must be "secretsmanager:{stack}/NAME" or "ssm:/{stack}/NAME", never the key itself')
    weight, pace = table.get("weight", 1), table.get("poll_seconds")
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 0:
        raise wrong("weight must be a whole number, 0 or more")
    if pace is not None and not (isinstance(pace, int | float) and 0 < pace <= 900):
        raise wrong("poll_seconds must be between 0 and 900")
    if not isinstance(table.get("default", False), bool) or not isinstance(table.get("options", {}), dict):
        raise wrong("default must be true or false, and options a table")
    try:
        Prices.of(table.get("options", {}).get("micro_dollars", {}))
    except ValueError as error:
        raise wrong(str(error)) from error
    return Deployment(
        id=name,
        provider=provider,
        base_url=base_url.rstrip("/"),
        models=models,
        secret=secret,
        weight=weight,
        default=table.get("default", False),
        poll_seconds=pace,
        options=table.get("options", {}),
    )

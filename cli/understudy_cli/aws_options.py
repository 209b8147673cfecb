"""Chooses the AWS account, region and stack for an operator's command, with the operator's own credentials."""

from __future__ import annotations

import functools
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

STACK = "understudy"
LOCAL_PORT = 4000  # of the local stack; its AWS uses the next port
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

Command = TypeVar("Command", bound=Callable[..., Any])


def options(command: Command) -> Command:
    """Add `--stack`, `--region`, `--profile` and `--local` to a command, which gets `stack` as an argument."""

    @click.option("--stack", default=STACK, show_default=True, help="Name of the CloudFormation stack.")
    @click.option("--region", help="AWS region. Default: AWS_REGION, else the profile's.")
    @click.option("--profile", help="AWS profile. Default: AWS_PROFILE, else your credentials in the environment.")
    @click.option("--local", is_flag=True, help="Use the stack of `make up` on this machine, at PORT (4000).")
    @functools.wraps(command)
    def run(*given: Any, region: str | None, profile: str | None, local: bool, **more: Any) -> Any:
        choose(region, profile, local=local)
        return command(*given, **more)

    return run  # type: ignore[return-value]


def choose(region: str | None, profile: str | None, *, local: bool = False) -> None:
    """Choose the account and region for the rest of this process. Raises UsageError."""
    if local:
        if region or profile:
            raise click.UsageError("--local has a region and credentials of its own: leave out --region and --profile.")
        os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{local_port() + 1}", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ |= _local_credentials()
        for name in ("AWS_PROFILE", CREDENTIALS[2]):
            os.environ.pop(name, None)
        return
    if region := region or os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region  # the only name that botocore reads
    if profile:
        os.environ["AWS_PROFILE"] = profile
        for name in CREDENTIALS:  # they would take precedence over the profile
            os.environ.pop(name, None)


def chosen(context: click.Context) -> str:
    """Return the options of this command that choose account, region and stack, such as ` --stack studio`."""
    given = context.params
    named = [f" --{name} {shlex.quote(given[name])}" for name in ("region", "profile") if given[name]]
    stack = "" if given["stack"] == STACK else f" --stack {shlex.quote(given['stack'])}"
    return stack + "".join(named) + (" --local" if given["local"] else "")


def outputs(stack: str, *needed: str) -> dict[str, str]:
    """Return the stack's outputs.

    Raises ValueError if there is no such profile, no such stack in this account and region, or not all that is `needed`
    in its outputs.
    """
    try:
        client: Any = boto3.client("cloudformation")
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ProfileNotFound as error:
        raise ValueError(f"{error}. Choose another with --profile, or add it to ~/.aws/config.") from error
    except (BotoCoreError, ClientError) as error:
        message = (
            f"Stack {stack!r} was not found: {error}. Choose another with --stack, --region, --profile or --local."
        )
        raise ValueError(message) from error
    found = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if missing := [name for name in needed if name not in found]:
        message = (
            f"Stack {stack!r} lacks outputs: {', '.join(missing)}. "
            "Deploy this version of the template, or choose Understudy's stack with --stack."
        )
        raise ValueError(message)
    return found


def use_table(stack: str) -> None:
    """Make the layer's modules use the stack's table. Raises ValueError like `outputs`."""
    os.environ["TABLE_NAME"] = outputs(stack, "TableName")["TableName"]


def _local_credentials() -> dict[str, str]:
    """Return the credentials that `make up` has made for the local stack of this clone. Raises UsageError."""
    file = Path(".local") / str(local_port()) / "root.json"
    try:
        root = json.loads(file.read_text())
    except FileNotFoundError:
        message = f"There is no local stack here ({file}). Call this in the clone, after `make up`, with the same PORT."
        raise click.UsageError(message) from None
    return {CREDENTIALS[0]: root["id"], CREDENTIALS[1]: root["secret"]}


def local_port() -> int:
    """Return the port of the local stack. Raises UsageError if PORT is not a number."""
    port = os.environ.get("PORT") or str(LOCAL_PORT)
    if not port.isdecimal():
        raise click.UsageError(f"PORT has to be a number, not {port!r}.")
    return int(port)

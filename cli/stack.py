"""Which deployed stack an operator's command works on, with the operator's own AWS credentials."""

from __future__ import annotations

import argparse
import os
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--stack NAME`: the CloudFormation stack."""
    parser.add_argument("--stack", default="understudy", help="name of the CloudFormation stack (understudy)")


def outputs(name: str) -> dict[str, str]:
    """The stack's outputs. Raises ValueError when there is no such stack in this account and region."""
    try:
        client: Any = boto3.client("cloudformation")
        stack = client.describe_stacks(StackName=name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise ValueError(
            f"No stack {name!r} here: {error}. AWS_PROFILE and AWS_REGION choose another place."
        ) from error
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def use_table(name: str) -> None:
    """Point the layer's modules at the stack's table."""
    os.environ["TABLE_NAME"] = outputs(name)["TableName"]

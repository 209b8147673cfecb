"""`python -m cli redrive`: give what stands among the dead letters another chance."""

from __future__ import annotations

import argparse
from typing import Any

import boto3

from cli import stack


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("redrive", help="put dead letters back into their queues")
    stack.add_option(parser)
    parser.set_defaults(run=_redrive)


def _redrive(arguments: argparse.Namespace) -> None:
    client: Any = boto3.client("sqs")
    url = stack.outputs(arguments.stack)["DeadLettersUrl"]
    described = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "ApproximateNumberOfMessages"])[
        "Attributes"
    ]
    client.start_message_move_task(SourceArn=described["QueueArn"])
    print(f"{described['ApproximateNumberOfMessages']} dead letters are on their way back.")

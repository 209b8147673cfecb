"""`understudy redrive`: give what stands among the dead letters another chance."""

from __future__ import annotations

from typing import Any

import boto3
import click

from understudy_cli import account


@click.command()
@account.options
def redrive(stack: str) -> None:
    """Put dead letters back into their queues."""
    client: Any = boto3.client("sqs")
    url = account.outputs(stack)["DeadLettersUrl"]
    names = ["QueueArn", "ApproximateNumberOfMessages"]
    described = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    client.start_message_move_task(SourceArn=described["QueueArn"])
    click.echo(f"{described['ApproximateNumberOfMessages']} dead letters are on their way back.")

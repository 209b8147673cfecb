"""`understudy redrive`: give what stands among the dead letters another chance."""

from __future__ import annotations

from typing import Any

import boto3
import click

from understudy_cli import stack as stacks


@click.command()
@stacks.options
def redrive(stack: str) -> None:
    """Put dead letters back into their queues."""
    client: Any = boto3.client("sqs")
    url = stacks.outputs(stack)["DeadLettersUrl"]
    names = ["QueueArn", "ApproximateNumberOfMessages"]
    described = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    client.start_message_move_task(SourceArn=described["QueueArn"])
    click.echo(f"{described['ApproximateNumberOfMessages']} dead letters are on their way back.")

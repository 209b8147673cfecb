"""`understudy redrive`: moves the messages of the dead-letter queue back to the queues that they came from."""

from __future__ import annotations

from typing import Any

import boto3
import click

from understudy_cli import aws_options


@click.command()
@aws_options.options
def redrive(stack: str) -> None:
    """Move the messages of the dead-letter queue back to the queues that they came from."""
    client: Any = boto3.client("sqs")
    url = aws_options.outputs(stack)["DeadLettersUrl"]
    names = ["QueueArn", "ApproximateNumberOfMessages"]
    described = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    client.start_message_move_task(SourceArn=described["QueueArn"])
    click.echo(f"{described['ApproximateNumberOfMessages']} dead letters go back to their queue.")

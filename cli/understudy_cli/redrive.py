"""`understudy redrive`: moves the messages of the dead-letter queue back to the queue of uploads."""

from __future__ import annotations

from typing import Any

import boto3
import click

from understudy_cli import aws_options


@click.command()
@aws_options.options
def redrive(stack: str) -> None:
    """Move the messages of the dead-letter queue back to the queue of uploads."""
    url = aws_options.outputs(stack, "DeadLettersUrl")["DeadLettersUrl"]
    client: Any = boto3.client("sqs")
    names = ["QueueArn", "ApproximateNumberOfMessages"]
    described = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    client.start_message_move_task(SourceArn=described["QueueArn"])
    click.echo(f"{described['ApproximateNumberOfMessages']} dead letters go back to the queue of uploads.")

"""AWS clients, made on first use: a function pays only for the services it touches."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


@cache
def dynamodb() -> DynamoDBClient:
    import boto3

    return boto3.client("dynamodb")


@cache
def s3() -> S3Client:
    """Signature version 4 in so many words: without it boto3 still presigns with version 2 in some regions."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(signature_version="s3v4"))


@cache
def secretsmanager() -> SecretsManagerClient:
    import boto3

    return boto3.client("secretsmanager")


@cache
def sqs() -> SQSClient:
    import boto3

    return boto3.client("sqs")


@cache
def lambda_() -> LambdaClient:
    """Invocations are not repeated by the client: the caller decides what a lost answer means."""
    import boto3
    from botocore.config import Config

    return boto3.client("lambda", config=Config(read_timeout=130, retries={"total_max_attempts": 1}))

"""AWS clients, made on first use: a function pays only for the services it touches.

They are botocore's own. What boto3 lays over them (resources, managed transfers) takes half as long to import as an
empty function to start, and is asked for only where it is used (docs/adr/0018).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient


# Botocore's check of what we send is an eighth of a call's work, and mypy has done it. For services that take a body:
# where parts of the request are parts of a path, as in S3, an empty one would ask for something else.
_UNCHECKED = {"parameter_validation": False}


@cache
def _session() -> Session:
    import botocore.session

    return botocore.session.get_session()


def _client(service: str, **config: Any) -> Any:
    from botocore.config import Config

    return _session().create_client(service, config=Config(**config))


def load() -> None:
    """Import what the first client needs, where the time of a first call is not to be used for it."""
    import botocore.config
    import botocore.session  # noqa: F401


@cache
def dynamodb() -> DynamoDBClient:
    client: DynamoDBClient = _client("dynamodb", **_UNCHECKED)
    return client


@cache
def s3() -> S3Client:
    """Signature version 4 in so many words: without it presigning still uses version 2 in some regions."""
    client: S3Client = _client("s3", signature_version="s3v4")
    return client


@cache
def secretsmanager() -> SecretsManagerClient:
    client: SecretsManagerClient = _client("secretsmanager")
    return client


@cache
def ssm() -> SSMClient:
    client: SSMClient = _client("ssm")
    return client


@cache
def sqs() -> SQSClient:
    client: SQSClient = _client("sqs", **_UNCHECKED)
    return client


@cache
def lambda_() -> LambdaClient:
    """Invocations are not repeated by the client: the caller decides what a lost answer means."""
    client: LambdaClient = _client("lambda", read_timeout=130, retries={"total_max_attempts": 1})
    return client

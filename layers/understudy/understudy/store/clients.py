"""AWS clients, made on first use: a function pays only for the services it calls.

The clients are botocore's own. boto3's additions (resources, managed transfers) take half as long to import as an empty
function takes to start. They are imported only where they are used (docs/adr/0018).
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
    from mypy_boto3_stepfunctions import SFNClient


# botocore's validation of parameters is an eighth of a call's work, and mypy has checked the types already. Only for
# services that take a body: where a parameter is part of the path, as in S3, an empty one addresses something else.
_UNCHECKED = {"parameter_validation": False}

# By default botocore waits 60 s for a connection and 60 s for an answer. But a function ends after 28 s, the authorizer
# after 10 s. With these times, botocore can still repeat a call whose packet was lost.
_CONNECT = {"connect_timeout": 2}
_SMALL = _CONNECT | {"read_timeout": 5}
_LARGE = _CONNECT | {"read_timeout": 20}  # S3 copies up to 5 GiB in one call, and sends blanks meanwhile

# Otherwise presigned URLs name the global endpoint. Regions launched since March 2019 answer it with a 400, and a new
# bucket elsewhere with a 307 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingRouting.html, 2026-11). An
# endpoint that is an IP address, such as the local stack's, has path style in any case.
_REGIONAL = {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}


@cache
def _session() -> Session:
    import botocore.session

    return botocore.session.get_session()


def _client(service: str, **config: Any) -> Any:
    from botocore.config import Config

    return _session().create_client(service, config=Config(**config))


def load() -> None:
    """Import what the first client needs, so that the first call does not spend time on imports."""
    import botocore.config
    import botocore.session  # noqa: F401


@cache
def dynamodb() -> DynamoDBClient:
    client: DynamoDBClient = _client("dynamodb", **_SMALL, **_UNCHECKED)
    return client


@cache
def s3() -> S3Client:
    """Return the S3 client. Signature version 4 is set, because presigning still uses version 2 in some regions."""
    client: S3Client = _client("s3", signature_version="s3v4", s3=_REGIONAL, **_LARGE)
    return client


@cache
def secretsmanager() -> SecretsManagerClient:
    client: SecretsManagerClient = _client("secretsmanager", **_SMALL)
    return client


@cache
def ssm() -> SSMClient:
    client: SSMClient = _client("ssm", **_SMALL)
    return client


@cache
def sqs() -> SQSClient:
    client: SQSClient = _client("sqs", **_SMALL, **_UNCHECKED)
    return client


@cache
def stepfunctions() -> SFNClient:
    client: SFNClient = _client("stepfunctions", **_SMALL, **_UNCHECKED)
    return client


@cache
def lambda_(seconds: int) -> LambdaClient:
    """Return the Lambda client that waits `seconds` for a response.

    The client does not retry: the caller decides what a lost response means.
    """
    once = {"total_max_attempts": 1}
    client: LambdaClient = _client("lambda", **_CONNECT, read_timeout=seconds, retries=once)
    return client

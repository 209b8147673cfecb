"""The settings of the AWS clients: which parameters they check, where S3 is, and how long they wait."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ParamValidationError

from understudy.settings import settings
from understudy.store import bucket, clients

CACHED = (
    clients.dynamodb,
    clients.sqs,
    clients.stepfunctions,
    clients.s3,
    clients.lambda_,
    clients._session,
    settings,
)
MAKERS = (clients.dynamodb, clients.sqs, clients.stepfunctions, clients.s3, partial(clients.lambda_, 20))


class Sent(Exception):
    """A request was about to be sent."""


def _sent(**_: Any) -> None:
    raise Sent


@pytest.fixture(autouse=True)
def fresh_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    variables = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for cached in CACHED:
        cached.cache_clear()
    for make in MAKERS:
        make().meta.events.register("before-send", _sent)
    yield
    for cached in CACHED:
        cached.cache_clear()


def test_what_is_sent_in_a_body_goes_unchecked() -> None:
    with pytest.raises(Sent):
        clients.dynamodb().get_item(TableName="table")  # type: ignore[call-arg]
    with pytest.raises(Sent):
        clients.sqs().send_message(QueueUrl="https://queue")  # type: ignore[call-arg]
    with pytest.raises(Sent):
        clients.stepfunctions().start_execution(name="name")  # type: ignore[call-arg]


def test_what_is_part_of_a_path_is_checked() -> None:
    """An empty parameter in a path is refused: without it the path would name another operation."""
    with pytest.raises(ParamValidationError):
        clients.s3().get_object(Bucket="bucket", Key="")
    with pytest.raises(ParamValidationError):
        clients.lambda_(20).invoke(FunctionName="")


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("eu-south-2", "amazonaws.com"),
        ("ap-southeast-7", "amazonaws.com"),
        ("us-east-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("us-gov-west-1", "amazonaws.com"),
    ],
)
def test_presigned_urls_name_the_bucket_in_its_region(
    monkeypatch: pytest.MonkeyPatch, region: str, domain: str
) -> None:
    """The global endpoint answers 400 for a bucket in a newer region, and 307 for a new bucket in any other."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    assert {url.netloc for url in presigned(monkeypatch)} == {f"clips.s3.{region}.{domain}"}


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4000", "http://172.17.0.1:4000"])
def test_an_endpoint_that_is_an_address_has_the_bucket_in_the_path(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert {f"{url.scheme}://{url.netloc}" for url in presigned(monkeypatch)} == {endpoint}
    assert {url.path for url in presigned(monkeypatch)} == {"/clips/media/a", "/clips"}


def presigned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the three kinds of presigned URLs that we hand out, made with the environment as it is now."""
    monkeypatch.setenv("BUCKET_NAME", "clips")
    for cached in CACHED:
        cached.cache_clear()
    post, _ = bucket.presign_post("media/a", "video/mp4", 5, 60)
    return [urlsplit(url) for url in (bucket.presign("media/a"), post, bucket.presign_part("media/a", "u", 1, 5))]


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (clients.dynamodb, 5),
        (clients.sqs, 5),
        (clients.stepfunctions, 5),
        (clients.secretsmanager, 5),
        (clients.ssm, 5),
        (clients.s3, 20),
        (partial(clients.lambda_, 17), 17),
    ],
)
def test_a_lost_packet_does_not_take_the_whole_call(make: Any, seconds: int) -> None:
    config = make().meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, seconds)

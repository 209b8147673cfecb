"""AWS's list prices in us-east-1, without free allowances. Each price names its source and the source's date."""

from __future__ import annotations

from typing import NamedTuple


class Price(NamedTuple):
    """The price in dollars of `per` units."""

    dollars: float
    per: int
    unit: str
    source: str
    date: str  # of the source


MILLION = 1_000_000
_LAMBDA = "https://aws.amazon.com/lambda/pricing/, as quoted by https://cloudchipr.com/blog/aws-lambda-pricing"
_DYNAMODB = (
    "https://aws.amazon.com/dynamodb/pricing/, as quoted by "
    "https://airbyte.com/data-engineering-resources/dynamodb-pricing"
)
_S3 = "https://aws.amazon.com/s3/pricing/, as quoted by https://c3x.dev/blog/s3-request-fees-explained"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_SECRETS = (
    "https://aws.amazon.com/secrets-manager/pricing/, as quoted by "
    "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms"
)
_FARGATE = "https://aws.amazon.com/fargate/pricing/, as quoted by https://www.vantage.sh/blog/fargate-pricing"
_RDS = (
    "https://aws.amazon.com/rds/pricing/, as quoted by "
    "https://infratally.com/articles/aws-rds-pricing-explained-2026.html and "
    "https://www.usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator/"
)
_SNAPSTART = "https://aws.amazon.com/lambda/pricing/, as quoted by https://awsnegotiations.com/blog/lambda-snapstart-cost-impact/"

PRICES = {
    "api_gateway": Price(
        3.50,
        MILLION,
        "calls of a REST API",
        "https://docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/"
        "cost-optimization.html and https://go-cloud.io/aws-api-gateway-pricing",
        "2026",
    ),
    "lambda_request": Price(0.20, MILLION, "invocations", _LAMBDA, "2024"),
    "lambda_gb_second": Price(13.3334, MILLION, "GB seconds of Lambda, arm64", _LAMBDA, "2024"),
    "dynamodb_read": Price(0.125, MILLION, "read units on demand", _DYNAMODB, "2025-07"),
    "dynamodb_write": Price(0.625, MILLION, "write units on demand", _DYNAMODB, "2025-07"),
    "s3_write": Price(5.00, MILLION, "PUT, COPY, POST or LIST", _S3, "undated"),
    "s3_read": Price(0.40, MILLION, "GET or HEAD", _S3, "undated"),
    "sqs": Price(
        0.40,
        MILLION,
        "requests to SQS",
        "https://aws.amazon.com/sqs/pricing/, as quoted by https://cloudburn.io/blog/amazon-sqs-pricing",
        "2026-03",
    ),
    "state_transition": Price(
        25.00,
        MILLION,
        "state transitions of Step Functions, standard workflows",
        "https://aws.amazon.com/step-functions/pricing/",
        "undated",
    ),
    "secret_read": Price(5.00, MILLION, "calls to Secrets Manager", _SECRETS, "undated"),
    "secret": Price(0.40, 1, "secret and month", _SECRETS, "undated"),
    "log_gb": Price(0.50, 1, "GB of logs written", _CLOUDWATCH, "2026-05"),
    "alarm_metric": Price(0.10, 1, "metric of an alarm and month", _CLOUDWATCH, "2026-05"),
    "trace": Price(5.00, MILLION, "traces recorded", "https://aws.amazon.com/xray/pricing/", "undated"),
    "snapstart_gb_second": Price(1.5046, MILLION, "GB seconds of a SnapStart snapshot", _SNAPSTART, "2026-05"),
    "snapstart_restore_gb": Price(139.7998, MILLION, "GB restored by SnapStart", _SNAPSTART, "2026-05"),
    "fargate_vcpu_hour": Price(0.03238, 1, "vCPU and hour of Fargate, arm64", _FARGATE, "2021-04 and later"),
    "fargate_gb_hour": Price(0.00356, 1, "GB and hour of Fargate, arm64", _FARGATE, "2021-04 and later"),
    "load_balancer_hour": Price(
        0.0225,
        1,
        "hour of a load balancer, without its capacity units",
        "https://aws.amazon.com/elasticloadbalancing/pricing/, as quoted by "
        "https://cal53.calculator.city/aws-alb-cost-calculator/",
        "undated",
    ),
    "database_hour": Price(0.016, 1, "hour of db.t4g.micro, PostgreSQL, one zone", _RDS, "2026"),
    "database_gb_month": Price(0.115, 1, "GB of gp3 storage and month", _RDS, "2026-06"),
}


def dollars(name: str, quantity: float = 1.0) -> float:
    """Return the price of a quantity, in dollars."""
    return PRICES[name].dollars / PRICES[name].per * quantity

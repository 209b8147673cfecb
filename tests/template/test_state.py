"""The stored state (table, bucket, queues, secret) and the alarms."""

from __future__ import annotations

from typing import Any

from tests.template.conftest import Resources, of_type
from understudy.store.bucket import INPUT_DAYS


def test_what_cannot_be_made_again_outlives_the_stack(resources: Resources) -> None:
    for name in ("Table", "Bucket", "IdSecret"):
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate", name
        assert resources[name]["UpdateReplacePolicy"] == "Retain", name


def test_the_table(resources: Resources) -> None:
    table = resources["Table"]["Properties"]
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "SSESpecification" not in table  # it would mean a key of KMS, which is billed


def test_a_first_deployment_that_fails_can_delete_the_table(resources: Resources, template: dict[str, Any]) -> None:
    """CloudFormation deletes the table when it rolls a first deployment back. DynamoDB must not refuse that."""
    table = resources["Table"]["Properties"]
    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["ProtectsTable", True, False]}
    assert template["Conditions"]["ProtectsTable"] == {"Fn::Equals": [{"Ref": "TableProtection"}, "on"]}
    assert template["Parameters"]["TableProtection"]["Default"] == "off"


def test_the_bucket_is_private_encrypted_and_versioned(resources: Resources) -> None:
    bucket = resources["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_the_bucket_forgets(resources: Resources) -> None:
    rules = resources["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert days == {"media/inputs/": INPUT_DAYS, "uploads/": 2, "drop-results/": 30}
    assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules if _aborts(rule)] == [1]
    kept = {rule.get("Prefix"): rule["NoncurrentVersionExpiration"] for rule in rules if _forgets(rule)}
    days = {prefix: rule["NoncurrentDays"] for prefix, rule in kept.items()}
    assert days == {"uploads/": 1, "media/inputs/": 1, None: 7}


def _forgets(rule: dict[str, Any]) -> bool:
    return "NoncurrentVersionExpiration" in rule


def _aborts(rule: dict[str, Any]) -> bool:
    return "AbortIncompleteMultipartUpload" in rule


def test_browsers_may_read_the_etag(resources: Resources) -> None:
    for rule in resources["Bucket"]["Properties"]["CorsConfiguration"]["CorsRules"]:
        assert "ETag" in rule["ExposedHeaders"]


def test_a_page_may_follow_the_redirect_to_a_video_and_only_the_allowed_page_may_upload(resources: Resources) -> None:
    """After a redirect to another origin a browser sends `Origin: null` (Fetch standard, "HTTP-redirect fetch")."""
    rules = resources["Bucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    allowed = {method: rule["AllowedOrigins"] for rule in rules for method in rule["AllowedMethods"]}
    assert allowed["GET"] == allowed["HEAD"] == ["*"]
    assert allowed["PUT"] == allowed["POST"] == [{"Ref": "AllowedOrigin"}]


def test_the_bucket_speaks_tls_only_unless_local(resources: Resources, template: dict[str, Any]) -> None:
    policy = resources["BucketPolicy"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert len(statement["Resource"]) == 2
    assert policy["Condition"] == "IsCloud"
    assert template["Conditions"]["IsCloud"] == {"Fn::Equals": [{"Ref": "LocalEndpoint"}, ""]}
    assert template["Parameters"]["LocalEndpoint"]["Default"] == ""


def test_a_message_is_not_taken_twice_and_does_not_vanish(resources: Resources, functions: Resources) -> None:
    assert set(of_type(resources, "AWS::SQS::Queue")) == {"UploadQueue", "DeadLetters"}
    queue = resources["UploadQueue"]["Properties"]
    assert queue["VisibilityTimeout"] > functions["ingest_upload"]["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        "maxReceiveCount": 5,
    }
    assert queue["SqsManagedSseEnabled"] is True
    assert resources["DeadLetters"]["Properties"]["MessageRetentionPeriod"] == 1209600


def test_s3_tells_of_what_others_put_and_never_of_what_we_write(resources: Resources) -> None:
    told = resources["Bucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    prefixes = [rule["Value"] for one in told for rule in one["Filter"]["S3Key"]["Rules"] if rule["Name"] == "prefix"]
    assert sorted(prefixes) == ["drop/", "uploads/"]
    for ours in ("media/", "drop-results/"):
        assert not any(ours.startswith(prefix) for prefix in prefixes)
    assert all(one["Queue"] == {"Fn::GetAtt": ["UploadQueue", "Arn"]} for one in told)


def test_only_s3_of_this_account_may_tell(resources: Resources) -> None:
    (statement,) = resources["UploadQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert resources["Bucket"]["DependsOn"] == "UploadQueuePolicy"


def test_the_secret_behind_ids_is_long_and_random(resources: Resources) -> None:
    assert resources["IdSecret"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 64


def test_every_parameter_has_a_default(template: dict[str, Any]) -> None:
    for name, parameter in template["Parameters"].items():
        assert "Default" in parameter, f"{name} has to have a default: plain `sam deploy` must work"


def _metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return [metric for metric in alarm["Metrics"] if "MetricStat" in metric] if "Metrics" in alarm else [alarm]


def test_alarms_are_few_and_cheap(resources: Resources) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    assert 6 <= len(alarms) <= 9
    assert all(len(_metrics(alarm)) <= 10 for alarm in alarms.values())  # CloudWatch's limit for metric math
    # $0.10 a month for each metric that an alarm reads, $0.40 for a secret (AWS's price pages, 2026-11).
    metrics = sum(len(_metrics(alarm)) for alarm in alarms.values())
    secrets = len(of_type(resources, "AWS::SecretsManager::Secret"))
    assert metrics <= 10
    assert metrics * 10 + secrets * 40 < 200


def test_functions_that_the_api_does_not_show_have_alarms(resources: Resources, functions: Resources) -> None:
    watched = set()
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        for part in alarm.get("Metrics", []):
            if "MetricStat" in part and part["MetricStat"]["Metric"]["MetricName"] == "Errors":
                watched.add(part["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"])
    assert watched == {
        "RunJobFunction",
        "SweepJobsFunction",
        "IngestUploadFunction",
    }  # the sealed ones fail in their hands


def test_alarms_watch_api_jobs_uploads_and_providers(resources: Resources) -> None:
    watched = {alarm.get("MetricName") for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()}
    assert watched >= {"5XXError", "Latency", "ApproximateNumberOfMessagesVisible", "ExecutionsFailed"}
    assert watched >= {"Throttles", "WriteThrottleEvents", "NeedsAttention"}


def test_the_alarm_on_executions_is_of_this_machine(resources: Resources) -> None:
    (alarm,) = [
        one for one in of_type(resources, "AWS::CloudWatch::Alarm").values() if one.get("Namespace") == "AWS/States"
    ]
    assert alarm["Dimensions"] == [{"Name": "StateMachineArn", "Value": {"Ref": "JobMachine"}}]
    assert alarm["Threshold"] == 1


def test_nothing_is_paid_for_while_nobody_calls(resources: Resources) -> None:
    """What costs money idle is alarms and the secret. 730 calls of the sweep a month cost less than a cent."""
    schedules = [rule for rule in of_type(resources, "AWS::Events::Rule").values() if "ScheduleExpression" in rule]
    assert [rule["ScheduleExpression"] for rule in schedules] == ["rate(1 hour)"]
    assert resources["Table"]["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    billed = {"AWS::KMS::Key", "AWS::EC2::NatGateway", "AWS::EC2::VPCEndpoint", "AWS::CloudWatch::Dashboard"}
    assert not billed & {resource["Type"] for resource in resources.values()}
    assert "ProvisionedConcurrencyConfig" not in repr(resources)


def test_our_own_metric_is_one_and_of_this_stack(resources: Resources, functions: Resources) -> None:
    ours = [
        alarm
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace") == "Understudy"
    ]
    assert [alarm["Dimensions"] for alarm in ours] == [[{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]]
    for function in functions.values():
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def test_alarms_are_silent_without_calls_and_told_to_the_topic(resources: Resources) -> None:
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert alarm["AlarmActions"]["Fn::If"][0] == "HasAlarmTopic", name

"""The cost in dollars of a million calls, a thousand characters, a thousand videos, and a month without calls.

This is a model, not a bill. It uses measurements (processor time, calls to AWS, capacity units, logged bytes: warm.py
and cold_start.py), the template's memory sizes, list prices (prices.py) and the assumptions in ASSUMED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cold_start import Series
from bench.prices import dollars
from bench.warm import Warm

HOURS, SECONDS = 730, 730 * 3600  # of a month

# Values that cannot be measured here. Milliseconds are the duration of one call, as seen from the function.
ASSUMED: dict[str, float] = {
    "full_core_mb": 1769,  # a function of this size has one vCPU; a smaller function has a share and takes longer
    "cold_share": 0.01,  # of invocations: AWS says "typically under 1%"
    "authorizer_share": 1.0,  # of calls: its answer is cached for a minute for each key, so this is the maximum
    "dynamodb_ms": 5,
    "s3_ms": 30,
    "sqs_ms": 10,
    "step_functions_ms": 20,
    "secret_ms": 20,
    "provider_ms": 500,
    "platform_log_bytes": 600,  # the lines that Lambda itself writes for an invocation
    "traced_share": 0.05,  # X-Ray's default rule
    "polls": 12,  # steps of run_job for one video: one minute, with a poll every five seconds
    "poll_transitions": 3,  # of the state machine for each step: Wait, Step, IsDone
    "more_transitions": 2,  # of an execution: its start, and Done
    "status_reads": 12,  # by the client that waits for the video
    "idle_alarm_metrics": 10,
    "idle_secrets": 1,
    "idle_queue_requests": 650_000,  # Lambda polls one empty queue about 15 times a minute
    "idle_sweeps": 730,  # of sweep_jobs: one an hour
    "peer_vcpu": 2,  # LiteLLM's docs call this the minimum for production
    "peer_gb": 4,
    "peer_database_gb": 20,
}
# template.yaml: no client waits for these.
WITHOUT_SNAPSTART = {"run_job", "sweep_jobs", "ingest_upload", "inspect_clip", "stitch_clips"}
POLLS = (12, 60)  # of the executions whose cost is shown: a job of a minute, and of almost an hour
CALLS = ("get_character", "get_video", "list_videos", "get_content", "create_video", "edit_video", "extend_video")


@dataclass(frozen=True)
class Used:
    """The measurements of a function: memory in MB, processor time of a cold start, provider calls, warm calls."""

    memory: int
    cold_cpu_ms: float
    provider_calls: int
    warm: Warm


def used(series: list[Series]) -> dict[str, Used]:
    """Return the measurements of each function that has warm calls."""
    return {
        one.name: Used(one.memory, one.cpu_milliseconds.median, one.provider_calls, one.warm)
        for one in series
        if one.warm is not None
    }


def model(functions: Mapping[str, Used]) -> dict[str, Any]:
    """Compute the whole model, in dollars."""
    calls = {name: 1e6 * call(functions, name) for name in CALLS}
    idle = {
        "alarms": dollars("alarm_metric", ASSUMED["idle_alarm_metrics"]),
        "secret": dollars("secret", ASSUMED["idle_secrets"]),
        "queues": dollars("sqs", ASSUMED["idle_queue_requests"]),
        "sweeps": ASSUMED["idle_sweeps"] * invocation(functions["sweep_jobs"]),
    }
    always_on = {
        "fargate": HOURS
        * (dollars("fargate_vcpu_hour", ASSUMED["peer_vcpu"]) + dollars("fargate_gb_hour", ASSUMED["peer_gb"])),
        "load_balancer": dollars("load_balancer_hour", HOURS),
        "database": dollars("database_hour", HOURS) + dollars("database_gb_month", ASSUMED["peer_database_gb"]),
    }
    snapped = [one.memory for name, one in functions.items() if name not in WITHOUT_SNAPSTART]
    gigabytes = sum(snapped) / 1024
    videos = 1e3 * video(functions)
    return {
        "per_million_calls": calls,
        "per_thousand_characters": 1e3 * character(functions),
        "per_thousand_videos": videos,
        "per_thousand_executions": {f"{polls}_polls": 1e3 * execution(functions, polls) for polls in POLLS},
        "idle_month": sum(idle.values()),
        "idle_items": idle,
        "always_on_month": sum(always_on.values()),
        "always_on_items": always_on,
        # Above this number of videos, the always-on proxy is cheaper.
        "even_at_videos_a_month": 1e3 * (sum(always_on.values()) - sum(idle.values())) / videos,
        "snapstart_month": dollars("snapstart_gb_second", gigabytes * SECONDS),
        "snapstart_per_million_restores": dollars("snapstart_restore_gb", 512 / 1024 * 1e6),
    }


def call(functions: Mapping[str, Used], name: str) -> float:
    """Return the cost of one call of the API: gateway, authorizer, function, and a trace for a share of the calls."""
    around = dollars("api_gateway") + dollars("trace", ASSUMED["traced_share"])
    return around + ASSUMED["authorizer_share"] * invocation(functions["authorizer"]) + invocation(functions[name])


def character(functions: Mapping[str, Used]) -> float:
    """Return the cost of one character, made from a clip in a form."""
    looked_into = invocation(functions["inspect_clip"])
    waiting = duration(functions["inspect_clip"]) * _gigabytes(functions["create_character"])
    return call(functions, "create_character") + looked_into + dollars("lambda_gb_second", waiting)


def video(functions: Mapping[str, Used]) -> float:
    """Return the cost of one video from request to download, with its previews, without storage and data transfer."""
    previews = duration(functions["stitch_clips"]) * _gigabytes(functions["run_job"])
    return (
        call(functions, "create_video")
        + execution(functions, ASSUMED["polls"])
        + invocation(functions["stitch_clips"])
        + dollars("lambda_gb_second", previews)
        + ASSUMED["status_reads"] * call(functions, "get_video")
        + call(functions, "get_content")
    )


def execution(functions: Mapping[str, Used], polls: float) -> float:
    """Return the cost of the execution that drives a job: its state transitions, and a step of run_job for each poll.

    The measured step is the last one, which also copies the file, so the other steps cost less than this.
    """
    transitions = ASSUMED["poll_transitions"] * polls + ASSUMED["more_transitions"]
    return dollars("state_transition", transitions) + polls * invocation(functions["run_job"])


def invocation(one: Used) -> float:
    """Return the cost of one invocation of a function and of its calls to AWS. A share of the invocations is cold."""
    seconds = duration(one) + ASSUMED["cold_share"] * _cold_seconds(one)
    warm = one.warm
    s3 = {name: count for name, count in warm.aws_calls.items() if name.startswith("S3.")}
    reads = sum(count for name, count in s3.items() if name.startswith(("S3.GET", "S3.HEAD")))
    logged = warm.log_bytes + ASSUMED["platform_log_bytes"]
    return (
        dollars("lambda_request")
        + dollars("lambda_gb_second", seconds * _gigabytes(one))
        + dollars("dynamodb_read", warm.read_units)
        + dollars("dynamodb_write", warm.write_units)
        + dollars("s3_read", reads)
        + dollars("s3_write", sum(s3.values()) - reads)
        + dollars("sqs", _count(warm, "AmazonSQS."))
        + dollars("secret_read", ASSUMED["cold_share"])
        + dollars("log_gb", logged / 2**30)
    )


def duration(one: Used) -> float:
    """Return the seconds of a warm call: the work on the function's share of a core, plus the waiting."""
    warm = one.warm
    waits = (
        ASSUMED["dynamodb_ms"] * _count(warm, "DynamoDB.")
        + ASSUMED["s3_ms"] * _count(warm, "S3.")
        + ASSUMED["sqs_ms"] * _count(warm, "AmazonSQS.")
        + ASSUMED["step_functions_ms"] * _count(warm, "AWSStepFunctions.")
        + ASSUMED["provider_ms"] * one.provider_calls
    )
    return (warm.cpu_milliseconds * _slowness(one) + waits) / 1000


def _cold_seconds(one: Used) -> float:
    """Return the seconds that a cold start adds. Since August 2025 AWS bills all of them."""
    added = max(one.cold_cpu_ms - one.warm.cpu_milliseconds, 0.0)
    return (added * _slowness(one) + ASSUMED["secret_ms"]) / 1000


def _slowness(one: Used) -> float:
    return max(1.0, ASSUMED["full_core_mb"] / one.memory)


def _gigabytes(one: Used) -> float:
    return one.memory / 1024


def _count(warm: Warm, service: str) -> int:
    return sum(count for name, count in warm.aws_calls.items() if name.startswith(service))

"""What the functions of the deployed stack have logged, and what of that must not be there.

`everything` is asked of each stack when its last test is over, so nothing that a test has made it log escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.integration.live import Stack

MARK = "Zq7markmark"  # in everything of the marked calls of test_logs.py that is a caller's own
# The last two are one thing: an environment died during its call, or just before the call was written to it.
PLATFORM = re.compile(
    r"(START|END|REPORT|INIT_START|EXTENSION) [^\n]*\n?|Task timed out after [0-9.]+ seconds"
    r"|Worker process died|\[Errno 32\] Broken pipe"
)
# What a key, a signature or a policy looks like, whoever made it. Policies are base64 of '{"exp'.
SECRET = re.compile(
    r"us-[A-Za-z0-9_-]{43}|X-Amz-(?:Signature|Credential)|[?&]sig(?:nature)?=|eyJleH|Bearer ", re.IGNORECASE
)
SHORT = 12  # a prompt of fewer characters may stand in a log by chance


def events(stack: Stack, since: float = 0) -> Iterator[str]:
    """The messages of all functions, from a time on (unix seconds). The local AWS gives 10,000 and no token."""
    client, group = stack.settings.client("logs"), stack.outputs["LogGroupName"]
    start, before = int(since * 1000), set[tuple[Any, ...]]()
    while True:
        page = client.filter_log_events(logGroupName=group, startTime=start)["events"]
        new = {(one["timestamp"], one["logStreamName"], one["message"]) for one in page} - before
        if not new:
            return
        yield from (message for _, _, message in new)
        start, before = page[-1]["timestamp"], new


def read(lines: Iterable[str]) -> str:
    """Return the lines as one text, as they are and again with JSON's escapes read."""
    lines = list(lines)
    ours = (json.loads(line) for line in lines if line.startswith("{"))
    return "\n".join([*lines, *(json.dumps(line, ensure_ascii=False) for line in ours)])


def strange(lines: Iterable[str]) -> list[str]:
    """Return the first few lines that are not one whole line of ours or of the platform."""
    return [line for line in lines if not PLATFORM.fullmatch(line) and not _is_ours(line)][:5]


def _is_ours(line: str) -> bool:
    """One JSON object on one line, as the logger writes them, or as metrics go out."""
    try:
        names = json.loads(line).keys()
        return "\n" not in line.removesuffix("\n") and ({"level", "message"} <= names or "_aws" in names)
    except ValueError:
        return False


def around(text: str, what: re.Pattern[str]) -> list[str]:
    """Return the first few places, with what stands before them."""
    return [text[max(one.start() - 300, 0) : one.end() + 20] for one in what.finditer(text)][:5]


def marked(text: str) -> list[str]:
    """Return the places where something of a marked call stands."""
    return around(text, re.compile(MARK, re.IGNORECASE))


def secrets(stack: Stack) -> dict[str, str]:
    """Return what the stack must keep to itself, by name: providers' keys, what signs ids, the stack's own key."""
    client = stack.settings.client("secretsmanager")
    names = [one["Name"] for page in client.get_paginator("list_secrets").paginate() for one in page["SecretList"]]
    return {name: client.get_secret_value(SecretId=name)["SecretString"] for name in names} | {"key": stack.key}


def prompts(stack: Stack) -> set[str]:
    """Return every prompt in the table that cannot stand in a log by chance."""
    pages = stack.settings.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["TableName"])
    found = {row["prompt"]["S"] for page in pages for row in page["Items"] if "prompt" in row}
    return {prompt for prompt in found if len(set(prompt)) > 3 and len(prompt) >= SHORT}


def everything(stack: Stack) -> list[str]:
    """Return what is wrong with all that the stack has logged."""
    lines = list(events(stack))
    text = read(lines)
    return [
        *(f"not a line of ours: {line}" for line in strange(lines)),
        *(f"marked: {place}" for place in marked(text)),
        *(f"looks like a secret: {place}" for place in around(text, SECRET)),
        *(f"the secret {name}" for name, value in secrets(stack).items() if value in text),
        *(f"the prompt {prompt!r}" for prompt in prompts(stack) if prompt in text),
    ]

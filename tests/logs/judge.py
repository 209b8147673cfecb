"""Read the logs of the deployed stack's functions and find what must not be in them.

Each stack calls `everything` after its last test, so the logs of all tests are checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.integration.live import Stack

MARK = "Zq7markmark"  # in everything of the marked calls of test_logs.py that is a caller's own
# The last two have one cause: an environment died during its call, or just before the call was written to it.
PLATFORM = re.compile(
    r"(START|END|REPORT|INIT_START|EXTENSION) [^\n]*\n?|Task timed out after [0-9.]+ seconds"
    r"|Worker process died|\[Errno 32\] Broken pipe"
)
# The form of any key, signature or policy. Policies are base64 of '{"exp'.
SECRET = re.compile(
    r"us-[A-Za-z0-9_-]{43}|X-Amz-(?:Signature|Credential)|[?&]sig(?:nature)?=|eyJleH|Bearer ", re.IGNORECASE
)
SHORT = 12  # a prompt of fewer characters may stand in a log by chance


def events(stack: Stack, since: float = 0) -> Iterator[str]:
    """Yield the messages of all functions since a time in Unix seconds.

    The local AWS returns at most 10,000 messages and no token for the next page.
    """
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
    """Return the lines as one text: each line as it is, and each JSON line again with its escapes decoded."""
    lines = list(lines)
    ours = (json.loads(line) for line in lines if line.startswith("{"))
    return "\n".join([*lines, *(json.dumps(line, ensure_ascii=False) for line in ours)])


def strange(lines: Iterable[str]) -> list[str]:
    """Return the first five lines that are neither one whole line of ours nor a line of the platform."""
    return [line for line in lines if not PLATFORM.fullmatch(line) and not _is_ours(line)][:5]


def _is_ours(line: str) -> bool:
    """Return whether the line is one JSON object of the logger, or of the metrics, on one line."""
    try:
        names = json.loads(line).keys()
        return "\n" not in line.removesuffix("\n") and ({"level", "message"} <= names or "_aws" in names)
    except ValueError:
        return False


def around(text: str, what: re.Pattern[str]) -> list[str]:
    """Return the first five matches with the 300 characters before each."""
    return [text[max(one.start() - 300, 0) : one.end() + 20] for one in what.finditer(text)][:5]


def marked(text: str) -> list[str]:
    """Return the places that contain the mark of a marked call."""
    return around(text, re.compile(MARK, re.IGNORECASE))


def secrets(stack: Stack) -> dict[str, str]:
    """Return the stack's secrets by name: the providers' keys, the secret that signs ids, the stack's own key."""
    client = stack.settings.client("secretsmanager")
    names = [one["Name"] for page in client.get_paginator("list_secrets").paginate() for one in page["SecretList"]]
    return {name: client.get_secret_value(SecretId=name)["SecretString"] for name in names} | {"key": stack.key}


def prompts(stack: Stack) -> set[str]:
    """Return every prompt in the table that is too long and too varied to be in a log by chance."""
    pages = stack.settings.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["TableName"])
    found = {row["prompt"]["S"] for page in pages for row in page["Items"] if "prompt" in row}
    return {prompt for prompt in found if len(set(prompt)) > 3 and len(prompt) >= SHORT}


def everything(stack: Stack) -> list[str]:
    """Return a description of everything that is wrong in the stack's logs."""
    lines = list(events(stack))
    text = read(lines)
    return [
        *(f"not a line of ours: {line}" for line in strange(lines)),
        *(f"marked: {place}" for place in marked(text)),
        *(f"looks like a secret: {place}" for place in around(text, SECRET)),
        *(f"the secret {name}" for name, value in secrets(stack).items() if value in text),
        *(f"the prompt {prompt!r}" for prompt in prompts(stack) if prompt in text),
    ]

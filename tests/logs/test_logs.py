"""The logs of the deployed stack, after whatever the run did before: nothing in them is secret or personal, and every
line is one of ours, whole.

Alone, this file has only its own calls to look at.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.live import PATIENCE, Api, Stack

MARK = "Zq7markmark"
PROMPT = f"A {MARK} in the rain"
PLATFORM = re.compile(
    r"(START|END|REPORT|INIT_START|EXTENSION) [^\n]*\n?|Task timed out after [0-9.]+ seconds|Worker process died"
)
# What a key, a signature or a policy looks like, whoever made it. Policies are base64 of '{"exp'.
SECRET = re.compile(
    r"us-[A-Za-z0-9_-]{43}|X-Amz-(?:Signature|Credential)|[?&]sig(?:nature)?=|eyJleH|Bearer ", re.IGNORECASE
)
SHORT = 12  # a prompt of fewer characters may stand in a log by chance


@pytest.fixture(scope="module")
def request_ids(stack: Stack, api: Api, luna_clip: Path) -> list[str]:
    """What is told by the log of a few marked calls: some succeed, some are wrong in ways that quote the caller."""
    secret = {"idempotency-key": f"{MARK} key"}
    character = api.character(luna_clip, f"{MARK} Luna")
    video = api.wait(api.video(prompt=PROMPT, model="sora-2", characters=[{"id": character["id"]}])["id"])
    image = f"https://127.0.0.1/a.png?{MARK}"
    answers = [
        api.post("/videos", {"prompt": PROMPT, "model": "solo"}, headers=secret),
        api.post("/videos", {"prompt": f"{PROMPT}, again", "model": "solo"}, headers=secret),
        api.post("/videos", {"prompt": PROMPT, MARK: 1}),
        api.post("/videos", {"prompt": PROMPT, f'x\r\n{{"level":"ERROR"}}{MARK}': 1}),
        api.post("/videos", content=PROMPT.encode(), headers={"content-type": "application/x-www-form-urlencoded"}),
        api.post(
            "/videos", content=f'{{"{MARK}": 1, "{MARK}": 2}}'.encode(), headers={"content-type": "application/json"}
        ),
        api.post("/videos", {"prompt": PROMPT, "model": MARK}),
        api.post("/videos", {"prompt": PROMPT, "model": "solo", "input_reference": image}),
        api.post("/videos", {"prompt": PROMPT, "model": f"a\r\nb{MARK}"}),
        api.get(f"/videos/{video['id']}/content", params={"variant": f"{MARK}\r\n"}),
        api.get(f"/videos/video_{MARK}%0d%0a"),
        api.get("/videos", params={"after": MARK}),
        api.get(f"/videos/{video['id']}/content"),
        api.post(
            "/videos/uploads", {"purpose": "video", "filename": f"{MARK}.mp4", "bytes": 9, "mime_type": "video/mp4"}
        ),
    ]
    assert {answer.status_code for answer in answers} == {200, 302, 400, 404, 422}
    denied = httpx.get(f"{stack.base_url}/videos", headers={"authorization": f"Bearer us-{MARK}"})
    assert denied.status_code == 401
    return [answer.headers["x-request-id"] for answer in answers]


@pytest.fixture(scope="module")
def lines(stack: Stack, request_ids: list[str]) -> list[str]:
    """Everything in the log group, once the marked calls have arrived there."""
    until = time.monotonic() + PATIENCE
    while not set(request_ids) <= heard(events(stack, time.time() - 2 * PATIENCE)):
        assert time.monotonic() < until, "the log has not heard of these calls"
        time.sleep(0.5)
    return list(events(stack))


def heard(messages: Iterator[str]) -> set[str]:
    """The request ids that stand in messages."""
    return {found for message in messages for found in re.findall(r'"correlation_id":"([^"]+)"', message)}


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


@pytest.fixture(scope="module")
def text(lines: list[str]) -> str:
    """All of it as it is, and again with JSON's escapes read."""
    ours = (json.loads(line) for line in lines if line.startswith("{"))
    return "\n".join([*lines, *(json.dumps(line, ensure_ascii=False) for line in ours)])


def test_every_line_is_one_of_ours_and_whole(lines: list[str]) -> None:
    strange = [line for line in lines if not PLATFORM.fullmatch(line) and not is_ours(line)]
    assert strange[:5] == []
    assert len(lines) > 50


def is_ours(line: str) -> bool:
    """One JSON object on one line, as the logger writes them, or as metrics go out."""
    try:
        names = json.loads(line).keys()
        return "\n" not in line.removesuffix("\n") and ({"level", "message"} <= names or "_aws" in names)
    except ValueError:
        return False


def test_what_was_marked_is_not_there(text: str) -> None:
    assert around(text, re.compile(MARK, re.IGNORECASE)) == []


def test_nothing_looks_like_a_secret(text: str) -> None:
    assert around(text, SECRET) == []


def test_no_stored_secret_is_there(stack: Stack, text: str) -> None:
    """Providers' keys, and what signs ids."""
    client = stack.settings.client("secretsmanager")
    names = [one["Name"] for page in client.get_paginator("list_secrets").paginate() for one in page["SecretList"]]
    values = [client.get_secret_value(SecretId=name)["SecretString"] for name in names]
    assert len(values) > 3
    assert [name for name, value in zip(names, values, strict=True) if value in text] == []
    assert stack.key not in text


def test_no_prompt_of_the_run_is_there(stack: Stack, text: str) -> None:
    client = stack.settings.client("dynamodb")
    pages = client.get_paginator("scan").paginate(TableName=stack.outputs["TableName"])
    prompts = {row["prompt"]["S"] for page in pages for row in page["Items"] if "prompt" in row}
    told = {prompt for prompt in prompts if len(set(prompt)) > 3 and len(prompt) >= SHORT}
    assert PROMPT in told
    assert [prompt for prompt in told if prompt in text] == []


def around(text: str, what: re.Pattern[str]) -> list[str]:
    """The first few places, with what stands before them."""
    return [text[max(one.start() - 300, 0) : one.end() + 20] for one in what.finditer(text)][:5]

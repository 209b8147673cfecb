"""The logs of the deployed stack contain nothing secret or personal, and every line is one whole line of ours.

These tests look at a few marked calls and at the earlier calls of the same process. `judge.everything` looks again when
the last test of a stack is over (the fixture `stack` in tests/stacks.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.live import PATIENCE, Api, Stack
from tests.logs import judge
from tests.logs.judge import MARK, events

PROMPT = f"A {MARK} in the rain"


@pytest.fixture(scope="module")
def request_ids(stack: Stack, api: Api, luna_clip: Path) -> list[str]:
    """The request ids of a few marked calls: some succeed, some have errors that quote the caller."""
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
    """All lines of the log group, after the log of the marked calls has arrived."""
    until = time.monotonic() + PATIENCE
    while not set(request_ids) <= heard(events(stack, time.time() - 2 * PATIENCE)):
        assert time.monotonic() < until, "the log has not heard of these calls"
        time.sleep(0.5)
    return list(events(stack))


def heard(messages: Iterator[str]) -> set[str]:
    """Return the request ids in the messages."""
    return {found for message in messages for found in re.findall(r'"correlation_id":"([^"]+)"', message)}


@pytest.fixture(scope="module")
def text(lines: list[str]) -> str:
    return judge.read(lines)


def test_every_line_is_one_of_ours_and_whole(lines: list[str]) -> None:
    assert judge.strange(lines) == []
    assert len(lines) > 50


def test_what_was_marked_is_not_there(text: str) -> None:
    assert judge.marked(text) == []


def test_nothing_looks_like_a_secret(text: str) -> None:
    assert judge.around(text, judge.SECRET) == []


def test_no_stored_secret_is_there(stack: Stack, text: str) -> None:
    """The providers' keys, the secret that signs ids and the stack's own key are not in the log."""
    secrets = judge.secrets(stack)
    assert len(secrets) > 3
    assert [name for name, value in secrets.items() if value in text] == []


def test_no_prompt_of_the_run_is_there(stack: Stack, text: str) -> None:
    prompts = judge.prompts(stack)
    assert PROMPT in prompts
    assert [prompt for prompt in prompts if prompt in text] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('{"level":"INFO","message":"fine"}\n', False),
        ("START RequestId: 1", False),
        ("[Errno 32] Broken pipe", False),
        ("[Errno 32] Broken pipe of ours", True),
        ("Traceback (most recent call last):", True),
        ('{"level":"INFO"}', True),
        ('{"level":"INFO",\n"message":"two lines"}', True),
    ],
)
def test_who_judges_a_line_is_judged(line: str, wrong: bool) -> None:
    assert judge.strange([line]) == [line] * wrong


@pytest.mark.parametrize(
    "said", ["Bearer us-1", "us-" + "a" * 43, "?X-Amz-Signature=ab", "&sig=ab", "eyJleHBpcmF0aW9u"]
)
def test_who_judges_secrets_is_judged(said: str) -> None:
    escaped = "".join(f"\\u{ord(one):04x}" for one in said)
    assert judge.around(judge.read([said]), judge.SECRET)
    assert judge.around(judge.read([f'{{"level":"INFO","message":"{escaped}"}}']), judge.SECRET)

"""Every row of the fault table against the deployed stack: a provider fails, and nothing is lost or paid twice.

The rows run in parallel. No row can disturb another: each row has its own key and team, and a fault of a row strikes
only requests that carry the row's mark, or that are about a job whose order carried the mark.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from tests import rings
from tests.integration.fault_judge import SECONDS, Told, judge
from tests.integration.fault_servers import HOLD
from tests.integration.fault_table import RING, ROWS, Row
from tests.integration.live import Api, Json, answered, deaf, playing_time, together

if TYPE_CHECKING:
    from tests.integration.live import Stack

AT_ONCE = 16
PATIENCE = 300.0  # for a row; on a busy machine, and with all the others beside it
PACE = 2.0
# Codes of the gateway, or of a call while another try is in progress. The local AWS counts a cold start as part of a
# function's time. So a function that waits for its provider until the deadline may be ended before it answers.
NO_ANSWER_YET = {"timeout", "authorizer_failed", "server_error", "request_in_progress"}
CALLS = threading.BoundedSemaphore(4)  # at one moment, of those that are answered at once: cold starts take turns
QUICK = [row for row in ROWS if not row.hours]


@pytest.fixture(scope="module")
def nobody_answers(stack: Stack) -> Iterator[None]:
    """A server that neither accepts nor refuses a connection: its backlog is full."""
    address = deaf(stack.settings)
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(0)
        for _ in range(3):
            caller = opened.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(address)
        yield


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, stack: Stack, nobody_answers: None) -> Iterator[dict[str, Future[Told]]]:
    """The outcome of each row in this run, by the row's id; the slow rows start first."""
    wanted: list[Row] = sorted(rings.wanted(request, "row"), key=lambda row: not row.slow)
    run = secrets.token_hex(4)
    marked = [replace(row, mark=f"{run}{n:03}") for n, row in enumerate(wanted)]
    keys = stack.mint_limited([f"faults-{row.mark}" for row in marked], concurrent=1, budget=10 * HOLD)
    warm = Api(stack.base_url, stack.key)
    for count in (2, 6, AT_ONCE):  # cold starts take turns, and come before what is timed
        together(lambda _: warm.post("/videos", {"seconds": "banana"}), range(count), workers=count)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {row.id: pool.submit(_play, stack, key, row) for row, key in zip(marked, keys, strict=True)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("row", rings.inner(QUICK, RING), ids=lambda row: row.id)
def test_row(told: dict[str, Future[Told]], row: Row) -> None:
    judge(row, told[row.id].result())


def _play(stack: Stack, key: str, row: Row) -> Told:
    """Make the provider fail as the row says, order a video, wait for its end, and record what everybody reports."""
    simulator = stack.simulator(row.server.name)
    since = max((record["number"] for record in simulator.requests(account=row.account)), default=0)
    told, api = Told(), Api(stack.base_url, key)
    numbers = [simulator.fault(**{"about": row.mark, **hook}) for hook in row.hooks]
    try:
        answer = _order(api, row, told)
        told.status, told.headers, told.body = answer.status_code, answer.headers, answer.json()
        if answer.status_code == 200:
            told.video = _wait(api, told.body["id"], told.seen)
        told.listed = _read(api, "/videos")["data"]
        if told.video and told.video["status"] == "completed":
            told.film_seconds = playing_time(api.download(told.video["id"]).content)
        faults = {fault["id"]: fault for fault in simulator.faults()}
        told.hear(row, simulator.requests(account=row.account, since=since), [faults[one] for one in numbers])
        _count(stack, key, told)
        return told
    finally:
        for number in numbers:
            simulator.remove_fault(number)


def _order(api: Api, row: Row, told: Told) -> httpx.Response:
    """Order the video; repeat the call with the same idempotency key until the API has an answer.

    On a busy machine the gateway may time out first. A repetition with its key orders nothing new, and `told.tries`
    counts the calls.
    """
    headers, until = {"idempotency-key": str(uuid.uuid4())}, time.monotonic() + PATIENCE
    body: Json = {"prompt": row.text, "model": row.model, "seconds": str(SECONDS)}
    if row.image:
        body["input_reference"] = {"image_url": _image()}
    while True:
        told.tries += 1
        with nullcontext() if row.slow else CALLS:
            answer = api.post("/videos", body, headers=headers)
        if answer.status_code == 200 or answer.json()["error"]["code"] not in NO_ANSWER_YET:
            return answer
        assert time.monotonic() < until, answer.text
        time.sleep(PACE)


@cache
def _image() -> str:
    """Return a picture as a data URL."""
    file = io.BytesIO()
    Image.new("RGB", (720, 1280), "teal").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _read(api: Api, path: str) -> Json:
    """Send a GET; repeat it while the gateway is too busy to answer, and return the body."""
    until = time.monotonic() + PATIENCE
    while (answer := api.get(path)).status_code >= 500 and answer.json()["error"]["code"] in NO_ANSWER_YET:
        assert time.monotonic() < until, answer.text
        time.sleep(PACE)
    return answered(answer)


def _wait(api: Api, video_id: str, seen: set[str]) -> Json:
    until = time.monotonic() + PATIENCE
    while True:
        video = _read(api, f"/videos/{video_id}")
        seen.add(video["status"])
        if video["status"] in {"completed", "failed"}:
            return video
        assert time.monotonic() < until, json.dumps(video)
        time.sleep(PACE)


def _count(stack: Stack, key: str, told: Told) -> None:
    """Read the key's open slots, committed and spent money from DynamoDB."""
    found = stack.settings.client("dynamodb").query(
        TableName=stack.outputs["TableName"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"key#{hashlib.sha256(key.encode()).hexdigest()[:32]}"}},
        ConsistentRead=True,
    )
    rows: dict[str, Any] = {row["sk"]["S"]: row for row in found["Items"]}
    budgets = [row for sort, row in rows.items() if sort.startswith("budget#")]
    told.open = len(rows["slots"]["open"]["M"])
    told.committed = sum(int(row["committed"]["N"]) for row in budgets)
    told.spent = sum(int(row.get("spent", {"N": "0"})["N"]) for row in budgets)

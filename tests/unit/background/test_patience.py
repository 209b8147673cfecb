"""What takes hours: the fault table's longest rows, and an address that expires while an order waits.

The handlers run in this process on its simulated clock. The providers are the simulators, called over HTTP.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from local.simulators.process import Simulator
from tests import rings
from tests.fakes.stage import Stage
from tests.fakes.upstream import Upstream, refuse
from tests.integration.fault_judge import SECONDS, Told, judge
from tests.integration.fault_servers import HOLD, SERVERS
from tests.integration.fault_table import RING, ROWS, Row
from tests.integration.live import DEPLOYMENTS, playing_time
from understudy.access import keys
from understudy.background import archive
from understudy.files import clips
from understudy.jobs.job import Job
from understudy.network import http_client
from understudy.store import bucket, clients, table

SPEED = 50.0  # of the simulators: a job is done after 40 ms
PACE = 30  # seconds of the clock between two polls
LONG = [row for row in ROWS if row.hours]


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Simulator]]:
    """One simulator for each provider, by the provider's name."""
    made = {
        server.name: Simulator(
            tmp_path_factory.mktemp(server.name), speed=SPEED, module=f"local.simulators.{server.name}"
        )
        for server in SERVERS
    }
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(Simulator.start, made.values()))
        yield made
    finally:
        for simulator in made.values():
            simulator.stop()


@pytest.fixture
def gateway(
    stage: Stage, simulators: dict[str, Simulator], configure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """The stage in front of the simulators; the media functions answer for a clip of 4 s."""
    configure(_deployments(simulators))
    for name in simulators:
        clients.secretsmanager().create_secret(Name=f"understudy/sim-faults-{name}", SecretString=f"sim-faults-{name}")
    answers = clips._call
    monkeypatch.setattr(clips, "_call", lambda *given: answers(*given) | {"duration": float(SECONDS)})
    with httpx.Client(trust_env=False) as client:
        monkeypatch.setattr(http_client, "_http", lambda: client)
        yield stage


def _deployments(simulators: dict[str, Simulator]) -> str:
    """Return the deployments of the deployed stack that the rows use, with these simulators' addresses."""
    tables = re.split(r"^(?=\[)", DEPLOYMENTS.read_text("utf-8"), flags=re.MULTILINE)
    text = "".join(table for table in tables if table.startswith("[deployments.faults-"))
    text = re.sub(r"\$\{simulator\.(\w+)\}", lambda found: simulators[found[1]].url, text)
    text = re.sub(r"^poll_seconds = \d+$", f"poll_seconds = {PACE}", text, flags=re.MULTILINE)
    return text.replace("\npoll_seconds", "\ndefault = true\npoll_seconds", 1)


@pytest.mark.parametrize("row", rings.inner(LONG, RING), ids=lambda row: row.id)
def test_row(gateway: Stage, simulators: dict[str, Simulator], row: Row) -> None:
    row = replace(row, mark=secrets.token_hex(6))
    simulator = simulators[row.server.name]
    since = max((record["number"] for record in simulator.requests()), default=0)
    caller = gateway.sign_in(row.account, limits=keys.Limits(concurrent=1, budget=10 * HOLD))
    numbers = [simulator.fault(**{"about": row.mark, **hook}) for hook in row.hooks]
    try:
        reply = gateway.create(row.text, model=row.model, seconds=str(SECONDS))
        told = Told(tries=1, status=reply.status, headers=reply.headers, body=reply.body)
        if row.back_after is not None:
            gateway.run(row.back_after)
            told.seen.add(gateway.show(reply.body["id"])["status"])
        faults = [fault for fault in simulator.faults() if fault["id"] in numbers]
        if row.back_after is not None:
            simulator.clear_faults()
        gateway.run()
        told.video = gateway.show(reply.body["id"])
        told.seen.add(told.video["status"])
        told.listed = gateway.listed()
        faults = [fault for fault in simulator.faults() if fault["id"] in numbers] or faults
        told.hear(row, simulator.requests(account=row.account, since=since), faults)
    finally:
        simulator.clear_faults()
    assert gateway.executions.running == gateway.executions.failed == []
    (job,) = Job.page(caller.team, limit=2, newest_first=True, after=None)
    if job.output is not None:
        kept = clients.s3().get_object(Bucket="bucket", Key=archive.key(job))["Body"].read()
        told.film_seconds = playing_time(kept)
    assert job.month
    slots, budget = table.get(table.slots_key(caller.key_id)), table.get(table.budget_key(caller.key_id, job.month))
    assert slots is not None
    assert budget is not None
    told.open, told.committed, told.spent = len(slots["open"]), int(budget["committed"]), int(budget["spent"])
    judge(row, told)


KLING = """
[deployments.kling]
provider = "kling"
base_url = "https://kling.example"
secret = "secretsmanager:understudy/a"
models = { "kling" = "kling-3.0-omni" }
poll_seconds = 300

[deployments.solo]
provider = "openai"
base_url = "https://solo.example/v1"
secret = "secretsmanager:understudy/c"
models = { "solo" = "sora-2" }
poll_seconds = 300
options = { deadline_seconds = 86400 }
default = true
"""


def test_an_order_that_waited_for_hours_brings_a_fresh_address(
    stage: Stage, upstream: Upstream, configure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try of an order has a presigned URL of its own.

    Kling gets the presigned URL of a clip, which is valid for an hour. In this test the source takes three hours, and
    then Kling asks to wait for longer than an hour.
    """
    configure(KLING)
    monkeypatch.setattr(bucket, "presign", lambda key, **_: f"https://bucket/{key}?signed={int(stage.clock.now)}")
    busy = refuse(429, "1302", "too fast", **{"retry-after": "900"})
    taken = httpx.Response(200, json={"code": 0, "data": {"id": "task-1", "status": "submitted"}})
    refusals = 5

    def take(request: httpx.Request) -> httpx.Response:
        nonlocal refusals
        refusals -= 1
        return busy(request) if refusals >= 0 else taken

    upstream.rules["POST", "kling.example", ""] = take
    source = stage.create("A fox", model="solo").body["id"]
    edit = {"prompt": "Make it dusk", "video": {"id": source}, "model": "kling"}
    assert stage.call("edit_video", json_body=edit).status == 200
    start = stage.clock.now
    stage.run(3 * 3600)
    assert upstream.submits("kling.example") == []
    upstream.finish()
    stage.run(2 * 3600)
    orders = upstream.submits("kling.example")
    assert len(orders) == 6
    assert orders[0].at - start >= 3 * 3600
    assert orders[-1].at - orders[0].at >= bucket.URL_SECONDS
    for order in orders:
        (clip,) = [one for one in json.loads(order.content)["contents"] if one["type"] == "base_video"]
        assert clip["url"].endswith(f"?signed={int(order.at)}"), (clip, order.at)

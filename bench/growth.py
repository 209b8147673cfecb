"""`python -m bench.growth`: counts the requests of a call to the table while the table grows.

The client counts requests, evaluated items and capacity units (counting/python/counted.py). They must not depend on the
number of rows. The time of the local table does depend on it, but says nothing about DynamoDB's time. All rows belong
to one team: videos and characters alternately. The benchmark creates its own table and deletes the table afterwards.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench import routes
from bench.case import case_of
from bench.figures import say
from local.lambda_ import events, functions, invoke
from local.lambda_.invoke import Case
from local.lambda_.runtime import Function, Sandbox
from local.lambda_.seed import TEAM, Seeds
from local.settings import ROOT, Settings
from local.stack import lifecycle

ROWS = (100, 10_000, 50_000)
CALLS = ("list_videos", "get_video", "create_video", "list_characters", "get_character")
NAME = "understudy-bench-growth"
WARM_CALLS = 3
BATCH = 25  # of BatchWriteItem
COUNTING = ROOT / "bench" / "counting"

Item = dict[str, Any]


@dataclass(frozen=True)
class Count:
    """The requests of one warm call to the table."""

    operations: dict[str, int]
    items: int
    capacity: float

    @property
    def requests(self) -> int:
        return sum(self.operations.values())


def measure(settings: Settings, sizes: tuple[int, ...] = ROWS) -> dict[str, dict[int, Count]]:
    """Count every call for every number of rows. Raises SystemExit if an outcome is not as expected."""
    cases = {call: _case(settings, call) for call in CALLS}
    counts: dict[str, dict[int, Count]] = {call: {} for call in CALLS}
    with _table(settings) as table, _machine(settings) as machine:
        for rows in sizes:
            say(f"growth: {rows} rows")
            table.fill(rows)
            for call in CALLS:
                counts[call][rows] = _count(_function(settings, call, machine), cases[call])
            table.clear()
    return counts


def _case(settings: Settings, call: str) -> Case:
    """Return the case of a call. A list call has no parameters, so its answer is the newest twenty."""
    if not call.startswith("list_"):
        return routes.case(settings, call) if call in routes.CALLS else case_of(settings, call)
    seeds = Seeds(settings)
    event = events.event({"request": {}}, functions.route(settings, call), lambda: seeds.value("caller"))
    return Case(call, event, {"status": 200, "body": {"object": "list", "has_more": True}}, seeds)


def _count(function: Function, case: Case) -> Count:
    """Count a warm call: the smallest of some counts, as a call sometimes also reads a circuit breaker (routing.py)."""
    with Sandbox(function) as sandbox:
        _ask(sandbox, case)
        return min((_ask(sandbox, case) for _ in range(WARM_CALLS)), key=lambda count: count.requests)


def _ask(sandbox: Sandbox, case: Case) -> Count:
    outcome = sandbox.invoke(case.event)
    wrapped = outcome.result or {"answer": None, "asked": []}
    if differences := invoke.differences(case, replace(outcome, result=wrapped["answer"])):
        raise SystemExit(f"{case.function} did not answer as expected: {differences}\n{outcome.log}")
    asked = wrapped["asked"]
    return Count(
        dict(Counter(operation for operation, _, _ in asked)),
        sum(items for _, items, _ in asked),
        sum(units for _, _, units in asked),
    )


def _function(settings: Settings, name: str, machine: str) -> Function:
    """Return the built function for the benchmark's table.

    The function runs with the operator's rights, because its role may not use this table.
    """
    function = functions.load(settings, name)
    ours = {"TABLE_NAME": NAME, "JOB_MACHINE": machine, "AWS_SESSION_TOKEN": "", **settings.root_credentials}
    return replace(
        function,
        handler="counted.handler",
        layers=(*function.layers, COUNTING),
        environment={**function.environment, **ours},
        timeout=300.0,  # the local table is slow
    )


class _Table:
    """The benchmark's table. At first it has one finished video, one character and one key of the events' team."""

    def __init__(self, settings: Settings) -> None:
        self._client = settings.client("dynamodb")
        seeds = Seeds(settings)
        video = seeds.plant("record", TEAM, "video", seeds.value("video_completed"))
        character = seeds.plant("record", TEAM, "character", seeds.value("character"))
        real = seeds.outputs["TableName"]
        self._models = [self._found(real, f"team#{TEAM}", f"{kind}#{record}") for kind, record in (video, character)]
        key = seeds.value("caller")["key_id"]
        self._put([*self._models, self._found(real, f"key#{key}", "key")])
        self._rows = len(self._models)

    def fill(self, rows: int) -> None:
        """Fill the table up to `rows` rows of the team, with older copies of the video and the character."""
        new = [self._copy(number) for number in range(self._rows, rows)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._put, (new[at : at + BATCH] for at in range(0, len(new), BATCH))))
        self._rows = rows

    def clear(self) -> None:
        """Delete the videos that calls have made: otherwise the next lists would show them instead of copies."""
        video = self._models[0]
        request = {
            "TableName": NAME,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :after AND :last",
            "ExpressionAttributeValues": {
                ":pk": video["pk"],
                ":after": {"S": video["sk"]["S"] + "\0"},
                ":last": {"S": "video#\uffff"},
            },
            "ProjectionExpression": "pk, sk",
        }
        for key in self._client.query(**request)["Items"]:
            self._client.delete_item(TableName=NAME, Key=key)

    def _copy(self, number: int) -> Item:
        model = self._models[number % 2]
        record = model["sk"]["S"].partition("#")[2]
        copy = f"{number:012x}{number:016x}"  # the first part is a time, in milliseconds
        return dict(json.loads(json.dumps(model).replace(record, copy)))

    def _found(self, table: str, pk: str, sk: str) -> Item:
        return dict(self._client.get_item(TableName=table, Key={"pk": {"S": pk}, "sk": {"S": sk}})["Item"])

    def _put(self, items: list[Item]) -> None:
        self._client.batch_write_item(RequestItems={NAME: [{"PutRequest": {"Item": item}} for item in items]})


@contextmanager
def _table(settings: Settings) -> Iterator[_Table]:
    client = settings.client("dynamodb")
    _delete_table(client)
    client.create_table(
        TableName=NAME,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    try:
        yield _Table(settings)
    finally:
        _delete_table(client)


def _delete_table(client: Any) -> None:
    if NAME in client.list_tables()["TableNames"]:  # an earlier run may have left a table, too
        client.delete_table(TableName=NAME)


@contextmanager
def _machine(settings: Settings) -> Iterator[str]:
    """Yield the ARN of a temporary state machine that does nothing, for the jobs of the measured calls."""
    client = settings.client("stepfunctions")
    deployed = client.describe_state_machine(stateMachineArn=settings.facts()["outputs"]["JobMachineArn"])
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    arn = client.create_state_machine(name=NAME, definition=definition, roleArn=deployed["roleArn"])["stateMachineArn"]
    try:
        yield arn
    finally:
        client.delete_state_machine(stateMachineArn=arn)


def table(counts: dict[str, dict[int, Count]]) -> str:
    """Return the figures as a table for a terminal."""
    lines = [f"{'call':<17}{'rows':>8}{'requests':>10}{'items':>7}{'units':>7}"]
    for call, by_rows in counts.items():
        for rows, count in by_rows.items():
            said = ", ".join(f"{operation} {number}" for operation, number in count.operations.items())
            lines.append(f"{call:<17}{rows:>8}{count.requests:>10}{count.items:>7}{count.capacity:>7.1f}  {said}")
    return "\n".join(lines)


def main() -> None:
    """Run the command line: measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    given = parser.parse_args()
    settings = Settings.from_environment()
    lifecycle.url(settings)
    print(table(measure(settings, tuple(given.rows))))


if __name__ == "__main__":
    main()

"""The DynamoDB table. No other module knows its keys.

All rows of a team are in the team's own partition. So a row of another team cannot be reached even by mistake, and
listing needs no index. The one index has the keys of the jobs that have not ended, by creation time, and of the rows
that say what a team stores:

    pk                 sk                                   what
    team#<team>        video#<id>                           a job (jobs/job); the id sorts by creation time
    team#<team>        character#<id>                       a character (characters/character), likewise
    team#<team>        handle#<character>#<deployment>      the provider's id of a character (characters/handles)
    team#<team>        upload#<id>                          an upload (files/uploads)
    team#<team>        drop#<sha256 of key and bytes>       a dropped file's character (background/drop_folder)
    team#<team>        once#<operation>#<sha256 of key>     the job that an Idempotency-Key made
    team#<team>        call#<key id>#<operation>#<digest>#<attempt>  a call without such a key (jobs/retry_count)
    team#<team>        same#<key id>#<operation>#<digest>   the version of the calls with the same body
    team#<team>        entry#<job>#<hold or settlement>     the money of a job, never changed (jobs/budget)
    team#<team>        storage                              what the team stores (files/storage)
    upstream#<deployment>#<sha256 of id>  video, character  the owner of a provider's id (deployments/upstream_ids)
    key#<key id>       key                                  an API key (access/keys), its counters (access/rate_limit)
    key#<key id>       slots                                the key's open jobs (jobs/budget)
    key#<key id>       budget#<month>                       what the key has committed and spent (jobs/budget)
    circuit            <deployment>                         Powertools' circuit breaker (deployments/circuits)

Values are strings, integers, booleans, None, lists and maps (store/attributes).

botocore repeats a write whose response was lost. A transaction has a token, so DynamoDB knows the repeat. A write of
one row has none: if its first try was written, the repeat fails its own condition. So a write of one row puts a new
random `mark` into the row, and a failed condition that finds this mark is a success. No caller sees marks.
"""

from __future__ import annotations

import hashlib
import math
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from understudy.settings import settings
from understudy.store import attributes
from understudy.store.clients import dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        PutItemInputTypeDef,
        PutTypeDef,
        QueryInputTypeDef,
        TransactWriteItemTypeDef,
    )

Row = dict[str, Any]
PARTITION, SORT, TTL, MARK = "pk", "sk", "ttl", "mark"
CIRCUIT = "circuit"
UNFINISHED = {"unfinished": "job"}  # in the row of a job until it ends: the index `unfinished` has these rows only
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # mean seconds before retries of a write
PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}  # why DynamoDB cancels a write
TELL: Any = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}  # a refusal holds the row; it costs nothing


@dataclass(frozen=True, slots=True)
class Key:
    """The partition key and the sort key of a row."""

    pk: str
    sk: str


def video_key(team: str, video: str) -> Key:
    return Key(f"team#{team}", f"video#{video}")


def character_key(team: str, character: str) -> Key:
    return Key(f"team#{team}", f"character#{character}")


def handle_key(team: str, character: str, deployment: str) -> Key:
    return Key(f"team#{team}", f"handle#{character}#{deployment}")


def upload_key(team: str, upload: str) -> Key:
    return Key(f"team#{team}", f"upload#{upload}")


def drop_key(team: str, identity: str) -> Key:
    return Key(f"team#{team}", f"drop#{identity}")


def once_key(team: str, operation: str, key_hash: str) -> Key:
    return Key(f"team#{team}", f"once#{operation}#{key_hash}")


def call_key(team: str, key_id: str, operation: str, digest: str, attempt: str) -> Key:
    return Key(f"team#{team}", f"call#{key_id}#{operation}#{digest}#{attempt}")


def same_key(team: str, key_id: str, operation: str, digest: str) -> Key:
    return Key(f"team#{team}", f"same#{key_id}#{operation}#{digest}")


def upstream_key(deployment: str, upstream_id: str, kind: str) -> Key:
    return Key(f"upstream#{deployment}#{hashlib.sha256(upstream_id.encode()).hexdigest()}", kind)


def api_key_key(key_id: str) -> Key:
    return Key(f"key#{key_id}", "key")


def slots_key(payer: str) -> Key:
    return Key(f"key#{payer}", "slots")


def budget_key(payer: str, month: str) -> Key:
    return Key(f"key#{payer}", f"budget#{month}")


def entry_key(team: str, job: str, what: str) -> Key:
    return Key(f"team#{team}", f"entry#{job}#{what}")


def storage_key(team: str) -> Key:
    return Key(f"team#{team}", "storage")


class RowChanged(Exception):
    """A write found a row in another state than it expected, and wrote nothing.

    `failed` holds the positions of the refused writes among the arguments of `write_together`.
    """

    failed: tuple[int, ...] = ()
    gone = False  # botocore has repeated a write of one row, and there is no row now


@dataclass(frozen=True, slots=True)
class Put:
    """A row to be written by `write_together`. Unless `replace` is set, it must not exist yet, or must have expired."""

    key: Key
    row: Mapping[str, Any]
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a row by a DynamoDB expression, on a condition. `names` are used as #name, `values` as :value."""

    key: Key
    expression: str
    values: Mapping[str, Any]
    names: Mapping[str, str]
    condition: str = ""
    mark: str = ""

    def request(self) -> Any:
        """Return the change as DynamoDB takes it, alone and in a transaction."""
        request: dict[str, Any] = {
            "TableName": settings().table_name,
            "Key": _key(self.key),
            "UpdateExpression": self.expression,
            "ExpressionAttributeNames": {f"#{name}": attribute for name, attribute in self.names.items()},
            "ExpressionAttributeValues": {f":{name}": attributes.spell(value) for name, value in self.values.items()},
        }
        if self.condition:
            request["ConditionExpression"] = self.condition
        return {name: value for name, value in request.items() if value}


@dataclass(frozen=True, slots=True)
class Delete:
    """A row to be deleted by `write_together`. It must exist, and its attributes must have the values of `expect`."""

    key: Key
    expect: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> Any:
        """Return the deletion as DynamoDB takes it in a transaction."""
        conditions = [f"attribute_exists({PARTITION})", *(f"#{i} = :{i}" for i in range(len(self.expect)))]
        request: dict[str, Any] = {
            "TableName": settings().table_name,
            "Key": _key(self.key),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": {f"#{i}": name for i, name in enumerate(self.expect)},
            "ExpressionAttributeValues": {f":{i}": attributes.spell(one) for i, one in enumerate(self.expect.values())},
        }
        return {name: value for name, value in request.items() if value}


def swap(key: Key, changes: Mapping[str, Any], *, expect: Mapping[str, Any], remove: Iterable[str] = ()) -> Change:
    """Build a compare-and-swap: set `changes` if the row exists and every attribute in `expect` has that value.

    The attributes in `remove` are removed.

    An expected None means that the attribute is absent or null. An expected list or tuple means any of its values.
    """
    mark = secrets.token_hex(8)
    changes = {**changes, MARK: mark}
    names = {f"n{i}": name for i, name in enumerate(dict.fromkeys((*changes, *expect, *remove)))}
    alias = {name: placeholder for placeholder, name in names.items()}
    values: dict[str, Any] = {f"s{i}": value for i, value in enumerate(changes.values())}
    conditions = [f"attribute_exists({PARTITION})"]
    for i, (name, value) in enumerate(expect.items()):
        if value is None:
            conditions.append(f"(attribute_not_exists(#{alias[name]}) OR attribute_type(#{alias[name]}, :null))")
            values["null"] = "NULL"
        else:
            options = {f"e{i}_{j}": v for j, v in enumerate(value if isinstance(value, list | tuple) else [value])}
            conditions.append(f"#{alias[name]} IN ({', '.join(f':{option}' for option in options)})")
            values |= options
    sets = ", ".join(f"#{alias[name]} = :s{i}" for i, name in enumerate(changes))
    removes = ", ".join(f"#{alias[name]}" for name in remove)
    expression = f"SET {sets} REMOVE {removes}" if removes else f"SET {sets}"
    return Change(key, expression, values, names, " AND ".join(conditions), mark)


def get(key: Key, *, consistent: bool = True) -> Row | None:
    """Return the row, or None. The read is consistent by default: a client may poll right after its create.

    An expired row counts as absent, although DynamoDB may need days to delete it.
    """
    found = dynamodb().get_item(TableName=settings().table_name, Key=_key(key), ConsistentRead=consistent)
    row = _row(found.get("Item") or {})
    return row if row and row.get(TTL, math.inf) > time.time() else None


def put(key: Key, row: Mapping[str, Any], *, replace: bool = False) -> None:
    """Write one row. Raises RowChanged if the row exists, unless `replace` is set or the row has expired."""
    mark = secrets.token_hex(8)
    item = _item(key, {**row, MARK: mark})
    request: PutItemInputTypeDef = {"TableName": settings().table_name, "Item": item}
    if not replace:
        request |= _new(row) | TELL
    _written(lambda: dynamodb().put_item(**request), mark)


def write_together(*writes: Put | Change | Delete) -> None:
    """Write all rows or none. Raises RowChanged if a row that must be new exists or a condition fails."""
    requests: list[TransactWriteItemTypeDef] = []
    for one in writes:
        if not isinstance(one, Put):
            requests.append({"Update": one.request()} if isinstance(one, Change) else {"Delete": one.request()})
            continue
        put: PutTypeDef = {"TableName": settings().table_name, "Item": _item(one.key, one.row)}
        if not one.replace:
            put |= _new(one.row)
        requests.append({"Put": put})
    _written(lambda: dynamodb().transact_write_items(TransactItems=requests))


def update(key: Key, changes: Mapping[str, Any], *, expect: Mapping[str, Any]) -> Row:
    """Change one row by `swap` and return the whole new row. Raises RowChanged if the expectation fails."""
    return change(swap(key, changes, expect=expect))


def change(one: Change) -> Row:
    """Change one row and return the whole new row. Raises RowChanged if the condition fails."""
    request = one.request() | {"ReturnValues": "ALL_NEW"} | (TELL if one.mark else {})
    return _row(_written(lambda: dynamodb().update_item(**request), one.mark)["Attributes"])


def delete(key: Key, *, expect: Mapping[str, Any] | None = None) -> None:
    """Delete the row. With `expect`, raises RowChanged unless its attributes have those values."""
    request: dict[str, Any] = {}
    if expect:
        names = {f"#{i}": name for i, name in enumerate(expect)}
        request = {
            "ConditionExpression": " AND ".join(f"#{i} = :{i}" for i in range(len(expect))),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{i}": attributes.spell(value) for i, value in enumerate(expect.values())},
            **TELL,
        }
    try:
        _written(lambda: dynamodb().delete_item(TableName=settings().table_name, Key=_key(key), **request))
    except RowChanged as changed:
        if not changed.gone:  # gone: the first try has deleted the row
            raise


def page(start: Key, prefix: str, *, limit: int, newest_first: bool, after: str | None = None) -> list[Row]:
    """Return at most `limit` rows of `start.pk` whose sort key begins with `prefix`.

    With `after`, the rows are those beyond the sort key `prefix + after`. There is one query per DynamoDB page, and
    DynamoDB reads only the rows asked for, however many there are.
    """
    low, high = prefix, prefix + "\uffff"
    if after is not None:
        # '\0' is the smallest character that can follow: BETWEEN is inclusive at both ends.
        low, high = (low, prefix + after) if newest_first else (prefix + after + "\0", high)
    request: QueryInputTypeDef = {
        "TableName": settings().table_name,
        "KeyConditionExpression": f"{PARTITION} = :pk AND {SORT} BETWEEN :low AND :high",
        "ExpressionAttributeValues": {
            ":pk": attributes.spell(start.pk),
            ":low": attributes.spell(low),
            ":high": attributes.spell(high),
        },
        "ScanIndexForward": not newest_first,
        "Limit": limit + (1 if after is not None and newest_first else 0),
        "ConsistentRead": True,
    }
    rows: list[Row] = []
    while len(rows) < limit:
        answer = dynamodb().query(**request)
        found = (_row(item) for item in answer["Items"])
        rows += [row for row in found if after is None or row[SORT] != prefix + after]
        if not answer.get("LastEvaluatedKey"):
            break
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    return rows[:limit]


def unfinished(before: int, kind: str = UNFINISHED["unfinished"]) -> Iterator[Key]:
    """Yield the keys of the jobs that were created before that time and have not ended, the oldest first.

    For another `kind`, yield the keys of these rows instead.
    """
    request: QueryInputTypeDef = {
        "TableName": settings().table_name,
        "IndexName": "unfinished",
        "KeyConditionExpression": "unfinished = :job AND created_at < :before",
        "ExpressionAttributeValues": {
            ":job": attributes.spell(kind),
            ":before": attributes.spell(before),
        },
    }
    while True:
        answer = dynamodb().query(**request)
        for row in map(_row, answer["Items"]):
            yield Key(row[PARTITION], row[SORT])
        if not answer.get("LastEvaluatedKey"):
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def each(start: Key, prefix: str) -> Iterator[Row]:
    """Yield every row of `start.pk` whose sort key begins with `prefix`. For a few rows, such as handles."""
    after: str | None = None
    while rows := page(start, prefix, limit=100, newest_first=False, after=after):
        yield from rows
        after = rows[-1][SORT].removeprefix(prefix)


def _written(write: Callable[[], Any], mark: str = "") -> Any:
    """Run the write and return its response. Raises RowChanged if a condition fails, unless the row has the `mark`.

    A write that conflicts with a transaction on its row, or that finds the table busy, is retried after a short pause:
    it says nothing about the row yet.
    """
    from botocore.exceptions import ClientError

    pauses = iter(PAUSES)
    while True:
        try:
            return write()
        except ClientError as error:
            item: Any = error.response.get("Item", {})
            if mark and item.get(MARK) == attributes.spell(mark):
                return {"Attributes": item}
            pause = next(pauses, None) if _may_pass(error) else None
            if pause is None:
                raise _changed(error) from error
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311


def _may_pass(error: Any) -> bool:
    """Return True if the write conflicted with a transaction or found the table busy, and nothing else went wrong.

    botocore itself repeats a write of one row that finds the table busy.
    """
    if error.response["Error"]["Code"] == "TransactionConflictException":
        return True
    reasons = set(_reasons(error)) - {"None"}
    return bool(reasons) and reasons <= PASSING


def _changed(error: Any) -> Exception:
    reasons = _reasons(error)
    if error.response["Error"]["Code"] == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
        changed = RowChanged(str(error))
        changed.failed = tuple(i for i, reason in enumerate(reasons) if reason == "ConditionalCheckFailed")
        repeated = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
        changed.gone = repeated and "Item" not in error.response
        return changed
    return error  # type: ignore[no-any-return]


def _reasons(error: Any) -> list[str]:
    """Return the reason for each write of a cancelled transaction; 'None' for a write that did not fail."""
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])]


def _new(row: Mapping[str, Any]) -> Any:
    """Return the condition that there is no such row yet. An expired row may be replaced by a row that expires, too."""
    condition = f"attribute_not_exists({PARTITION})"
    if TTL not in row:
        return {"ConditionExpression": condition}
    return {
        "ConditionExpression": f"{condition} OR #ttl <= :now",
        "ExpressionAttributeNames": {"#ttl": TTL},
        "ExpressionAttributeValues": {":now": attributes.spell(int(time.time()))},
    }


def _key(key: Key) -> Any:
    return {PARTITION: {"S": key.pk}, SORT: {"S": key.sk}}


def _item(key: Key, row: Mapping[str, Any]) -> Any:
    return {name: attributes.spell(value) for name, value in row.items()} | _key(key)


def _row(item: Mapping[str, Any]) -> Row:
    return {name: attributes.read(attribute) for name, attribute in item.items() if name != MARK}

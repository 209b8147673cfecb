"""The DynamoDB table: the only module that knows its keys.

Everything of a team lives in the team's own partition, so a row of another team cannot be reached even by mistake, and
listing needs no index:

    pk                 sk                                   what
    team#<team>        video#<id>                           a job (jobs.py); the id sorts by creation time
    team#<team>        character#<id>                       a character (characters.py), likewise
    team#<team>        handle#<character>#<deployment>      what a provider calls the character
    team#<team>        upload#<id>                          an upload (uploads.py)
    team#<team>        drop#<sha256 of key and bytes>       which character a dropped file became (drops.py)
    team#<team>        once#<operation>#<sha256 of key>     which job an Idempotency-Key made
    team#<team>        last#<caller>#<operation>#<digest>   which job the same body made last (repeats by the clients)
    key#<sha256>       key                                  an API key (keys.py)
    circuit            <deployment>                         Powertools' circuit breaker (routing.py)

Values are strings, integers, booleans, None, lists and maps; DynamoDB's numbers come back as int.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.aws import dynamodb
from understudy.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        PutItemInputTypeDef,
        PutTypeDef,
        QueryInputTypeDef,
        TransactWriteItemTypeDef,
    )

Row = dict[str, Any]
PARTITION, SORT, TTL = "pk", "sk", "ttl"
CIRCUIT = "circuit"
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4)  # seconds between tries to write together


@dataclass(frozen=True, slots=True)
class Key:
    """Where a row lives."""

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


def last_key(team: str, caller: str, operation: str, digest: str) -> Key:
    return Key(f"team#{team}", f"last#{caller}#{operation}#{digest}")


def api_key_key(key_hash: str) -> Key:
    return Key(f"key#{key_hash}", "key")


class RowChanged(Exception):
    """A write found the row in another state than it expected, and wrote nothing."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write a row that must not exist yet, or may (`replace`). Part of `write_together`."""

    key: Key
    row: Mapping[str, Any]
    replace: bool = False


def get(key: Key, *, consistent: bool = True) -> Row | None:
    """The row, or None. Consistent by default: a client may poll right after its create."""
    found = dynamodb().get_item(TableName=settings().table_name, Key=_key(key), ConsistentRead=consistent)
    item = found.get("Item")
    return _row(item) if item else None


def put(key: Key, row: Mapping[str, Any], *, replace: bool = False) -> None:
    """Write one row. Raises RowChanged when it exists and `replace` is not set."""
    from botocore.exceptions import ClientError

    request: PutItemInputTypeDef = {"TableName": settings().table_name, "Item": _item(key, row)}
    if not replace:
        request["ConditionExpression"] = f"attribute_not_exists({PARTITION})"
    try:
        dynamodb().put_item(**request)
    except ClientError as error:
        raise _changed(error) from error


def write_together(*puts: Put) -> None:
    """All rows or none. Raises RowChanged when one that must be new exists.

    A write that meets another one on a row waits a moment: that says nothing about the rows yet.
    """
    from botocore.exceptions import ClientError

    writes: list[TransactWriteItemTypeDef] = []
    for one in puts:
        write: PutTypeDef = {"TableName": settings().table_name, "Item": _item(one.key, one.row)}
        if not one.replace:
            write["ConditionExpression"] = f"attribute_not_exists({PARTITION})"
        writes.append({"Put": write})
    for pause in (*CONFLICT_PAUSES, None):
        try:
            dynamodb().transact_write_items(TransactItems=writes)
            return
        except ClientError as error:
            changed = _changed(error)
            if pause is None or isinstance(changed, RowChanged) or "TransactionConflict" not in _reasons(error):
                raise changed from error
            time.sleep(pause)


def update(key: Key, changes: Mapping[str, Any], *, expect: Mapping[str, Any]) -> Row:
    """Compare and swap: set `changes` if the row exists and every attribute in `expect` has that value.

    An expected None means that the attribute is absent or null. A list or tuple means any of its values.
    Returns the whole new row; raises RowChanged when the expectation fails.
    """
    from botocore.exceptions import ClientError

    names = {f"#{i}": name for i, name in enumerate(dict.fromkeys((*changes, *expect)))}
    alias = {name: placeholder for placeholder, name in names.items()}
    values: dict[str, Any] = {f":s{i}": value for i, value in enumerate(changes.values())}
    conditions = [f"attribute_exists({PARTITION})"]
    for i, (name, value) in enumerate(expect.items()):
        if value is None:
            conditions.append(f"(attribute_not_exists({alias[name]}) OR attribute_type({alias[name]}, :null))")
            values[":null"] = "NULL"
        else:
            options = {f":e{i}_{j}": v for j, v in enumerate(value if isinstance(value, list | tuple) else [value])}
            conditions.append(f"{alias[name]} IN ({', '.join(options)})")
            values |= options
    sets = ", ".join(f"{alias[name]} = :s{i}" for i, name in enumerate(changes))
    try:
        answer = dynamodb().update_item(
            TableName=settings().table_name,
            Key=_key(key),
            UpdateExpression=f"SET {sets}",
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={name: _serialize(value) for name, value in values.items()},
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        raise _changed(error) from error
    return _row(answer["Attributes"])


def delete(key: Key, *, expect: Mapping[str, Any] | None = None) -> None:
    """Delete the row; with `expect`, only if its attributes have those values (RowChanged otherwise)."""
    from botocore.exceptions import ClientError

    request: dict[str, Any] = {}
    if expect:
        names = {f"#{i}": name for i, name in enumerate(expect)}
        request = {
            "ConditionExpression": " AND ".join(f"#{i} = :{i}" for i in range(len(expect))),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{i}": _serialize(value) for i, value in enumerate(expect.values())},
        }
    try:
        dynamodb().delete_item(TableName=settings().table_name, Key=_key(key), **request)
    except ClientError as error:
        raise _changed(error) from error


def page(start: Key, prefix: str, *, limit: int, newest_first: bool, after: str | None = None) -> list[Row]:
    """At most `limit` rows of `start.pk` whose sort key begins with `prefix`, beyond `prefix + after` if given.

    One query per DynamoDB page; only the rows asked for are evaluated, however many there are.
    """
    low, high = prefix, prefix + "\uffff"
    if after is not None:
        # '\0' is the smallest character that can follow: BETWEEN is inclusive at both ends.
        low, high = (low, prefix + after) if newest_first else (prefix + after + "\0", high)
    request: QueryInputTypeDef = {
        "TableName": settings().table_name,
        "KeyConditionExpression": f"{PARTITION} = :pk AND {SORT} BETWEEN :low AND :high",
        "ExpressionAttributeValues": {
            ":pk": _serialize(start.pk),
            ":low": _serialize(low),
            ":high": _serialize(high),
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


def each(start: Key, prefix: str) -> Iterator[Row]:
    """Every row of `start.pk` whose sort key begins with `prefix`; for small families such as handles."""
    after: str | None = None
    while rows := page(start, prefix, limit=100, newest_first=False, after=after):
        yield from rows
        after = rows[-1][SORT].removeprefix(prefix)


def _changed(error: Any) -> Exception:
    if error.response["Error"]["Code"] == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in _reasons(error):
        return RowChanged(str(error))
    return error  # type: ignore[no-any-return]


def _reasons(error: Any) -> list[str]:
    """Why a transaction was cancelled, row by row."""
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])]


def _key(key: Key) -> Any:
    return {PARTITION: {"S": key.pk}, SORT: {"S": key.sk}}


def _item(key: Key, row: Mapping[str, Any]) -> Any:
    return {name: _serialize(value) for name, value in row.items()} | _key(key)


def _serialize(value: Any) -> Any:
    from boto3.dynamodb.types import TypeSerializer

    return TypeSerializer().serialize(value)


def _row(item: Mapping[str, Any]) -> Row:
    from boto3.dynamodb.types import TypeDeserializer

    deserialize = TypeDeserializer().deserialize
    return {name: _plain(deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    from decimal import Decimal

    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value

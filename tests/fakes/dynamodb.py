"""DynamoDB in memory, behind the real client: botocore validates and serializes the requests, this module answers them.

moto does the same through HTTP, a serializer and deep copies, and is about thirty times slower. test_table.py runs on
both, so that this module and moto cannot differ. This module is as strict as the service where mistakes are likely:
test_strict_dynamodb.py has a test for each limit. The limits are those of the DynamoDB Developer Guide, "Constraints in
Amazon DynamoDB" and "DynamoDB item sizes and formats", and of the API reference of TransactWriteItems (2026-12-01).
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from tests.fakes.edges import Edges
from tests.fakes.expressions import Expression, Item, Refusal, Value, check, copy, invalid

MAX_ITEM = 400 * 1024  # bytes, as `_size` counts them
PAGE = 1024 * 1024
MAX_TRANSACTION = 4 * 1024 * 1024
MAX_WRITES = 100  # in one transaction
MAX_PARTITION_KEY, MAX_SORT_KEY = 2048, 1024  # bytes
_TOO_LARGE = "Item size has exceeded the maximum allowed size"
_TOO_LARGE_NOW = "Item size to update has exceeded the maximum allowed size"
_REASON = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}


class DynamoDB:
    """One table; register `answer` as a handler of botocore's `before-call.dynamodb`."""

    def __init__(self, edges: Edges) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self._indexes: dict[str, tuple[str, str]] = {}  # name -> attributes of its key; each projects keys only
        self._types: dict[str, str] = {}  # of the attributes of all keys
        self.edges = edges

    def answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        """Return the response that botocore uses instead of making the call."""
        self.edges.touch(model.name)
        try:
            result = getattr(self, f"_{model.name}")(json.loads(params["body"]))
            status = 200
        except Refusal as refusal:
            result, status = refusal.answer, 400
        return SimpleNamespace(status_code=status), {**result, "ResponseMetadata": {"HTTPStatusCode": status}}

    def _CreateTable(self, request: dict[str, Any]) -> dict[str, Any]:
        self._types = {one["AttributeName"]: one["AttributeType"] for one in request["AttributeDefinitions"]}
        for index in request.get("GlobalSecondaryIndexes", []):
            assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
            hashed, ranged = (one["AttributeName"] for one in index["KeySchema"])
            self._indexes[index["IndexName"]] = hashed, ranged
        return {}

    def _GetItem(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self.items.get(_place(request["Key"]))
        return {"Item": copy(item)} if item else {}

    def _PutItem(self, request: dict[str, Any]) -> dict[str, Any]:
        place, item = _place(request["Item"]), request["Item"]
        _limit(item)
        self._checked(request, place)
        self._check_keys(item)
        self.items[place] = item
        return {}

    def _DeleteItem(self, request: dict[str, Any]) -> dict[str, Any]:
        place = _place(request["Key"])
        self._checked(request, place)
        self.items.pop(place, None)
        return {}

    def _UpdateItem(self, request: dict[str, Any]) -> dict[str, Any]:
        place = _place(request["Key"])
        self._checked(request, place)
        item = self._updated(place, request)
        _limit(item, _TOO_LARGE_NOW)
        self._check_keys(item)
        self.items[place] = item
        return {"Attributes": copy(item)}

    def _TransactWriteItems(self, request: dict[str, Any]) -> dict[str, Any]:
        writes = [next(iter(write.items())) for write in request["TransactItems"]]
        if len(writes) > MAX_WRITES:
            raise invalid(f"Member must have length less than or equal to {MAX_WRITES}")
        places = [_place(write.get("Item") or write["Key"]) for _, write in writes]
        if len(set(places)) < len(places):
            raise invalid("Transaction request cannot include multiple operations on one item")
        after: dict[tuple[str, str], Item | None] = {}  # the items that the transaction writes; None: deleted
        reasons = []
        for place, (kind, write) in zip(places, writes, strict=True):
            if kind == "Put":
                _limit(write["Item"])
            reason = {"Code": "None"}
            try:
                self._checked(write, place)
                if kind != "ConditionCheck":
                    after[place] = self._after(kind, place, write)
            except Refusal as refusal:
                code, message = refusal.answer["Error"].values()
                if message == _TOO_LARGE_NOW:
                    reason = {"Code": "ValidationError", "Message": message}
                elif code == "ConditionalCheckFailedException":
                    reason = _REASON
                else:
                    raise
            reasons.append(reason)
        if any(reason["Code"] != "None" for reason in reasons):
            raise Refusal("TransactionCanceledException", "cancelled", CancellationReasons=reasons)
        if (
            len(after) * MAX_ITEM > MAX_TRANSACTION
            and sum(_size(one) for one in after.values() if one) > MAX_TRANSACTION
        ):
            raise invalid("The aggregate size of the items in the transaction exceeds 4 MB")
        for item in after.values():
            self._check_keys(item or {})
        for place, item in after.items():
            if item is None:
                self.items.pop(place, None)
            else:
                self.items[place] = item
        return {}

    def _after(self, kind: str, place: tuple[str, str], write: dict[str, Any]) -> Item | None:
        """Return the item as a write of a transaction leaves it, or None if the write deletes the item."""
        if kind == "Delete":
            return None
        if kind == "Put":
            put: Item = write["Item"]
            return put
        item = self._updated(place, write)
        _limit(item, _TOO_LARGE_NOW)
        return item

    def _Query(self, request: dict[str, Any]) -> dict[str, Any]:
        check(request)
        fits = Expression(request["KeyConditionExpression"], request)
        index = self._indexes[request["IndexName"]] if "IndexName" in request else None
        if index and request.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        order = (lambda item: (Decimal(item[index[1]]["N"]), *_place(item))) if index else _place
        held = [item for item in self.items.values() if set(index or ()) <= set(item)]
        forward = request.get("ScanIndexForward", True)
        found = sorted(filter(fits.condition, held), key=order, reverse=not forward)
        keys = ("pk", "sk", *(index or ()))
        if start := request.get("ExclusiveStartKey"):
            if set(start) != set(keys):
                raise invalid("The provided starting key is invalid")
            after = order(start)
            found = [item for item in found if order(item) != after and (order(item) > after) == forward]
        page: list[Item] = []
        size = 0
        for item in found:
            size += len(json.dumps(item))
            too_large = size > PAGE and sum(map(_size, [*page, item])) > PAGE
            if too_large or len(page) == request.get("Limit"):
                break
            page.append(copy({name: item[name] for name in keys} if index else item))
        else:
            if len(page) != request.get("Limit"):
                return {"Items": page}
        return {"Items": page, "LastEvaluatedKey": {name: page[-1][name] for name in keys}}

    def _check_keys(self, item: Item) -> None:
        """Raise Refusal if an attribute of an index's key has another type than the table says."""
        for name in {name for index in self._indexes.values() for name in index} & set(item):
            if set(item[name]) != {self._types[name]}:
                raise invalid(f"Type mismatch for Index Key {name} Expected: {self._types[name]}")

    def _checked(self, request: dict[str, Any], place: tuple[str, str]) -> None:
        """Raise Refusal if the condition fails, or if an expression is invalid."""
        check(request)
        text = request.get("ConditionExpression")
        if text and not Expression(text, request).condition(self.items.get(place, {})):
            item = self.items.get(place)
            tells = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            more = {"Item": copy(item)} if item and tells else {}
            raise Refusal("ConditionalCheckFailedException", "The conditional request failed", **more)

    def _updated(self, place: tuple[str, str], request: dict[str, Any]) -> Item:
        """Return the item as the update leaves it. It is not stored yet."""
        item = copy(self.items.get(place, request["Key"]))
        Expression(request["UpdateExpression"], request).update(item)
        return item


def _place(key: Item) -> tuple[str, str]:
    pk, sk = key["pk"]["S"], key["sk"]["S"]
    if not pk or not sk:
        raise invalid("One or more parameter values are not valid: a key is an empty string")
    if len(pk.encode()) > MAX_PARTITION_KEY or len(sk.encode()) > MAX_SORT_KEY:
        raise invalid("One or more parameter values were invalid: Size of a key has exceeded the maximum size limit")
    return pk, sk


def _limit(item: Item, message: str = _TOO_LARGE) -> None:
    """Raise Refusal if the item is too large."""
    if len(json.dumps(item)) > MAX_ITEM and _size(item) > MAX_ITEM:  # JSON is longer than what DynamoDB counts
        raise invalid(message)


def _size(item: Item) -> int:
    """Return the size of an item, of its names and values in bytes, as DynamoDB counts it."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Value) -> int:
    ((kind, one),) = value.items()
    match kind:
        case "S":
            return len(one.encode())
        case "N":
            return (len(Decimal(one).as_tuple().digits) + 1) // 2 + 1
        case "B":
            return len(base64.b64decode(one))
        case "L":
            return 3 + sum(1 + _value_size(inner) for inner in one)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(inner) for name, inner in one.items())
        case "SS" | "NS" | "BS":
            return sum(_value_size({kind[0]: inner}) for inner in one)
    return 1  # NULL and BOOL

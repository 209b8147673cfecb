"""DynamoDB in memory, behind the real client: botocore validates and serializes the requests, this module answers them.

moto does the same through HTTP, a serializer and deep copies, and is about thirty times slower. test_table.py runs on
both, so that this module and moto cannot differ. This module is as strict as the service where mistakes are likely:
unused names and values, empty keys, two writes to one item in a transaction, items over 400 kB, pages of 1 MB.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from tests.fakes.edges import Edges

Value = dict[str, Any]  # {"S": ...}, {"N": ...}, ...
Item = dict[str, Value]
MAX_ITEM = 400 * 1024
PAGE = 1024 * 1024
_TOKEN = re.compile(r"\s*(#\w+|:\w+|\w+|<>|<=|>=|[=<>(),.+-])")
_REASON = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}


def _copy(item: Item) -> Item:
    """Return a copy of an item, several times faster than `copy.deepcopy`."""
    copied: Item = pickle.loads(pickle.dumps(item))  # noqa: S301 - our own bytes
    return copied


class Refusal(Exception):
    """An error response of the service."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        self.answer = {"Error": {"Code": code, "Message": message}, **more}


class DynamoDB:
    """One table; register `answer` as a handler of botocore's `before-call.dynamodb`."""

    def __init__(self, edges: Edges) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self._edges = edges

    def answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        """Return the response that botocore uses instead of making the call."""
        self._edges.touch(model.name)
        try:
            result = getattr(self, f"_{model.name}")(json.loads(params["body"]))
            status = 200
        except Refusal as refusal:
            result, status = refusal.answer, 400
        return SimpleNamespace(status_code=status), {**result, "ResponseMetadata": {"HTTPStatusCode": status}}

    def _CreateTable(self, request: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _GetItem(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self.items.get(_place(request["Key"]))
        return {"Item": _copy(item)} if item else {}

    def _PutItem(self, request: dict[str, Any]) -> dict[str, Any]:
        self._checked(request, request["Item"])
        self._put(request)
        return {}

    def _DeleteItem(self, request: dict[str, Any]) -> dict[str, Any]:
        self._checked(request, request["Key"])
        self.items.pop(_place(request["Key"]), None)
        return {}

    def _UpdateItem(self, request: dict[str, Any]) -> dict[str, Any]:
        self._checked(request, request["Key"])
        return {"Attributes": _copy(self._update(request))}

    def _TransactWriteItems(self, request: dict[str, Any]) -> dict[str, Any]:
        writes = [next(iter(write.items())) for write in request["TransactItems"]]
        places = [_place(write.get("Item") or write["Key"]) for _, write in writes]
        if len(set(places)) < len(places):
            raise _invalid("Transaction request cannot include multiple operations on one item")
        reasons = []
        for _, write in writes:
            try:
                self._checked(write, write.get("Item") or write["Key"])
                reasons.append({"Code": "None"})
            except Refusal as refusal:
                if refusal.answer["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                reasons.append(_REASON)
        if _REASON in reasons:
            raise Refusal("TransactionCanceledException", "cancelled", CancellationReasons=reasons)
        effects: dict[str, Callable[[dict[str, Any]], Any]] = {
            "Put": self._put,
            "Update": self._update,
            "Delete": self._DeleteItem,
            "ConditionCheck": lambda write: None,
        }
        for kind, write in writes:
            effects[kind]({name: value for name, value in write.items() if name != "ConditionExpression"})
        return {}

    def _Query(self, request: dict[str, Any]) -> dict[str, Any]:
        fits = Expression(request["KeyConditionExpression"], request)
        found = sorted((place, item) for place, item in self.items.items() if fits.condition(item))
        if not request.get("ScanIndexForward", True):
            found.reverse()
        if start := request.get("ExclusiveStartKey"):
            after = _place(start)
            found = [
                one for one in found if (one[0] > after) == request.get("ScanIndexForward", True) and one[0] != after
            ]
        page: list[Item] = []
        size = 0
        for place, item in found:
            page.append(_copy(item))
            size += len(json.dumps(item))
            if len(page) == request.get("Limit") or size > PAGE:
                return {"Items": page, "LastEvaluatedKey": {"pk": {"S": place[0]}, "sk": {"S": place[1]}}}
        return {"Items": page}

    def _checked(self, request: dict[str, Any], key: Item) -> None:
        """Raise Refusal if the condition fails, or if a name or value is unused or undefined."""
        used: set[str] = set()
        fits = True
        if text := request.get("ConditionExpression"):
            condition = Expression(text, request)
            fits = condition.condition(self.items.get(_place(key), {}))
            used |= condition.used
        used |= set(re.findall(r"[#:]\w+", request.get("UpdateExpression", "")))
        given = {*request.get("ExpressionAttributeNames", {}), *request.get("ExpressionAttributeValues", {})}
        if given != used:
            raise _invalid(f"unused or undefined in expressions: {sorted(given ^ used)}")
        if not fits:
            item = self.items.get(_place(key))
            tells = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            more = {"Item": _copy(item)} if item and tells else {}
            raise Refusal("ConditionalCheckFailedException", "The conditional request failed", **more)

    def _put(self, request: dict[str, Any]) -> None:
        item = request["Item"]
        if len(json.dumps(item)) > MAX_ITEM:
            raise _invalid("Item size has exceeded the maximum allowed size")
        self.items[_place(item)] = item

    def _update(self, request: dict[str, Any]) -> Item:
        place = _place(request["Key"])
        item = _copy(self.items.get(place, request["Key"]))
        Expression(request["UpdateExpression"], request).update(item)
        self._put({"Item": item})
        return item


class Expression:
    """A condition or update expression, evaluated while it is parsed."""

    def __init__(self, text: str, request: dict[str, Any]) -> None:
        self._tokens = [*_TOKEN.findall(text), ""]
        if "".join(self._tokens) != re.sub(r"\s", "", text):
            raise _invalid(f"syntax: {text}")
        self._at = 0
        self._names = request.get("ExpressionAttributeNames", {})
        self._values = request.get("ExpressionAttributeValues", {})
        self.used = {token for token in self._tokens if token[:1] in ("#", ":")}

    def condition(self, item: Item) -> bool:
        self._at = 0
        result = self._or(item)
        self._take("")
        return result

    def update(self, item: Item) -> None:
        before = _copy(item)
        while section := self._next():
            while True:
                path = self._path()
                parent = _descend(item, path[:-1])
                if parent is None:
                    raise _invalid("The document path provided in the update expression is invalid for update")
                if section == "SET":
                    self._take("=")
                    parent[path[-1]] = self._sum(before)
                elif section == "REMOVE":
                    parent.pop(path[-1], None)
                elif section == "ADD":
                    old = parent.get(path[-1], {"N": "0"})
                    parent[path[-1]] = {"N": str(Decimal(old["N"]) + Decimal(self._operand(before)["N"]))}  # type: ignore[index]
                else:
                    raise _invalid(f"section {section}")
                if not self._skip(","):
                    break

    def _or(self, item: Item) -> bool:
        result = self._and(item)
        while self._skip("OR"):
            result = self._and(item) or result
        return result

    def _and(self, item: Item) -> bool:
        result = self._not(item)
        while self._skip("AND"):
            result = self._not(item) and result
        return result

    def _not(self, item: Item) -> bool:
        if self._skip("NOT"):
            return not self._not(item)
        if self._skip("("):
            result = self._or(item)
            self._take(")")
            return result
        if self._tokens[self._at] in ("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with"):
            return self._function(item)
        return self._comparison(item)

    def _function(self, item: Item) -> bool:
        name = self._next()
        self._take("(")
        path = self._path()
        parent = _descend(item, path[:-1])
        value = parent.get(path[-1]) if parent is not None else None
        argument: Value = {}
        if self._skip(","):
            argument = self._operand(item) or {}
        self._take(")")
        if name == "attribute_type":
            return value is not None and argument["S"] in value
        if name == "begins_with":
            return value is not None and str(value.get("S", "")).startswith(argument["S"])
        return (value is not None) == (name == "attribute_exists")

    def _comparison(self, item: Item) -> bool:
        left, sign = self._operand(item), self._next()
        if sign == "IN":
            self._take("(")
            options = [self._operand(item)]
            while self._skip(","):
                options.append(self._operand(item))
            self._take(")")
            return any(_compared(left, option) == 0 for option in options)
        if sign == "BETWEEN":
            low = self._operand(item)
            self._take("AND")
            high = self._operand(item)
            return _compared(low, left) in (-1, 0) and _compared(left, high) in (-1, 0)
        order = _compared(left, self._operand(item))
        results = {"=": (0,), "<>": (-1, 1, None), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
        if sign not in results:
            raise _invalid(f"syntax near {sign!r}")
        return order in results[sign]

    def _sum(self, item: Item) -> Value:
        value = self._operand(item)
        while (sign := self._tokens[self._at]) in ("+", "-"):
            self._next()
            other = self._operand(item)
            assert value
            assert other
            value = {"N": str(Decimal(value["N"]) + Decimal(f"{sign}1") * Decimal(other["N"]))}
        if value is None:
            raise _invalid("The provided expression refers to an attribute that does not exist in the item")
        return value

    def _operand(self, item: Item) -> Value | None:
        token = self._tokens[self._at]
        if token.startswith(":"):
            if token not in self._values:
                raise _invalid(f"{token} is not defined")
            found: Value = self._values[self._next()]
            return found
        if token in ("size", "if_not_exists"):
            self._next()
            self._take("(")
            value = self._operand(item)
            if token == "if_not_exists":
                self._take(",")
                other = self._operand(item)
                value = other if value is None else value
            elif value is not None:
                value = {"N": str(len(next(iter(value.values()))))}
            self._take(")")
            return value
        path = self._path()
        parent = _descend(item, path[:-1])
        return parent.get(path[-1]) if parent is not None else None

    def _path(self) -> list[str]:
        path = [self._name()]
        while self._skip("."):
            path.append(self._name())
        return path

    def _name(self) -> str:
        token = self._next()
        if token.startswith("#") and token not in self._names:
            raise _invalid(f"{token} is not defined")
        if not re.fullmatch(r"#?\w+", token):
            raise _invalid(f"syntax near {token!r}")
        return str(self._names.get(token, token))

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, token: str) -> None:
        if self._next() != token:
            raise _invalid(f"syntax: {token!r} expected in {' '.join(self._tokens)}")

    def _skip(self, token: str) -> bool:
        if self._tokens[self._at] != token:
            return False
        self._at += 1
        return True


def _place(key: Item) -> tuple[str, str]:
    pk, sk = key["pk"]["S"], key["sk"]["S"]
    if not pk or not sk:
        raise _invalid("One or more parameter values are not valid: a key is an empty string")
    return pk, sk


def _descend(item: Item, path: list[str]) -> Any:
    at: Any = item
    for name in path:
        at = at.get(name, {}).get("M")
        if at is None:
            return None
    return at


def _compared(left: Value | None, right: Value | None) -> int | None:
    """Return -1, 0 or 1, or None if the two values cannot be compared."""
    if left is None or right is None or left.keys() != right.keys():
        return None
    if left == right:
        return 0
    ((kind, one),) = left.items()
    other = right[kind]
    if kind == "N":
        one, other = Decimal(one), Decimal(other)
    elif kind not in ("S", "B"):
        return None
    return int(one > other) - int(one < other)


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)

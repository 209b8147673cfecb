"""DynamoDB's condition and update expressions, as strict as the service; dynamodb.py names the pages of the limits."""

from __future__ import annotations

import pickle
import re
from decimal import Decimal
from typing import Any

Value = dict[str, Any]  # {"S": ...}, {"N": ...}, ...
Item = dict[str, Value]
MAX_EXPRESSION = 4 * 1024  # bytes
MAX_OPERATORS = 300
MAX_OPTIONS = 100  # operands of IN
EXPRESSIONS = ("ConditionExpression", "UpdateExpression", "KeyConditionExpression")
_OPERATORS = {"=", "<>", "<", "<=", ">", ">=", "+", "-", "AND", "OR", "NOT", "BETWEEN", "IN"}
_FUNCTIONS = {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "size", "if_not_exists"}
_TOKEN = re.compile(r"\s*(#\w+|:\w+|\w+|<>|<=|>=|[=<>(),.+-])")
_PLACEHOLDER = re.compile(r"[#:]\w+")


def copy(item: Item) -> Item:
    """Return a copy of an item, several times faster than `copy.deepcopy`."""
    copied: Item = pickle.loads(pickle.dumps(item))  # noqa: S301 - our own bytes
    return copied


class Refusal(Exception):
    """An error response of the service."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        self.answer = {"Error": {"Code": code, "Message": message}, **more}


class Expression:
    """A condition or update expression, evaluated while it is parsed."""

    def __init__(self, text: str, request: dict[str, Any]) -> None:
        self._tokens = [*_TOKEN.findall(text), ""]
        if "".join(self._tokens) != re.sub(r"\s", "", text):
            raise invalid(f"syntax: {text}")
        self._at = 0
        self._names = request.get("ExpressionAttributeNames", {})
        self._values = request.get("ExpressionAttributeValues", {})

    def condition(self, item: Item) -> bool:
        self._at = 0
        result = self._or(item)
        self._take("")
        return result

    def update(self, item: Item) -> None:
        before = copy(item)
        while section := self._next():
            while True:
                path = self._path()
                if path[0] in {"pk", "sk"}:
                    raise invalid(f"Cannot update attribute {path[0]}. This attribute is part of the key")
                parent = _descend(item, path[:-1])
                if parent is None:
                    raise invalid("The document path provided in the update expression is invalid for update")
                if section == "SET":
                    self._take("=")
                    parent[path[-1]] = self._sum(before)
                elif section == "REMOVE":
                    parent.pop(path[-1], None)
                elif section == "ADD":
                    old = parent.get(path[-1], {"N": "0"})
                    parent[path[-1]] = {"N": str(Decimal(old["N"]) + Decimal(self._operand(before)["N"]))}  # type: ignore[index]
                else:
                    raise invalid(f"section {section}")
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
            if len(options) > MAX_OPTIONS:
                raise invalid(f"The IN operator is provided with too many operands; maximum: {MAX_OPTIONS}")
            return any(_compared(left, option) == 0 for option in options)
        if sign == "BETWEEN":
            low = self._operand(item)
            self._take("AND")
            high = self._operand(item)
            return _compared(low, left) in (-1, 0) and _compared(left, high) in (-1, 0)
        order = _compared(left, self._operand(item))
        results = {"=": (0,), "<>": (-1, 1, None), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
        if sign not in results:
            raise invalid(f"syntax near {sign!r}")
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
            raise invalid("The provided expression refers to an attribute that does not exist in the item")
        return value

    def _operand(self, item: Item) -> Value | None:
        token = self._tokens[self._at]
        if token.startswith(":"):
            if token not in self._values:
                raise invalid(f"{token} is not defined")
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
            raise invalid(f"{token} is not defined")
        if not re.fullmatch(r"#?\w+", token):
            raise invalid(f"syntax near {token!r}")
        return str(self._names.get(token, token))

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, token: str) -> None:
        if self._next() != token:
            raise invalid(f"syntax: {token!r} expected in {' '.join(self._tokens)}")

    def _skip(self, token: str) -> bool:
        if self._tokens[self._at] != token:
            return False
        self._at += 1
        return True


def check(request: dict[str, Any]) -> None:
    """Raise Refusal unless every expression is within the limits and uses every name and value that is given."""
    texts = {name: request[name] for name in EXPRESSIONS if name in request}
    given: set[str] = set()
    for placeholders in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        if placeholders in request:
            if not request[placeholders]:
                raise invalid(f"{placeholders} must not be empty")
            if not texts:
                raise invalid(f"{placeholders} can only be specified when using expressions")
            given.update(request[placeholders])
    used: set[str] = set()
    for name, text in texts.items():
        if not text:
            raise invalid(f"Invalid {name}: The expression can not be empty;")
        if len(text.encode()) > MAX_EXPRESSION:
            raise invalid(f"Invalid {name}: Expression size has exceeded the maximum allowed size;")
        if len(text) > MAX_OPERATORS and _operators(name, text) > MAX_OPERATORS:
            raise invalid(f"Invalid {name}: The expression contains too many operators; {MAX_OPERATORS} are allowed")
        used.update(_PLACEHOLDER.findall(text))
    if given != used:
        raise invalid(f"unused or undefined in expressions: {sorted(given ^ used)}")


def _operators(name: str, text: str) -> int:
    """Return the number of operators and functions. The `=` of a SET is none."""
    counted = (_OPERATORS | _FUNCTIONS) - ({"="} if name == "UpdateExpression" else set())
    return sum(token in counted for token in _TOKEN.findall(text))


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


def invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)

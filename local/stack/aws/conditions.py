"""IAM knows the partitions and the attributes that a request to DynamoDB names, in a transaction those of each item.

These are `dynamodb:LeadingKeys` and `dynamodb:Attributes`. MiniStack knows neither, and so takes every policy that
depends on them for one that allows everything.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ministack.core import iam_actions, iam_evaluator  # type: ignore[import-not-found]

PARTITION = "pk"  # the partition key of the one table
MEMBERS = iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS  # of an item of a transaction -> its action
EXPRESSIONS = ("UpdateExpression", "ConditionExpression", "ProjectionExpression", "FilterExpression")
PATH = re.compile(r"(?<![\w:.#])#?[A-Za-z_]\w*(?![\w(])")  # the first name of a path; not a value, not a function
WORDS = frozenset({"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "IN", "BETWEEN"})

known_conditions = iam_actions.dynamodb_service_context
enforce_known = iam_evaluator.enforce


class Item(str):
    """The table of an item of a transaction, with the item's own condition keys."""

    conditions: dict[str, list[str]]


def conditions(request: dict[str, Any]) -> dict[str, list[str]]:
    """Return the condition keys of a request or of an item: its partition and the attributes that it names.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html (2026-11)
    """
    names = request.get("ExpressionAttributeNames") or {}
    row = request.get("Key") or request.get("Item") or {}
    partition = row.get(PARTITION) or _queried(request, names)
    found = {names.get(name, name) for text in EXPRESSIONS for name in PATH.findall(request.get(text) or "")}
    attributes = sorted((found | set(row)) - WORDS)
    leading = [str(next(iter(partition.values())))] if partition else []
    return {"dynamodb:LeadingKeys": leading, "dynamodb:Attributes": attributes}


def _queried(request: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    """Return the value of the partition key in the condition of a query."""
    values = request.get("ExpressionAttributeValues") or {}
    for name, value in re.findall(r"(#?\w+)\s*=\s*(:\w+)", request.get("KeyConditionExpression") or ""):
        if names.get(name, name) == PARTITION:
            return dict(values.get(value, {}))
    return {}


def request_conditions(body: bytes) -> dict[str, Any]:
    """Return MiniStack's condition keys of a request to DynamoDB, and those that it does not know."""
    request = json.loads(body or b"{}")
    return dict(known_conditions(body)) | ({} if "TransactItems" in request else conditions(request))


def transaction_items(action: str, body: bytes, region: str, account: str) -> list[tuple[str, Item]]:
    """Return the action and the table of each item of a transaction, as MiniStack's function of this name does."""
    if action not in {"dynamodb:TransactWriteItems", "dynamodb:TransactGetItems"}:
        return []
    found = []
    for item in json.loads(body or b"{}").get("TransactItems", []):
        for member, detail in item.items():
            table = Item(iam_actions._dynamodb_table_arn(detail["TableName"], region, account))
            table.conditions = conditions(detail)
            found.append((MEMBERS[member], table))
    return found


def enforce(*arguments: Any, resource_arn: Any = None, service_context: Any = None, **options: Any) -> Any:
    """Check a request against the caller's policies; an item of a transaction by its own condition keys."""
    if isinstance(resource_arn, Item):
        service_context = {**(service_context or {}), **resource_arn.conditions}
    return enforce_known(*arguments, resource_arn=resource_arn, service_context=service_context, **options)


def install() -> None:
    """Give MiniStack's evaluation of policies the condition keys that it does not know."""
    iam_actions.dynamodb_service_context = request_conditions
    iam_actions.dynamodb_transaction_checks = transaction_items
    iam_evaluator.enforce = enforce

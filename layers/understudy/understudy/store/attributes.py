"""Values in the form of DynamoDB's low-level API: {"S": "text"}, {"N": "5"}, {"M": {...}}.

Only the types that our rows hold: strings, integers, booleans, None, lists and maps. boto3 converts more types, and
takes half as long to import as an empty function takes to start (docs/adr/0018).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def spell(value: Any) -> dict[str, Any]:
    """Return the value as an attribute. Raises TypeError for other types: a float would not be read back unchanged."""
    match value:
        case None:
            return {"NULL": True}
        case bool():  # which is an int, too
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case list() | tuple():
            return {"L": [spell(one) for one in value]}
        case Mapping():
            return {"M": {name: spell(one) for name, one in value.items()}}
    raise TypeError(f"rows hold no {type(value).__name__}")


def read(attribute: Mapping[str, Any]) -> Any:
    """Return the value of an attribute; a number becomes an integer. Raises TypeError for other types."""
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return value
        case "N":
            return int(Decimal(value))  # DynamoDB may say 1E+30
        case "L":
            return [read(one) for one in value]
        case "M":
            return {name: read(one) for name, one in value.items()}
    raise TypeError(f"rows hold no {kind}")

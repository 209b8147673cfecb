"""Values as DynamoDB's low-level API spells them: {"S": "text"}, {"N": "5"}, {"M": {...}}.

Only what our rows hold: strings, integers, booleans, None, lists and maps. boto3 has the same for more types, and takes
half as long to import as an empty function to start (docs/adr/0018).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def spell(value: Any) -> dict[str, Any]:
    """The value as an attribute. Raises TypeError for one of another type; a float would not come back as it was."""
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
    """The value of an attribute; numbers are integers. Raises TypeError for one of another type."""
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

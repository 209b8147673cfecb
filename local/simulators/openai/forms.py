"""Turns a request body into one document. Brackets in form fields are expanded as OpenAI's servers do it."""

from __future__ import annotations

import re
from typing import Any

from local.simulators.shared.body import Body, File
from local.simulators.shared.errors import Refusal

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def document(body: Body) -> dict[str, Any]:
    """Return the fields of a request: strings, files, and objects or lists.

    Objects and lists come from JSON or from form fields like `a[b]`, `a[][b]` and `a[0][b]`. Raises Refusal (400, 415),
    for example if the body is not an object or a field is given twice.
    """
    if body.kind == "json":
        if not isinstance(body.json, dict):
            raise Refusal(400, "The body must be a JSON object.", "invalid_type")
        return dict(body.json)
    if body.kind not in ("multipart", "urlencoded"):
        raise Refusal(
            415, "The body must be application/json or multipart/form-data.", "unsupported_content_type", None
        )
    fields: dict[str, Any] = {}
    for name, value in body.parts:
        _put(fields, name, value)
    return fields


def _put(fields: dict[str, Any], name: str, value: str | File) -> None:
    found = _KEY.fullmatch(name)
    if found is None:
        raise Refusal(400, f"The field name {name!r} is malformed.", "invalid_field_name")
    head, *keys = [found[1], *re.findall(r"\[([^\[\]]*)\]", found[2])]
    if keys and (keys[0] == "" or keys[0].isdigit()):
        _put_item(fields.setdefault(head, []), keys, value, name)
        return
    place: Any = fields
    for key in keys:
        place = place.setdefault(head, {}) if isinstance(place, dict) else None
        head = key
    _set(place, head, value, name)


def _put_item(items: Any, keys: list[str], value: str | File, name: str) -> None:
    """Add a value to a list: `a[]=x` appends; `a[][b]=x` starts a new object if the last object already has a `b`."""
    if not isinstance(items, list) or len(keys) > 2:
        raise Refusal(400, f"The field {name} does not fit the ones before it.", "invalid_type", name)
    if len(keys) == 1:
        items.append(value)
        return
    if keys[0].isdigit():
        if int(keys[0]) > len(items):
            raise Refusal(400, f"The field {name} leaves out an index.", "invalid_type", name)
        new = int(keys[0]) == len(items)
    else:
        new = not items or not isinstance(items[-1], dict) or keys[1] in items[-1]
    if new:
        items.append({})
    _set(items[int(keys[0]) if keys[0].isdigit() else -1], keys[1], value, name)


def _set(place: Any, key: str, value: str | File, name: str) -> None:
    if not isinstance(place, dict):
        raise Refusal(400, f"The field {name} does not fit the ones before it.", "invalid_type", name)
    if key in place:
        raise Refusal(400, f"The field {name} was given twice.", "duplicate_field", name)
    place[key] = value

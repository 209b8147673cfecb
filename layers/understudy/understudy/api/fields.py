"""Form fields: turns names with brackets into lists and objects.

`video[id]`, `characters[][id]` and `characters[0][id]` are unfolded. This module does not know what the fields mean.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from understudy.api.forms import FilePart
from understudy.api.text import BodyError

MAX_NAME = 256
MAX_BRACKETS = 8


Value: TypeAlias = "str | int | float | bool | FilePart | list[Value] | dict[str, Value] | None"
_Path: TypeAlias = "tuple[str, ...]"
Entry: TypeAlias = "tuple[_Path, Value]"

_NAME = re.compile(r"[^\[\]\x00-\x1f\x7f]+(?:\[[^\[\]\x00-\x1f\x7f]*\])*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")


def is_structured(path: _Path, structured: frozenset[str]) -> bool:
    """Return whether the path is a field in `structured`, or an element of one: `characters[]`, `characters[0]`."""
    return path[0] in structured and (len(path) == 1 or (len(path) == 2 and (not path[1] or path[1].isdecimal())))


def path_of(name: str) -> _Path:
    """Return the path of a field name: `a[b][0][]` gives ("a", "b", "0", ""). Raises BodyError for a malformed name."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        message = f"A field name must be a word, with [key], [0] or [] after it, of {MAX_NAME} characters at most."
        raise BodyError("malformed_field_name", message, shown(name))
    path = tuple(name.replace("]", "").split("["))
    if len(path) - 1 > MAX_BRACKETS:
        raise BodyError("nesting_too_deep", f"A field name has more than {MAX_BRACKETS} brackets.", name)
    if any(step.isdecimal() and not _INDEX.fullmatch(step) for step in path[1:]):
        raise BodyError("malformed_field_name", "An index in a field name must be a number from 0 to 9999.", name)
    if path.count("") > 1:
        raise _ambiguous(path)
    return path


def shown(name: str) -> str | None:
    """Return a field name as an error may quote it, or None if the name is not printable."""
    return name[:MAX_NAME] if name.isprintable() else None


def _spelled(path: _Path) -> str:
    return path[0] + "".join(f"[{step}]" for step in path[1:])


def _ambiguous(path: _Path) -> BodyError:
    message = f"'{_spelled(path)}' is ambiguous: number the elements ('{path[0]}[0]'), or send JSON."
    return BodyError("ambiguous_field", message, _spelled(path))


def unfold(entries: list[Entry]) -> dict[str, Value]:
    """Return the fields that the entries of a form describe. Raises BodyError for duplicate and ambiguous names."""
    return {name: _assemble(group, 1) for name, group in _grouped(entries, 0).items()}


def _grouped(entries: list[Entry], depth: int) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry[0][depth], []).append(entry)
    return groups


def _assemble(entries: list[Entry], depth: int) -> Value:
    """Return the value of the entries, whose paths agree in their first `depth` steps."""
    path = entries[0][0][:depth]
    if any(len(entry[0]) == depth for entry in entries):
        if len(entries) > 1:
            name = _spelled(path)
            raise BodyError("duplicate_field", f"The field '{name}' is given more than once. Send it once.", name)
        return entries[0][1]
    groups = _grouped(entries, depth)
    if list(groups) == [""]:
        return [_assemble(row, depth + 1) for row in _rows(entries, depth + 1)]
    numbered = [step for step in groups if step.isdecimal()]
    if "" in groups or 0 < len(numbered) < len(groups):
        raise _ambiguous(path)
    if numbered:  # an index gives the order only, so gaps are closed
        return [_assemble(groups[step], depth + 1) for step in sorted(numbered, key=int)]
    return {step: _assemble(group, depth + 1) for step, group in groups.items()}


def _rows(entries: list[Entry], depth: int) -> list[list[Entry]]:
    """Split an array without indices into its elements: `a[][id]=1`, `a[][x]=2`, `a[][id]=3` are two elements.

    openai-node 6.49.0 writes element by element, so a repeated key starts the next element. openai-python 3.54.0 writes
    key by key (both ids, then both xs), so the nth value of a key belongs to the nth element. If the two readings
    differ, a guess could put a value into the wrong object. Then BodyError is raised, unless every key is given equally
    often.
    """
    by_key: list[int] = []
    by_repetition: list[int] = []
    counts: dict[_Path, int] = {}
    current: set[_Path] = set()
    row = 0
    for path, _ in entries:
        key = path[depth:]
        by_key.append(counts.get(key, 0))
        counts[key] = counts.get(key, 0) + 1
        if key in current:
            row, current = row + 1, set()
        current.add(key)
        by_repetition.append(row)
    if by_key != by_repetition and len(set(counts.values())) > 1:
        raise _ambiguous(entries[0][0][:depth])
    rows: list[list[Entry]] = [[] for _ in range(max(by_key) + 1)]
    for number, entry in zip(by_key, entries, strict=True):
        rows[number].append(entry)
    return rows

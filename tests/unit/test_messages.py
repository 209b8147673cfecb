"""Every error message in the sources, against the rules that hold for messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file.relative_to(ROOT)
    for folder in ("layers/understudy", "layers/media", "functions")
    for file in (ROOT / folder).rglob("*.py")
)
# What reaches a caller, and at which position its message stands.
ERRORS = {
    "ApiError": 0, "Conflict": 0, "InvalidRequest": 0, "KeyReused": 0, "NotFound": 0, "NotReady": 0,
    "PermissionDenied": 0, "ProviderFailed": 0, "RateLimited": 0, "TimedOut": 0, "Unauthenticated": 0,
    "Unavailable": 0, "Unsupported": 0,
    "BodyError": 1, "OutcomeUnknown": 0, "Refusal": 1, "Refused": 1, "fail": 2,
}  # fmt: skip
WORDS_A_SENTENCE = 25
# Words that a reader has to be told the meaning of, and the words of the field that stand for them.
PRIVATE = {
    "in the making": "in progress",
    "meanwhile": "the event itself",
    "such thing": "the thing's name",
    "takes no ": "does not support",
    "pictures": "frames",
    "just now": "nothing",
    "a key twice": "the same key twice",
}


def words(node: ast.expr) -> str | None:
    """Return the text of a literal, with `X` for every inserted value, or None if the node is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = words(node.left), words(node.right)
        return None if left is None or right is None else left + right
    return None


def literals(node: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield the messages that an argument can be: itself, either branch, or the values assigned to its name."""
    if isinstance(node, ast.IfExp):
        yield from literals(node.body, names)
        yield from literals(node.orelse, names)
    elif isinstance(node, ast.Name):
        for value in names.get(node.id, []):
            yield from literals(value, {})
    elif (text := words(node)) is not None:
        yield text


def named_parameter(call: ast.Call) -> str | None:
    """Return the parameter that an error names in its `param`, if that is a literal."""
    given = next((one.value for one in call.keywords if one.arg == "param"), None)
    text = words(given) if given is not None else None
    return re.split(r"[.\[]", text)[0] if text else None


def messages(source: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield the line and the text of each message of a module."""
    tree = ast.parse(source)
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        names: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names.setdefault(node.targets[0].id, []).append(node.value)
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                at = ERRORS.get(ast.unparse(node.func).rpartition(".")[2])
                if at is not None and len(node.args) > at:
                    known = names.get(node.args[at].id, []) if isinstance(node.args[at], ast.Name) else []
                    for text in literals(node.args[at], names):
                        yield node.lineno, text, named_parameter(node) if len(known) < 2 else None


def faults(text: str, param: str | None = None) -> list[str]:
    """Return what is wrong with a message."""
    wrong = []
    if not text.endswith((".", "X")):
        wrong.append("it does not end with a period")
    if not re.match(r"[A-Z'\"]|[\w.\[\]]+: ", text):
        wrong.append("it begins neither with a capital nor with the parameter's name")
    sentences = re.split(r"(?<=\.)\s", re.sub(r"^[\w.\[\]]+: ", "", text))
    wrong += [f"more than {WORDS_A_SENTENCE} words: {one}" for one in sentences if len(one.split()) > WORDS_A_SENTENCE]
    if param is not None and param != "X" and param.removesuffix("_id") not in text:
        wrong.append(f"it does not name the parameter {param}")
    wrong += [f"{word!r}: say {better!r}" for word, better in PRIVATE.items() if word in text]
    return wrong


@pytest.mark.parametrize("file", SOURCES, ids=str)
def test_messages_are_plain(file: Path) -> None:
    found = messages((ROOT / file).read_text())
    assert [(line, text, wrong) for line, text, param in found if (wrong := faults(text, param))] == []


def test_messages_are_found() -> None:
    found = [text for file in SOURCES for _, text, _ in messages((ROOT / file).read_text())]
    assert len(found) > 150
    assert "The provider cannot be reached. Nothing was created. Try again." in found
    assert "X: the file is empty." in found


@pytest.mark.parametrize(
    "text",
    [
        "no period",
        "lower case.",
        "This key has videos in the making.",
        f"size: {'word ' * 25}end.",
    ],
)
def test_a_bad_message_is_seen(text: str) -> None:
    assert faults(text)

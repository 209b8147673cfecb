"""`make audit`: the secrets that it finds, no secret in this repository, and its report on packages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from scripts import audit

HEX = hashlib.sha256(b"a random value").hexdigest()
URLSAFE = "Zk9-_qW3eR7tY1uI5oP2aS8dF4gH6jK0lXcVbNmQwEr"


def test_no_file_holds_a_secret() -> None:
    assert list(audit.secrets()) == []


@pytest.mark.parametrize(
    "line",
    [
        "aws_access_key_id = " + "AKIA" + "Q3EGWSWABCDE2345",
        "OPENAI=" + "sk-" + "proj-" + URLSAFE,
        "key: " + "us-" + URLSAFE,
        "key: " + "us-" + URLSAFE[:-1] + "-",
        "key: " + "xai-" + HEX,
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        'client_secret = "' + URLSAFE + '"',
        '"apiKey": "' + HEX[:24] + '"',
        "export SOME_TOKEN=" + URLSAFE,
        "https://b.s3/x?X-Amz-" + "Signature=" + HEX,
    ],
)
def test_what_is_found(line: str) -> None:
    assert audit.looks_like(line)
    assert not audit.looks_like(f"{line}  # {audit.EXAMPLE}")


@pytest.mark.parametrize(
    "line",
    [
        'secret = "secretsmanager:understudy/openai-main"',
        'headers["authorization"] = f"Bearer {key}"',
        'KEY = "sk-secret-0123456789"',
        "api_key = os.environ['UNDERSTUDY_API_KEY']",
        'token = "a-name-of-several-short-words"',
    ],
)
def test_what_is_not(line: str) -> None:
    assert not audit.looks_like(line)


def tool(folder: Path, *dependencies: dict[str, Any]) -> Path:
    """Write an executable that answers as pip-audit does, and return its path."""
    answer = folder / "answer.json"
    answer.write_text(json.dumps({"dependencies": dependencies, "fixes": []}) if dependencies else "")
    file = folder / "pip-audit"
    file.write_text(f"#!/bin/sh\ncat {answer}\necho 'it is raining' >&2\n")
    file.chmod(0o755)
    return file


def test_a_known_hole(tmp_path: Path) -> None:
    fine = {"name": "httpx", "version": "1", "vulns": []}
    holed = {"name": "pydantic", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
    unknown = {"name": "odd", "skip_reason": "Dependency not found"}
    found = audit.advisories(tool(tmp_path, fine, holed, unknown), [Path("x/requirements.txt")])
    assert (found.known, found.unasked) == (2, ["Dependency not found"])
    assert found.holes == ["requirements.txt: pydantic 2: PYSEC-1", "requirements.txt: pydantic 2: PYSEC-2"]


def test_what_cannot_be_asked_is_not_fine(tmp_path: Path) -> None:
    found = audit.advisories(tool(tmp_path), [Path("a.txt"), Path("b.txt")])
    assert (found.known, found.holes) == (0, [])
    assert found.unasked == ["a.txt: it is raining", "b.txt: it is raining"]
    (missing,) = audit.advisories(tmp_path / "nothing", [Path("a.txt")]).unasked
    assert "make audit" in missing


@pytest.mark.parametrize(
    ("options", "dependency", "code"),
    [
        ([], {"name": "x", "version": "1", "vulns": []}, 0),
        ([], {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1"}]}, 1),
        ([], {"name": "x", "skip_reason": "unknown"}, 0),
        (["--strict"], {"name": "x", "skip_reason": "unknown"}, 1),
        (["--offline"], {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1"}]}, 0),
    ],
)
def test_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], dependency: dict[str, Any], code: int
) -> None:
    monkeypatch.setattr(audit, "PIP_AUDIT", tool(tmp_path, dependency))
    monkeypatch.setattr("sys.argv", ["audit.py", *options])
    assert audit.main() == code
    monkeypatch.setattr(audit, "secrets", lambda: iter(["x:1: a private key"]))
    assert audit.main() == 1


def test_a_hole_in_a_tool_is_told_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def advisories(_: Path, locks: list[Path]) -> audit.Advisories:
        return audit.Advisories(1, ["project.txt: pytest 1: PYSEC-1"] if locks[0].parent.name == "locks" else [])

    monkeypatch.setattr(audit, "advisories", advisories)
    monkeypatch.setattr("sys.argv", ["audit.py", "--strict"])
    assert audit.main() == 0
    assert "PYSEC-1" in capsys.readouterr().out

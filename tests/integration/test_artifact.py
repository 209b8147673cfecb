"""The layer as `sam build` left it for the stack: complete, compiled, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.lambda_ import functions

if TYPE_CHECKING:
    from tests.integration.live import Stack

MEBIBYTE = 1024 * 1024
MOST = 40 * MEBIBYTE

# Sees only the standard library and the layer, as a function does; prints the files that each module was loaded from.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import understudy
names = [module.name for module in pkgutil.walk_packages(understudy.__path__, "understudy.")]
loaded = [understudy, *map(importlib.import_module, names)]
print(json.dumps({module.__name__: [module.__spec__.origin, module.__spec__.cached] for module in loaded}))
"""


@pytest.fixture(scope="module")
def layer(stack: Stack) -> Path:
    return functions.layer(stack.settings, "UnderstudyLayer")


def test_every_module_is_imported_from_the_artifact_with_its_bytecode(layer: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(layer)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=layer, env={"POWERTOOLS_SERVICE_NAME": "test"})
    assert ran.returncode == 0, ran.stderr
    loaded: dict[str, tuple[str, str]] = json.loads(ran.stdout)
    sources = {str(file) for file in (layer / "understudy").rglob("*.py")}
    assert {origin for origin, _ in loaded.values()} == sources
    assert [name for name, (_, cached) in loaded.items() if not Path(cached).is_file()] == []


def test_every_library_has_its_bytecode(layer: Path) -> None:
    tag = sys.implementation.cache_tag
    missing = [
        str(file.relative_to(layer))
        for file in layer.rglob("*.py")
        if not (file.parent / "__pycache__" / f"{file.stem}.{tag}.pyc").is_file()
    ]
    assert missing == []


def test_it_stays_small(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = sum(file.stat().st_size for file in layer.parent.rglob("*") if file.is_file())
    with capsys.disabled():
        print(f"\nlayer understudy, unzipped: {size / MEBIBYTE:.1f} MiB of {MOST // MEBIBYTE}")
    assert size <= MOST

"""`sam build` takes the wheels of the requested processor, whatever processor this machine has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.settings import ROOT
from local.stack import sam
from tests import rings

# e_machine of an ELF header, 2 bytes at 18: EM_AARCH64 and EM_X86_64.
MACHINES = {"arm64": 183, "x86_64": 62}
COMPILED = {
    "UnderstudyLayer": ("pydantic_core/_pydantic_core.",),
    "MediaLayer": ("av/_core.", "av.libs/libavcodec"),
}


# This machine's own is built, deployed and run by the tests of the stack.
OTHERS = [arch for arch in MACHINES if arch != sam.ARCH]


@pytest.fixture(scope="module", params=rings.inner(MACHINES, OTHERS))
def arch(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the README's build command leaves."""
    folder = tmp_path_factory.mktemp(f"build-{arch}")
    overrides = [f"Arch={arch}", f"PythonRuntime={sam.RUNTIME}"]
    command = [str(sam.SAM), "build", "--build-dir", str(folder), "--parameter-overrides", *overrides]
    environment = sam.environment(ARCH=arch, PYTHON_RUNTIME=sam.RUNTIME)
    with sam.one_build():
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return folder


def test_everything_compiled_is_of_that_processor(arch: str, built: Path) -> None:
    machines = {str(file): machine for file in built.rglob("*") if (machine := _machine(file)) is not None}
    assert machines
    assert {name: machine for name, machine in machines.items() if machine != MACHINES[arch]} == {}


@pytest.mark.parametrize("layer", COMPILED)
def test_the_compiled_libraries_are_there(built: Path, layer: str) -> None:
    python = built / layer / "python"
    compiled = [str(file.relative_to(python)) for file in python.rglob("*") if _machine(file) is not None]
    assert [start for start in COMPILED[layer] if not any(name.startswith(start) for name in compiled)] == []


def test_functions_bring_nothing_compiled(built: Path) -> None:
    functions = [folder for folder in built.iterdir() if folder.name.endswith("Function")]
    assert len(functions) == len(list((ROOT / "functions").glob("*/app.py")))
    assert [file for folder in functions for file in folder.rglob("*") if _machine(file) is not None] == []


def _machine(file: Path) -> int | None:
    """Return the processor number of an ELF file, or None for any other file."""
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        head = opened.read(20)
    return int.from_bytes(head[18:20], "little") if head.startswith(b"\x7fELF") else None

"""The layer as `sam build` makes it: complete, compiled, small; test_build.py checks the processor."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import sam

ROOT = Path(__file__).parents[2]
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
SERVICES = runpy.run_path(str(ROOT / "layers" / "understudy" / "trim_botocore.py"))["CALLS"]
# As in `sqs().send_message(`, and the same through Powertools' and boto3's helpers.
CALLED = re.compile(r"\b(dynamodb|lambda_|s3|secretsmanager|sqs|ssm)\(\)\.([a-z_0-9]+)\(")


def _build(folder: Path, arch: str) -> Path:
    environment = {
        "PATH": f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "ARTIFACTS_DIR": str(folder),
        "PYTHON_RUNTIME": RUNTIME,
        "ARCH": arch,
        "DEPLOYMENTS": str(ROOT / "config" / "deployments.toml"),
    }
    make = ["make", "--silent", "build-UnderstudyLayer"]
    with sam.one_build():
        subprocess.run(make, cwd=ROOT / "layers" / "understudy", env=environment, check=True)
    return folder / "python"


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, built for this machine."""
    arch = "arm64" if os.uname().machine in ("arm64", "aarch64") else "x86_64"
    return _build(tmp_path_factory.mktemp("layer"), arch)


def _run(layer: Path, code: str) -> str:
    """Run code that sees only the standard library and the layer, as a function does, and return its output."""
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(layer)!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=layer.parent).stdout.strip()


def test_understudy_is_imported_from_its_compiled_files(layer: Path) -> None:
    loaded = _run(layer, "import understudy.deployments.config as m; print(m.__file__, m.__cached__)").split()
    assert loaded[0] == str(layer / "understudy" / "deployments" / "config.py")
    assert Path(loaded[1]).is_file()


def test_every_module_has_its_bytecode_and_it_is_not_checked(layer: Path) -> None:
    tag = sys.implementation.cache_tag
    sources = list((layer / "understudy").rglob("*.py"))
    assert sources
    for source in [*sources, *(layer / "aws_lambda_powertools").rglob("*.py"), *(layer / "botocore").rglob("*.py")]:
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        assert compiled.is_file(), source
        # PEP 552: bit 0 says that a hash stands in the file, bit 1 that it is compared with the source.
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01, source


def test_both_layers_bring_the_same_sdk() -> None:
    """Without one of its own, a layer would run on whatever boto3 Lambda has that day."""
    pins = re.compile(r"^((?:boto|s3transfer|urllib3)\w*==[\w.]+)", re.MULTILINE)
    own, media = (
        pins.findall((ROOT / "layers" / layer / "requirements.txt").read_text()) for layer in ("understudy", "media")
    )
    assert len(media) == 4
    assert sorted(media) == sorted(own)


def test_the_deployments_file_travels_with_it(layer: Path) -> None:
    shipped = (layer / "understudy" / "deployments.toml").read_bytes()
    assert shipped == (ROOT / "config" / "deployments.toml").read_bytes()


def test_it_stays_small(layer: Path) -> None:
    size = sum(file.stat().st_size for file in layer.rglob("*") if file.is_file())
    assert size <= 40 * 1024 * 1024, f"{size / 1024 / 1024:.1f} MB"


def test_it_brings_no_installer_no_tests_and_no_path_hooks(layer: Path) -> None:
    top = {entry.name for entry in layer.iterdir()}
    assert not top & {"pip", "setuptools", "wheel", "bin", "tests"}
    assert not list(layer.rglob("*.pth"))


@pytest.mark.parametrize("service", SERVICES)
def test_the_trimmed_botocore_still_serves_what_we_call(layer: Path, service: str) -> None:
    code = f"""
import boto3
client = boto3.client({service!r}, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
client.meta.service_model.client_context_parameters
print(client.meta.endpoint_url, *client.meta.service_model.operation_names)
"""
    url, *operations = _run(layer, code).split()
    assert "eu-west-1.amazonaws.com" in url
    assert set(operations) == SERVICES[service]


def test_the_trimmed_botocore_still_signs_forms_and_addresses(layer: Path) -> None:
    code = """
import botocore.session
from botocore.config import Config
client = botocore.session.get_session().create_client(
    "s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b",
    config=Config(signature_version="s3v4"),
)
print(client.generate_presigned_post("bucket", "key")["url"])
print(client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"}).partition("?")[0])
"""
    form, address = _run(layer, code).split()
    assert form.startswith("https://bucket.s3.")
    assert address.endswith("/key")


def test_what_the_code_calls_is_not_trimmed() -> None:
    package = ROOT / "layers" / "understudy" / "understudy"
    called = {found for file in package.rglob("*.py") for found in CALLED.findall(file.read_text("utf-8"))}
    assert len(called) > 12
    helpers = {"get_paginator", "get_waiter", "generate_presigned_url", "generate_presigned_post"}
    for service, method in called:
        if method not in helpers and not method.startswith("exceptions"):
            operation = "".join(word.capitalize() for word in method.split("_"))
            assert operation in SERVICES[service.rstrip("_")], method


def test_versions_of_libraries_can_be_asked(layer: Path) -> None:
    code = "from importlib.metadata import version; print(*map(version, ['boto3', 'httpx', 'multipart', 'pydantic']))"
    assert len(_run(layer, code).split()) == 4

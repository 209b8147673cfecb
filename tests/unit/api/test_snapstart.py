"""A SnapStart snapshot contains every module that calls import, and nothing that must be unique to an environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.template.test_functions import API

ROOT = Path(__file__).parents[3]
SNAPPED = sorted(API | {"authorizer"})
AT_FIRST_CALL = {
    *("understudy.access.rate_limit", "understudy.api.bodies", "understudy.jobs.idempotency"),
    *("understudy.store.secrets", "understudy.providers.gemini"),
}

# Lambda's order: the function is imported, the hooks before the snapshot run, the snapshot is taken. The hooks after
# the restore run in each restored environment.
PROGRAM = """
import gc, importlib, json, os, sys
from pathlib import Path

def is_socket(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
    except OSError:  # the one with which the folder was read
        return False

importlib.import_module(f"functions.{sys.argv[1]}.app")
before = [*sys.modules]

import random
import snapshot_restore_py as hooks
from understudy.deployments import config

config.FILE = Path(sys.argv[2])
for function, args, kwargs in reversed(hooks.get_before_snapshot()):
    function(*args, **kwargs)
loaded = [*sys.modules]

from botocore.client import BaseClient
from understudy.store import secrets

outbound, schema = sys.modules.get("understudy.network.http_client"), sys.modules.get("understudy.api.requests")
unique = [
    *(one for one in gc.get_objects() if isinstance(one, BaseClient)),
    *filter(is_socket, os.listdir("/proc/self/fd")),
    *["secret that signs ids"] * secrets.id_codec.cache_info().currsize,
    *secrets._provider_keys,
    *["HTTP client"] * (outbound._http.cache_info().currsize if outbound else 0),
]
draws, taken = [], random.getstate()
for _ in range(3):
    random.setstate(taken)
    for function, args, kwargs in hooks.get_after_restore():
        function(*args, **kwargs)
    draws.append(random.random())
print(json.dumps({
    "before": before,
    "loaded": loaded,
    "built": schema is None or schema.CreateVideo.__pydantic_complete__,
    "unique": [str(one) for one in unique],
    "draws": draws,
}))
"""


def _snapshot(name: str, kind: str = "snap-start") -> dict[str, Any]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "layers" / "understudy"))),
        "AWS_LAMBDA_INITIALIZATION_TYPE": kind,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # whoever asks AWS now finds nobody
        "POWERTOOLS_SERVICE_NAME": "understudy",
    }
    command = [sys.executable, "-c", PROGRAM, name, str(ROOT / "config" / "deployments.toml")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("name", SNAPPED)
def test_a_snapshot_holds_what_is_imported_and_nothing_unique(name: str) -> None:
    found = _snapshot(name)
    assert {"botocore.client", *AT_FIRST_CALL} <= {*found["loaded"]}
    assert found["built"], "the first body would build the models"
    assert found["unique"] == []


def test_restored_environments_draw_deployments_each_for_itself() -> None:
    assert len(set(_snapshot("create_video")["draws"])) == 3


def test_without_snapstart_nothing_is_done() -> None:
    found = _snapshot("create_video", "on-demand")
    assert "botocore.client" not in found["before"] and "understudy.access.rate_limit" not in found["loaded"]
    assert not found["built"]
    assert len(set(found["draws"])) == 1

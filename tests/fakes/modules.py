"""Observe which libraries a function loads on import and for its first answer, and how many of our modules then.

    python -m tests.fakes.modules > tests/expected_modules.json     all functions, as the test expects them

AWS is a server in this process with an empty table and an empty bucket. Only two things exist in it: an API key without
limits, and the secret that signs ids.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECRET = "m" * 64
LAYERS = {"understudy", "understudy_media"}
KNOWN: dict[str, dict[str, Any]] = {
    "GetSecretValue": {"Name": "ids", "SecretString": SECRET},
    "Query": {"Items": [], "Count": 0},
    "UpdateItem": {"Attributes": {"pk": {"S": "key"}}},
}


class Nowhere(BaseHTTPRequestHandler):
    """An AWS in which nothing is found."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        operation = (self.headers.get("x-amz-target") or "").rpartition(".")[2]
        body = json.dumps(KNOWN.get(operation, {})).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        pass


class Context:
    """The attributes of a Lambda context that our code reads."""

    function_name = aws_request_id = invoked_function_arn = "f"
    memory_limit_in_mb = 128

    def get_remaining_time_in_millis(self) -> int:
        return 28_000


@cache
def strangers() -> tuple[str, ...]:
    """Return the installed packages that no layer contains, such as click, which httpx imports if it is installed."""
    locks = "".join(file.read_text("utf-8") for file in (ROOT / "layers").glob("*/requirements.txt"))
    locked = {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", locks, re.MULTILINE)}
    found = importlib.metadata.packages_distributions()
    return tuple(top for top, names in found.items() if not locked & {name.lower().replace("_", "-") for name in names})


def libraries() -> set[str]:
    """Return the installed packages of which a module is loaded."""
    installed = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    files = {name: str(getattr(module, "__file__", None) or "") for name, module in sys.modules.items()}
    loaded = {name.partition(".")[0] for name, file in files.items() if file.startswith(installed)}
    # Powertools registers its name with botocore by importing the bare package, which costs only 0.6 ms.
    return loaded if "botocore.session" in sys.modules else loaded - {"botocore"}


def ours() -> int:
    """Return how many of our own modules are loaded; the `__init__` modules of packages are empty and not counted."""
    return sum(name.partition(".")[0] in LAYERS and not hasattr(sys.modules[name], "__path__") for name in sys.modules)


def observe(name: str) -> dict[str, Any]:
    """Import the function, call it once, and return what each step has loaded; works only once per process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nowhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    sys.path.insert(0, str(ROOT / "functions" / name))
    for stranger in os.environ["STRANGERS"].split():
        sys.modules[stranger] = None  # type: ignore[assignment]  # importing it fails, as it would at Lambda
    before = libraries()
    app = importlib.import_module("app")
    imported = libraries() - before
    if deployments := sys.modules.get("understudy.deployments.config"):
        deployments.FILE = ROOT / "config" / "deployments.toml"  # type: ignore[attr-defined]  # the layer's build does it
    answer = app.handler(_event(name, app), Context())
    answered = libraries() - before - imported
    loaded = ours()
    server.shutdown()
    return {"import": sorted(imported), "answer": sorted(answered), "ours": loaded, "said": _said(answer)}


def observe_alone(name: str) -> dict[str, Any]:
    """Run `observe` in a process of its own and return its result."""
    layers = os.pathsep.join(
        str(folder) for folder in (ROOT, ROOT / "layers" / "understudy", ROOT / "layers" / "media")
    )
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": layers,
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "TABLE_NAME": "t",
        "BUCKET_NAME": "b",
        "ID_SECRET": "ids",
        "POWERTOOLS_SERVICE_NAME": "understudy",
        "STRANGERS": " ".join(strangers()),
    }
    command = [sys.executable, "-m", "tests.fakes.modules", name]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise AssertionError(f"{name}: {ran.stderr}")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def functions() -> list[str]:
    """Return the folder names of all functions."""
    return sorted(file.parent.name for file in (ROOT / "functions").glob("*/app.py"))


def _event(name: str, app: Any) -> dict[str, Any]:
    if name == "authorizer":
        return {"authorizationToken": "Bearer us-nobody", "methodArn": "arn:aws:execute-api:r:a:api/v1/GET/videos"}
    if name == "run_job":
        return {"team": "t", "video": "v", "begun": 0}
    if name == "sweep_jobs":
        return {"detail-type": "Scheduled Event", "detail": {}}
    if name == "ingest_upload":
        return _sqs({"Records": [{"s3": {"object": {"key": "uploads/t/u", "size": 1}}}]})
    if name in {"inspect_clip", "stitch_clips"}:
        return {"key": "elsewhere/clip"}
    endpoint = app.handler.endpoint
    path = {parameter: _id(parameter.removesuffix("_id")) for parameter in _parameters(endpoint.path)}
    return {
        "httpMethod": endpoint.method,
        "path": endpoint.path.format(**path),
        "resource": endpoint.path,
        "headers": {"content-type": "application/json"},
        "pathParameters": path,
        "queryStringParameters": None,
        "requestContext": {"requestId": "r", "authorizer": {"team": "t", "key_id": "k"}},
        "body": "{}" if endpoint.method == "POST" else None,
        "isBase64Encoded": False,
    }


def _sqs(message: dict[str, Any]) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))}
    record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps(message), "attributes": attributes}
    return {"Records": [{**record, "eventSource": "aws:sqs"}]}


def _id(kind: str) -> str:
    from understudy.ids import IdCodec, Kind, ManagedId

    return IdCodec(SECRET.encode()).encode(ManagedId(Kind(kind), "record", "openai", "one", "original"), team="t")


def _parameters(path: str) -> list[str]:
    return [part.strip("{}") for part in path.split("/") if part.startswith("{")]


def _said(answer: dict[str, Any] | None) -> Any:
    """Return the part of the answer that shows that the answer is real: the status, or else the code or principal."""
    if answer is None:
        return None  # the sweep's
    if "statusCode" in answer:
        return answer["statusCode"]
    return answer.get("code") or answer.get("principalId") or answer


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(observe(sys.argv[1])))
    else:
        print(json.dumps({name: observe_alone(name) for name in functions()}, indent=2))

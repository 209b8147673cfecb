"""Trims botocore's service descriptions to what Understudy calls, in the build of a layer.

    python trim_botocore.py botocore/data [SERVICE ...]

botocore describes four hundred services in 25 MB. At every cold start a function reads the addresses of all services
and, with documentation, every operation of the services that it uses. The trimmed files keep their format and contain
less. With names of services, only those are kept.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# The operations that our modules, boto3's transfer (multipart uploads) and Powertools' circuit breaker call. The built
# layer's client has no other operations: tests/template/test_layer.py compares this list with the code.
CALLS = {
    "dynamodb": {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "TransactWriteItems"},
    "lambda": {"Invoke"},
    "s3": {
        *("GetObject", "HeadObject", "PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "ListObjectsV2"),
        *("CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload", "AbortMultipartUpload"),
        "CreateBucket",  # never called, but `generate_presigned_post` needs it to find the bucket's address
    },
    "secretsmanager": {"GetSecretValue"},
    "sqs": {"ChangeMessageVisibility"},
    "ssm": {"GetParameter"},
    "stepfunctions": {"StartExecution", "DescribeExecution"},
}

ENDPOINTS = {"stepfunctions": "states"}  # services by another name in endpoints.json


def main(data: Path, calls: dict[str, set[str]]) -> None:
    """Trim the folder `data` in place, to the services and operations in `calls`.

    Raises KeyError if botocore no longer has one of the operations.
    """
    for folder in (path for path in data.iterdir() if path.is_dir()):
        versions = sorted(folder.iterdir())
        for unused in versions[:-1] if folder.name in calls else [folder]:
            shutil.rmtree(unused)
    for file in (*data.rglob("examples-1.json*"), *data.rglob("waiters-*.json*")):
        file.unlink()
    _write(data / "endpoints.json", _endpoints(_read(data / "endpoints.json"), calls))
    for file in data.rglob("*.json.gz"):
        content = _read(file)
        if file.name.startswith("service-"):
            content = _undocumented(_model(content, calls[file.relative_to(data).parts[0]]))
        _write(file.with_suffix(""), content)
        file.unlink()


def _endpoints(endpoints: Any, calls: dict[str, set[str]]) -> Any:
    """Remove the services that are not in `calls` from every partition. Return `endpoints`, changed in place."""
    names = {ENDPOINTS.get(name, name) for name in calls}
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in names}
    return endpoints


def _model(model: Any, names: set[str]) -> Any:
    """Return the service's model with these operations only, and with the shapes that the operations reach."""
    operations = {name: model["operations"][name] for name in sorted(names)}
    shapes: dict[str, Any] = {}
    wanted = list(_shapes(operations))
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            wanted += _shapes(shapes[name])
    return {**model, "operations": operations, "shapes": shapes}


def _shapes(node: Any) -> set[str]:
    """Return the names of the shapes that this part of a model refers to."""
    if isinstance(node, list):
        return set().union(*map(_shapes, node))
    if not isinstance(node, dict):
        return set()
    here = {node["shape"]} if isinstance(node.get("shape"), str) else set()
    return here.union(*map(_shapes, node.values()))


def _undocumented(node: Any) -> Any:
    """Return the same JSON with empty documentation strings. The key stays, because botocore reads it.

    A shape's member may be named `documentation`, too. Its value is an object, and it stays.
    """
    if isinstance(node, list):
        return [_undocumented(one) for one in node]
    if isinstance(node, dict):
        return {
            name: "" if name == "documentation" and isinstance(one, str) else _undocumented(one)
            for name, one in node.items()
        }
    return node


def _read(file: Path) -> Any:
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, separators=(",", ":"), ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), {service: CALLS[service] for service in sys.argv[2:] or CALLS})

"""Trims what botocore knows of AWS to what we call: `python trim.py botocore/data`, when the layer is built.

It describes four hundred services in 25 MB and reads what it needs of that at every cold start: the addresses of all
services, and every operation of ours with its documentation. The files keep their form and say less.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# What our modules call, boto3's transfer (the multipart uploads) and Powertools' circuit breaker. An operation that is
# missing is missing from the built layer's client: tests/template/test_layer.py compares with the code.
CALLS = {
    "dynamodb": {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "TransactWriteItems"},
    "lambda": {"Invoke"},
    "s3": {
        *("GetObject", "HeadObject", "PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "ListObjectsV2"),
        *("CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload", "AbortMultipartUpload"),
        "CreateBucket",  # never called: botocore's `generate_presigned_post` finds the bucket's address by it
    },
    "secretsmanager": {"GetSecretValue"},
    "sqs": {"SendMessage", "ChangeMessageVisibility"},
    "ssm": {"GetParameter"},
}


def main(data: Path) -> None:
    """Trim the folder. Raises KeyError for what botocore no longer has."""
    for folder in (path for path in data.iterdir() if path.is_dir()):
        versions = sorted(folder.iterdir())
        for unused in versions[:-1] if folder.name in CALLS else [folder]:
            shutil.rmtree(unused)
    for file in (*data.rglob("examples-1.json*"), *data.rglob("waiters-*.json*")):
        file.unlink()
    _write(data / "endpoints.json", _endpoints(_read(data / "endpoints.json")))
    for file in data.rglob("*.json.gz"):
        content = _read(file)
        if file.name.startswith("service-"):
            content = _undocumented(_model(content, CALLS[file.relative_to(data).parts[0]]))
        _write(file.with_suffix(""), content)
        file.unlink()


def _endpoints(endpoints: Any) -> Any:
    """All partitions and regions, with our services' addresses."""
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in CALLS}
    return endpoints


def _model(model: Any, names: set[str]) -> Any:
    """The service with these operations and the shapes that they reach."""
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
    """The names of shapes that are referred to here."""
    if isinstance(node, list):
        return set().union(*map(_shapes, node))
    if not isinstance(node, dict):
        return set()
    here = {node["shape"]} if isinstance(node.get("shape"), str) else set()
    return here.union(*map(_shapes, node.values()))


def _undocumented(node: Any) -> Any:
    """The same with empty documentation: botocore asks for it. A member that is called so is an object and stays."""
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
    main(Path(sys.argv[1]))

"""The process of the local AWS: MiniStack with five changes.

1. A layer is unpacked once, not for every execution environment. Unpacking our layer takes half a second and a thousand
   files. MiniStack has only one process, which answers no requests meanwhile. Fifty environments at the same time
   delayed all requests for longer than the gateway's timeout.

2. MiniStack looks for messages every tenth of a second, not every second. AWS Lambda's pollers take a message within
   milliseconds.

3. Functions for which no caller waits run at a lower priority. On Amazon each environment has a processor of its own;
   here a dozen copies of `run_job` would delay a call of the API until it times out.

4. A role has at most ten managed policies, which is IAM's quota in an account that has never asked for more.

5. IAM knows the partitions and the attributes that a request to DynamoDB names (`dynamodb:LeadingKeys`,
   `dynamodb:Attributes`), in a transaction those of each item. MiniStack knows neither, and so takes every policy that
   depends on them for one that allows everything.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import types
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ministack.app import main  # type: ignore[import-not-found]
from ministack.core import iam_actions, iam_evaluator, lambda_runtime  # type: ignore[import-not-found]
from ministack.services import iam, lambda_svc  # type: ignore[import-not-found]

LOOKS_EVERY = 0.1  # seconds, for messages
POLICIES_PER_ROLE = 10  # IAM's page of quotas, 2026-11
BACKGROUND = ("-run-job", "-ingest-upload", "-stitch-clips")  # functions by the end of their names
NICE = ("nice", "-n", "5")  # a third of the processor time that other processes get

attach_any = iam.attach_managed_policy
known_conditions = iam_actions.dynamodb_service_context
enforce_known = iam_evaluator.enforce

PARTITION = "pk"  # the partition key of the one table
MEMBERS = iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS  # of an item of a transaction -> its action
EXPRESSIONS = ("UpdateExpression", "ConditionExpression", "ProjectionExpression", "FilterExpression")
PATH = re.compile(r"(?<![\w:.#])#?[A-Za-z_]\w*(?![\w(])")  # the first name of a path; not a value, not a function
WORDS = frozenset({"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "IN", "BETWEEN"})


class Layers(zipfile.ZipFile):
    """A zip file that, if it is a layer (`layer_N`), is unpacked once and extracted as symbolic links."""

    @property
    def _is_layer(self) -> bool:
        return Path(str(self.filename)).name.startswith("layer_")

    def namelist(self) -> list[str]:
        """Return the names in the file; for a layer, the names of its links.

        MiniStack checks each name for a path out of the folder.
        """
        names = super().namelist()
        return sorted({name.partition("/")[0] for name in names}) if self._is_layer else names

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        if not self._is_layer:
            return super().extractall(path, members, pwd)
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        unpacked = Path(tempfile.gettempdir()) / "layers" / digest
        if not unpacked.exists():
            self._unpack(unpacked)
        for entry in unpacked.iterdir():
            (Path(path) / entry.name).symlink_to(entry)
        return None

    def _unpack(self, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=target.parent))
        super().extractall(half, super().namelist())
        try:
            half.rename(target)
        except OSError:  # another environment was first
            shutil.rmtree(half)


class Wake(threading.Event):
    """The event on which MiniStack's poller waits between two polls: for at most 0.1 s, not for MiniStack's 1 s."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(LOOKS_EVERY if timeout is None else min(timeout, LOOKS_EVERY))


def attach_policy(role: dict[str, Any], policy: str) -> None:
    """Attach a managed policy to a role. Raises RuntimeError if the role has as many as IAM allows."""
    if len(role["AttachedPolicies"]) >= POLICIES_PER_ROLE:
        raise RuntimeError(f"LimitExceeded: Cannot exceed quota for PoliciesPerRole: {POLICIES_PER_ROLE}")
    attach_any(role, policy)


class Item(str):
    """The table of an item of a transaction, with the item's own condition keys."""

    conditions: dict[str, list[str]]


def conditions(request: dict[str, Any]) -> dict[str, list[str]]:
    """Return the condition keys of a request or of an item: its partition and the attributes that it names.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html (2026-11)
    """
    names = request.get("ExpressionAttributeNames") or {}
    row = request.get("Key") or request.get("Item") or {}
    partition = row.get(PARTITION) or _queried(request, names)
    found = {names.get(name, name) for text in EXPRESSIONS for name in PATH.findall(request.get(text) or "")}
    attributes = sorted((found | set(row)) - WORDS)
    leading = [str(next(iter(partition.values())))] if partition else []
    return {"dynamodb:LeadingKeys": leading, "dynamodb:Attributes": attributes}


def _queried(request: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    """Return the value of the partition key in the condition of a query."""
    values = request.get("ExpressionAttributeValues") or {}
    for name, value in re.findall(r"(#?\w+)\s*=\s*(:\w+)", request.get("KeyConditionExpression") or ""):
        if names.get(name, name) == PARTITION:
            return dict(values.get(value, {}))
    return {}


def request_conditions(body: bytes) -> dict[str, Any]:
    """Return MiniStack's condition keys of a request to DynamoDB, and those that it does not know."""
    request = json.loads(body or b"{}")
    return dict(known_conditions(body)) | ({} if "TransactItems" in request else conditions(request))


def transaction_items(action: str, body: bytes, region: str, account: str) -> list[tuple[str, Item]]:
    """Return the action and the table of each item of a transaction, as MiniStack's function of this name does."""
    if action not in {"dynamodb:TransactWriteItems", "dynamodb:TransactGetItems"}:
        return []
    found = []
    for item in json.loads(body or b"{}").get("TransactItems", []):
        for member, detail in item.items():
            table = Item(iam_actions._dynamodb_table_arn(detail["TableName"], region, account))
            table.conditions = conditions(detail)
            found.append((MEMBERS[member], table))
    return found


def enforce(*arguments: Any, resource_arn: Any = None, service_context: Any = None, **options: Any) -> Any:
    """Check a request against the caller's policies; an item of a transaction by its own condition keys."""
    if isinstance(resource_arn, Item):
        service_context = {**(service_context or {}), **resource_arn.conditions}
    return enforce_known(*arguments, resource_arn=resource_arn, service_context=service_context, **options)


def start_environment(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the process of an execution environment, as MiniStack does with `subprocess.Popen`."""
    name = options["env"]["AWS_LAMBDA_FUNCTION_NAME"]
    return subprocess.Popen([*(NICE if name.endswith(BACKGROUND) else ()), *command], **options)


if __name__ == "__main__":
    lambda_svc._esm_wake = Wake()
    lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | {"ZipFile": Layers})
    lambda_runtime.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": start_environment})
    iam.attach_managed_policy = attach_policy
    iam_actions.dynamodb_service_context = request_conditions
    iam_actions.dynamodb_transaction_checks = transaction_items
    iam_evaluator.enforce = enforce
    sys.exit(main())

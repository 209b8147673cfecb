"""Records the simulator's requests: one record for each, kept over restarts, without file bytes or real keys."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import Counter, deque
from email.message import Message
from typing import Any

from local.simulators.shared.store import Store

_HEADERS = (
    "content-type",
    "content-length",
    "transfer-encoding",
    "expect",
    "accept",
    "host",
    "user-agent",
    "idempotency-key",
    "x-request-id",
    "traceparent",
    "x-stainless-retry-count",
    "x-stainless-poll-helper",
    "openai-organization",
    "openai-project",
)
_KEPT = 50_000

Record = dict[str, Any]


class Recorder:
    """The records of one server: one record for each request, with the keys that `begin` sets.

    `headers` holds the headers in `_HEADERS` only. `body` is the kind of the body, `bytes` the number of bytes
    received. `fields`, `files` and `json` come from `Body.describe`. `created` is the id of the created object. `names`
    are its id and its reference. `outcome` is answered, reset, half, died or client_gone. The outcome is null until
    just before the answer is sent, and becomes client_gone if the client disconnects then.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(store.load("request"), maxlen=_KEPT)
        self._number = max((record["number"] for record in self._records), default=0)

    def begin(
        self, method: str, path: str, query: str, headers: Message, account: str | None, key: str | None
    ) -> Record:
        shown = {name: headers[name] for name in _HEADERS if name in headers}
        with self._lock:
            self._number += 1
            record: Record = {
                "number": self._number,
                "request_id": f"req_{secrets.token_hex(16)}",  # the answer's header x-request-id
                "time": time.time(),
                "method": method,
                "path": path,
                "query": query,
                "account": account,
                "key": key,
                "headers": shown,
                "operation": None,
                "body": None,
                "bytes": 0,
                "fields": {},
                "files": [],
                "json": None,
                "created": None,
                "names": [],
                "status": None,
                "outcome": None,
                "fault": None,
                "milliseconds": None,
            }
            self._records.append(record)
        return record

    def save(self, record: Record) -> None:
        self._store.put("request", str(record["number"]), record)

    def finish(self, record: Record, outcome: str, status: int | None) -> None:
        record |= {"outcome": outcome, "status": status}
        record["milliseconds"] = round((time.time() - record["time"]) * 1000, 1)
        self.save(record)

    def list(self, filters: dict[str, str]) -> list[Record]:
        """Return the records that pass all filters.

        Filters: method, account, operation, outcome, path (regular expression), since (number, exclusive).
        """
        with self._lock:
            records = list(self._records)
        for name in ("method", "account", "operation", "outcome"):
            if name in filters:
                records = [record for record in records if record[name] == filters[name]]
        if "path" in filters:
            records = [record for record in records if re.search(filters["path"], record["path"])]
        if "since" in filters:
            records = [record for record in records if record["number"] > int(filters["since"])]
        return records

    def counts(self) -> dict[str, Any]:
        """Count all requests, and requests by operation, by account and operation, and by status.

        `created` counts the created objects by account and operation.
        """
        records = self.list({})
        accounts: dict[str, Counter[str]] = {}
        created: dict[str, Counter[str]] = {}
        for record in records:
            accounts.setdefault(str(record["account"]), Counter())[str(record["operation"])] += 1
            if record["created"]:
                created.setdefault(str(record["account"]), Counter())[str(record["operation"])] += 1
        return {
            "requests": len(records),
            "operations": Counter(str(record["operation"]) for record in records),
            "statuses": Counter(str(record["status"]) for record in records),
            "accounts": accounts,
            "created": created,
        }

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
        self._store.clear("request")

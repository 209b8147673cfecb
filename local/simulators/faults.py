"""Faults to order: the next requests that match go wrong in the way asked for.

A fault is a JSON object; unknown keys are refused, so that a slip of the pen does not pass as a test.

    method, path, account   which requests: method, regular expression searched in the path, account; all optional
    skip, times             let the first `skip` matches pass, then strike `times` times (default 1; null: always)
    when                    "before" the request is processed (nothing is made) or "after" it (the job exists)
    delay                   seconds to wait at that moment
    action                  "reset"   the connection is reset; before: without reading the body
                            "answer"  `status`, `headers`, `body` (a string as it is, else JSON) instead of the real one
                            "half"    the real answer's head and half of its body, then the connection is closed
                            "die"     the whole simulator process ends at once
                            omitted   nothing but the delay

`when` is "before" by default for "answer" and "reset", else "after".
"""

from __future__ import annotations

import re
import threading
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from local.simulators.errors import Refusal


class Fault(BaseModel):
    """One order; see the module's docstring. `matched` and `fired` count the requests it met and struck."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: int = 0
    method: str | None = None
    path: re.Pattern[str] | None = None
    account: str | None = None
    skip: int = 0
    times: int | None = 1
    when: Literal["before", "after"] | None = None
    delay: float = 0.0
    action: Literal["reset", "answer", "half", "die"] | None = None
    status: int = 500
    headers: dict[str, str] = {}
    body: Any = ""
    matched: int = 0
    fired: int = 0

    @model_validator(mode="after")
    def _must_do_something(self) -> Fault:
        if self.action is None and not self.delay:
            raise ValueError("a fault without an action needs a delay")
        if self.action == "half" and self.when == "before":
            raise ValueError("half an answer needs the request to be processed: when must be after")
        return self

    @property
    def before(self) -> bool:
        return (self.when or ("before" if self.action in ("answer", "reset") else "after")) == "before"

    def matches(self, method: str, path: str, account: str | None) -> bool:
        return (
            (self.method is None or self.method == method)
            and (self.path is None or self.path.search(path) is not None)
            and (self.account is None or self.account == account)
        )


class FaultBook:
    """The faults still to come, oldest first; a request meets at most one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last = 0

    def order(self, document: Any) -> Fault:
        """Adds a fault. Raises Refusal (400) for an order that makes no sense."""
        try:
            fault = Fault.model_validate(document)
        except ValidationError as error:
            raise Refusal(400, f"This is no fault: {error}") from error
        with self._lock:
            self._last += 1
            fault.id = self._last
            self._faults.append(fault)
        return fault

    def take(self, method: str, path: str, account: str | None) -> Fault | None:
        """The fault that strikes this request, used up by one."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(method, path, account) or fault.fired == fault.times:
                    continue
                fault.matched += 1
                if fault.matched > fault.skip:
                    fault.fired += 1
                    return fault
        return None

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.model_dump(mode="json") for fault in self._faults]

    def remove(self, fault_id: int | None = None) -> None:
        """Removes one fault, or all of them."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]

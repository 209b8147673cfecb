"""Faults that tests inject: the next matching requests fail in the way that the fault describes.

A fault is a JSON object. Unknown keys are refused, so that a test with a typing error fails.

    method, path, account   which requests match: method, regular expression searched in the path, account; all optional
    about                   only requests whose body has this text, and later requests for what these requests created:
                            by id, by reference or by an address in an answer. Other requests never match
    skip, times             skip the first `skip` matches, then apply the fault `times` times (default 1; null: always)
    when                    "before" the request is processed (nothing is created) or "after" it (the job exists)
    delay                   seconds to wait at that moment
    action                  "reset"   reset the connection; before: without reading the body, unless `about` needs it
                            "answer"  send `status`, `headers`, `body` (a string unchanged, else JSON) as the answer
                            "alter"   send the real answer after `replace` in its body: regular expression -> text
                            "half"    send the head and half of the body of the real answer, then close the connection
                            "die"     end the whole simulator process at once
                            omitted   only wait for `delay`

`when` is "before" by default for "answer" and "reset", else "after".
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from local.simulators.shared.errors import Refusal


class Fault(BaseModel):
    """One fault; see the module's docstring. `matched` and `fired` count requests that it matched and applied to."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: int = 0
    method: str | None = None
    path: re.Pattern[str] | None = None
    account: str | None = None
    about: str | None = None
    skip: int = 0
    times: int | None = 1
    when: Literal["before", "after"] | None = None
    delay: float = 0.0
    action: Literal["reset", "answer", "alter", "half", "die"] | None = None
    status: int = 500
    headers: dict[str, str] = {}
    body: Any = ""
    replace: dict[str, str] = {}
    matched: int = 0
    fired: int = 0
    trail: list[str] = []  # ids, references and addresses of what the requests with the text `about` created

    @model_validator(mode="after")
    def _must_do_something(self) -> Fault:
        if self.action is None and not self.delay:
            raise ValueError("a fault without an action needs a delay")
        if self.action in {"half", "alter"} and self.when == "before":
            raise ValueError("half an answer, or another one, needs the request to be processed: when must be after")
        if (self.action == "alter") != bool(self.replace):
            raise ValueError("an answer is altered by what is to be replaced in it")
        try:
            for pattern in self.replace:
                re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
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

    def concerns(self, target: str, words: Callable[[], str]) -> bool:
        """Return whether the fault's `about` fits a request. `target` is path and query; `words` returns the body."""
        named = any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", target) for name in self.trail)
        return self.about is None or named or self.about in words()


class FaultBook:
    """The faults of one server, oldest first. At most one fault applies to a request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last = 0

    def order(self, document: Any) -> Fault:
        """Add a fault. Raises Refusal (400) if the fault is not valid."""
        try:
            fault = Fault.model_validate(document)
        except ValidationError as error:
            raise Refusal(400, f"This is no fault: {error}") from error
        with self._lock:
            self._last += 1
            fault.id = self._last
            self._faults.append(fault)
        return fault

    def take(
        self, method: str, path: str, account: str | None, query: str = "", words: Callable[[], str] = str
    ) -> Fault | None:
        """Return the fault that applies to this request, if any, and count that use.

        The body is read only if a matching fault has `about`. The lock is not held during the reading, because a slow
        body must not delay other requests.
        """
        with self._lock:
            left = [one for one in self._faults if one.matches(method, path, account) and one.fired != one.times]
        if any(fault.about is not None for fault in left):
            words()
        with self._lock:
            for fault in left:
                if fault.fired == fault.times or not fault.concerns(f"{path}?{query}", words):
                    continue
                fault.matched += 1
                if fault.matched > fault.skip:
                    fault.fired += 1
                    return fault
        return None

    def follow(self, target: str, words: Callable[[], str], names: Callable[[], list[str]]) -> None:
        """Add names to the trail of every fault whose `about` fits this request.

        `names` returns the ids, references and addresses of what the request created or was told.
        """
        with self._lock:
            for fault in self._faults:
                if fault.about is not None and fault.concerns(target, words):
                    fault.trail += [name for name in names() if name not in fault.trail]

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.model_dump(mode="json") for fault in self._faults]

    def remove(self, fault_id: int | None = None) -> None:
        """Remove one fault, or all faults."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]

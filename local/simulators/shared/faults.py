"""Faults to order: the next requests that match go wrong in the way asked for.

A fault is a JSON object; unknown keys are refused, so that a slip of the pen does not pass as a test.

    method, path, account   which requests: method, regular expression searched in the path, account; all optional
    about                   only those that carry this text, or ask for what an order with it has made: by its id, its
                            reference or an address that an answer gave. Such a fault strikes nobody else's requests
    skip, times             let the first `skip` matches pass, then strike `times` times (default 1; null: always)
    when                    "before" the request is processed (nothing is made) or "after" it (the job exists)
    delay                   seconds to wait at that moment
    action                  "reset"   the connection is reset; before: without reading the body, unless `about` has to
                            "answer"  `status`, `headers`, `body` (a string as it is, else JSON) instead of the real one
                            "alter"   the real answer with `replace` done to its body: regular expression -> text
                            "half"    the real answer's head and half of its body, then the connection is closed
                            "die"     the whole simulator process ends at once
                            omitted   nothing but the delay

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
    """One order; see the module's docstring. `matched` and `fired` count the requests it met and struck."""

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
    trail: list[str] = []  # what names the things that the requests it is about have made

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
        """Is the request for `target`, path and query, about what the fault is about? `words` reads its body."""
        named = any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", target) for name in self.trail)
        return self.about is None or named or self.about in words()


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

    def take(
        self, method: str, path: str, account: str | None, query: str = "", words: Callable[[], str] = str
    ) -> Fault | None:
        """The fault that strikes this request, used up by one. The body is read only for one that is about something.

        Without the lock while it is: a slow body must not hold up other requests.
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
        """Whatever a request has made, told or been told by name belongs to what it was about."""
        with self._lock:
            for fault in self._faults:
                if fault.about is not None and fault.concerns(target, words):
                    fault.trail += [name for name in names() if name not in fault.trail]

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.model_dump(mode="json") for fault in self._faults]

    def remove(self, fault_id: int | None = None) -> None:
        """Removes one fault, or all of them."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]

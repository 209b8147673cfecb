"""The control API under `/_sim/`, with which tests and the local stack inspect and control a simulator.

The control API needs no API key.

GET    /_sim/health            {"ok": true, "provider", "pid"}
GET    /_sim/requests          records, oldest first; filters: method, account, operation, outcome, path (regex), since
DELETE /_sim/requests          deletes the records
GET    /_sim/counts            requests, operations, statuses, accounts, created
GET    /_sim/jobs              every job of every account; `references` are pairs of name and SHA-256 of the file
GET    /_sim/faults            faults with their counters
POST   /_sim/faults            adds a fault (or a list of faults); see the module `faults`
DELETE /_sim/faults[/<id>]     removes all faults, or one fault
GET    /_sim/settings          the settings
POST   /_sim/settings          changes some settings
POST   /_sim/revoke            {"account": "a"} or {"key": "sim-a.1"}; with "restore": true the revocation is undone
POST   /_sim/reset             deletes jobs, characters, files, requests, faults and revocations; settings stay
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from local.simulators.shared.errors import Refusal
from local.simulators.shared.faults import FaultBook
from local.simulators.shared.provider import Provider, Response
from local.simulators.shared.recorder import Recorder

PREFIX = "/_sim/"


class Control:
    """The control API of one provider."""

    def __init__(self, provider: Provider, recorder: Recorder, faults: FaultBook) -> None:
        self._provider = provider
        self._recorder = recorder
        self._faults = faults

    def answer(self, method: str, path: str, query: str, body: bytes) -> Response:
        """Handle a call of the control API. A mistake in the call is a 400 or 404 with `{"error": sentence}`."""
        try:
            document = json.loads(body) if body else {}
            result = self._act(method, path.removeprefix(PREFIX).strip("/"), dict(parse_qsl(query)), document)
        except Refusal as refusal:
            return Response.of({"error": refusal.message}, refusal.status)
        except (ValueError, ValidationError) as error:
            return Response.of({"error": str(error)}, 400)
        return Response.of(result)

    def _act(self, method: str, name: str, query: dict[str, str], document: Any) -> Any:
        provider = self._provider
        match method, name.partition("/")[0]:
            case "GET", "health":
                return {"ok": True, "provider": type(provider).__name__, "pid": os.getpid()}
            case "GET", "requests":
                return self._recorder.list(query)
            case "DELETE", "requests":
                self._recorder.clear()
            case "GET", "counts":
                return self._recorder.counts()
            case "GET", "jobs":
                return provider.jobs()
            case "GET", "faults":
                return self._faults.list()
            case "POST", "faults":
                orders = document if isinstance(document, list) else [document]
                return [self._faults.order(order).model_dump(mode="json") for order in orders]
            case "DELETE", "faults":
                number = name.partition("/")[2]
                self._faults.remove(int(number) if number else None)
            case (("GET" | "POST"), "settings"):
                if method == "POST":
                    provider.configure(document)
                return provider.settings.model_dump(mode="json")
            case "POST", "revoke":
                self._revoke(document)
            case "POST", "reset":
                self._faults.remove()
                self._recorder.clear()
                provider.reset()
            case _:
                raise Refusal(404, f"The control API has no {method} {name}.")
        return {"ok": True}

    def _revoke(self, document: Any) -> None:
        allowed = {"account", "key", "restore"}
        if (
            not isinstance(document, dict)
            or not set(document) <= allowed
            or len({"account", "key"} & set(document)) != 1
        ):
            raise Refusal(400, "Say which account or which key.")
        self._provider.revoke(document.get("account"), document.get("key"), bool(document.get("restore", False)))

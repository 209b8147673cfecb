"""The base of simulated providers: accounts with API keys, the jobs of a Studio, and addresses of files."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from email.message import Message
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from local.simulators.shared.accounts import Accounts
from local.simulators.shared.clock import Clock
from local.simulators.shared.errors import Refusal
from local.simulators.shared.inputs import Inputs
from local.simulators.shared.provider import Caller, Provider, Request, Response, Route
from local.simulators.shared.settings import JobSettings
from local.simulators.shared.store import Store, Vault
from local.simulators.shared.studio import Job, Studio

Chosen = TypeVar("Chosen", bound=JobSettings)
Handler = Callable[[Request], Response]


class Part(Protocol):
    """A part of a provider that is cleared when the provider is reset."""

    def clear(self) -> None: ...


class KeyedProvider(Provider, Generic[Chosen]):
    """One server with all its accounts. All state is in the folder `state`.

    A subclass defines its operations, its error format and additional facts of its jobs. A subclass adds its parts that
    keep state to `parts`.
    """

    settings: Chosen
    content_folder = "outputs"  # the first part of the addresses of files

    def __init__(self, state: Path, settings: Chosen) -> None:
        self.settings = settings
        self.store = Store(state)
        self.folder = state / "incoming"
        Vault(self.folder).clear()  # files that a killed process left there
        self.vault = Vault(state / "files")
        self.clock = Clock(settings.speed)
        self.inputs = Inputs(self.vault, self.folder)
        self.accounts = Accounts(self.store)
        self.studio = Studio(self.store, self.vault, state / "renders", self.clock, lambda: self.settings)
        self.parts: list[Part] = [self.studio, self.accounts, self.vault]

    # Methods that a subclass defines

    @abstractmethod
    def operations(self) -> Iterable[Route]:
        """Return the operations. An operation that needs an API key has a handler made by `members`."""

    @abstractmethod
    def no_key(self) -> Refusal:
        """Build the Refusal for a request without an API key, if the operation needs a key."""

    def wrong_key(self, refusal: Refusal) -> Refusal:
        """Build the Refusal for a key that is not valid; `refusal` says why."""
        return refusal

    def credentials(self, headers: Message) -> Message:
        """Return the header with the API key, if there is one, under a name that `Accounts` reads."""
        found = Message()
        if headers.get("Authorization"):
            found["Authorization"] = headers["Authorization"]
        return found

    def facts(self, job: Job) -> dict[str, Any]:
        """Return additional facts of a job for the control API."""
        return {}

    # Methods that the shared server calls

    @cached_property
    def _routes(self) -> list[Route]:
        return list(self.operations())

    def routes(self) -> Iterable[Route]:
        return self._routes

    def identify(self, headers: Message) -> Caller:
        return self.accounts.identify(self.credentials(headers))

    def authorise(self, caller: Caller, headers: Message) -> str:
        """Return the account, or '' for a request without an API key, such as a download. Raises Refusal."""
        found = self.credentials(headers)
        if not found.keys():
            return ""
        try:
            return self.accounts.authorise(caller, found)
        except Refusal as refusal:
            raise self.wrong_key(refusal) from None

    def jobs(self) -> list[dict[str, Any]]:
        return [
            {
                "id": job.id,
                "account": job.account,
                "operation": job.operation,
                "model": job.model,
                "prompt": job.prompt,
                "status": self.studio.status(job)[0],
                "seconds": job.total_seconds,
                "size": f"{job.width}x{job.height}",
                "references": job.roles,
                "deleted": job.deleted,
                **self.facts(job),
            }
            for job in self.studio.list()
        ]

    def configure(self, changes: dict[str, Any]) -> None:
        self.settings = type(self.settings).model_validate({**self.settings.model_dump(), **changes})
        self.clock.set_speed(self.settings.speed)

    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        self.accounts.revoke(account, key, restore)

    def reset(self) -> None:
        for part in self.parts:
            part.clear()

    # Parts of operations

    def members(self, handler: Handler) -> Handler:
        """Return a handler that refuses requests without an API key."""

        def checked(request: Request) -> Response:
            if not request.account:
                raise self.no_key()
            return handler(request)

        return checked

    def unfinished(self, account: str) -> int:
        """Return the number of jobs of an account that are not finished."""
        return sum(self.studio.status(job)[0] not in ("completed", "failed") for job in self.studio.list(account))

    def address(self, request: Request, job: Job, seconds: float) -> str:
        """Return the address of a job's file. It needs no API key and is valid for `seconds`.

        The route is /FOLDER/{id}/{until}.
        """
        return f"http://{request.headers['Host']}/{self.content_folder}/{job.id}/{int(time.time() + seconds)}.mp4"

    def addressed(self, request: Request) -> Job | None:
        """Return the job whose file a request for such an address names. None if it has expired or was deleted."""
        until = request.params["until"].removesuffix(".mp4")
        job = next((job for job in self.studio.list() if job.id == request.params["id"]), None)
        expired = not until.isdecimal() or int(until) <= time.time()
        return None if job is None or job.deleted or expired else job

    def sent(self, job: Job) -> Response:
        """Return a response with the file of a job."""
        return Response(200, self.studio.video(job), {"Content-Type": "video/mp4"})


class Rows:
    """The rows of one table of the store, by id: facts of a task that its job does not hold."""

    def __init__(self, store: Store, table: str) -> None:
        self._store, self._table = store, table
        self._rows: dict[str, dict[str, Any]] = {row["id"]: row for row in store.load(table)}

    def __getitem__(self, row_id: str) -> dict[str, Any]:
        return self._rows[row_id]

    def get(self, row_id: str) -> dict[str, Any] | None:
        return self._rows.get(row_id)

    def put(self, row_id: str, row: dict[str, Any]) -> None:
        self._rows[row_id] = {**row, "id": row_id}
        self._store.put(self._table, row_id, self._rows[row_id])

    def clear(self) -> None:
        self._rows.clear()
        self._store.clear(self._table)


def expired() -> Response:
    """Build the response of the file host for an expired address."""
    return Response(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})

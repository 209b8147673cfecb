"""The base of simulated providers: accounts with keys, jobs that a studio makes, and addresses where files lie."""

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
    """A part of a provider that forgets when it is reset."""

    def clear(self) -> None: ...


class KeyedProvider(Provider, Generic[Chosen]):
    """One server with all its accounts; everything it remembers is under `state`.

    A subclass says which operations it has, how it refuses, and what is special of its jobs. Parts of its own that
    remember something are put into `parts`; those with `settings` get changed ones.
    """

    settings: Chosen
    content_folder = "outputs"  # the first part of the addresses of files

    def __init__(self, state: Path, settings: Chosen) -> None:
        self.settings = settings
        self.store = Store(state)
        self.folder = state / "incoming"
        Vault(self.folder).clear()  # what a process that died left there
        self.vault = Vault(state / "files")
        self.clock = Clock(settings.speed)
        self.inputs = Inputs(self.vault, self.folder)
        self.accounts = Accounts(self.store)
        self.studio = Studio(self.store, self.vault, state / "renders", self.clock, settings)
        self.parts: list[Part] = [self.studio, self.accounts, self.vault]

    # What a subclass brings

    @abstractmethod
    def operations(self) -> Iterable[Route]:
        """Its operations. Those that need a key have handlers made by `members`."""

    @abstractmethod
    def no_key(self) -> Refusal:
        """How an operation of members refuses a request without a key."""

    def wrong_key(self, refusal: Refusal) -> Refusal:
        """How a key that is not good is refused; `refusal` says why it is not."""
        return refusal

    def credentials(self, headers: Message) -> Message:
        """The header with the key, if there is one, where `Accounts` looks for it."""
        found = Message()
        if headers.get("Authorization"):
            found["Authorization"] = headers["Authorization"]
        return found

    def facts(self, job: Job) -> dict[str, Any]:
        """What the control API shows of a job besides what it shows of all."""
        return {}

    # The shared server's side

    @cached_property
    def _routes(self) -> list[Route]:
        return list(self.operations())

    def routes(self) -> Iterable[Route]:
        return self._routes

    def identify(self, headers: Message) -> Caller:
        return self.accounts.identify(self.credentials(headers))

    def authorise(self, caller: Caller, headers: Message) -> str:
        """The account, or '' for a request without a key: files are fetched so."""
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
        for part in self.parts:
            if hasattr(part, "settings"):
                part.settings = self.settings
        self.clock.set_speed(self.settings.speed)

    def revoke(self, account: str | None, key: str | None, restore: bool) -> None:
        self.accounts.revoke(account, key, restore)

    def reset(self) -> None:
        for part in self.parts:
            part.clear()

    # Parts of operations

    def members(self, handler: Handler) -> Handler:
        """The handler, for requests with a key only."""

        def checked(request: Request) -> Response:
            if not request.account:
                raise self.no_key()
            return handler(request)

        return checked

    def unfinished(self, account: str) -> int:
        """How many jobs of an account are not finished."""
        return sum(self.studio.status(job)[0] not in ("completed", "failed") for job in self.studio.list(account))

    def address(self, request: Request, job: Job, seconds: float) -> str:
        """Where the file of a job can be fetched without a key, for so many seconds.

        The route is /FOLDER/{id}/{until}.
        """
        return f"http://{request.headers['Host']}/{self.content_folder}/{job.id}/{int(time.time() + seconds)}.mp4"

    def addressed(self, request: Request) -> Job | None:
        """The job whose file such an address leads to; None once it has expired, or the job was deleted."""
        until = request.params["until"].removesuffix(".mp4")
        job = next((job for job in self.studio.list() if job.id == request.params["id"]), None)
        expired = not until.isdecimal() or int(until) <= time.time()
        return None if job is None or job.deleted or expired else job

    def sent(self, job: Job) -> Response:
        """The file of a job."""
        return Response(200, self.studio.video(job), {"Content-Type": "video/mp4"})


class Rows:
    """Rows of a table of the store, by id: what a task is beside its job."""

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
    """What the host of files answers for an address that has expired."""
    return Response(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})

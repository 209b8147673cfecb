"""Concurrency limit and budget of a key: how many jobs it may have open, and how much it may commit in a month.

An open job has a slot and a hold, which is the reserved money. Both are taken in the transaction that writes the job,
and given back in the transaction that ends it. So neither a crash nor a race can take twice or give back twice. A slot
is a lease: a job that nothing ends loses its slot after its deadline, and a job that is driven keeps its slot. Entries
are only added: one hold and one settlement for each job, in whole micro-dollars.

A provider may deliver and charge more than was ordered. The actual cost is settled, even beyond the budget, and the
next job is refused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from understudy.access.keys import Limits
from understudy.errors import NO_RETRY, RateLimited
from understudy.store import table
from understudy.store.table import Change, Put

if TYPE_CHECKING:
    from understudy.jobs.job import Job

AT_ONCE = 50  # slots that are freed by one write: DynamoDB limits an expression to 300 operators and 4 KB
LEASE_GRACE = 3 * 3600  # after a provider's deadline; joining parts may take two hours, a lost execution 90 minutes


def opened(job: Job, limits: Limits, micro_dollars: int) -> Job:
    """Return the job with the slot and the hold that it takes under these limits."""
    month = time.strftime("%Y-%m", time.gmtime(job.created_at)) if limits.budget is not None else None
    until = job.late_at + LEASE_GRACE if limits.concurrent is not None else 0
    return replace(job, month=month, hold=micro_dollars if month else 0, slot_until=until)


def take(job: Job, limits: Limits) -> list[Put | Change]:
    """Return the writes that take the job's slot and hold. `refused` returns the error for a write that failed.

    Raises RateLimited if the job alone is over the budget.
    """
    if job.month and job.hold > (limits.budget or 0):
        raise _over_budget(limits)
    writes: list[Put | Change] = []
    if job.slot_until:
        writes.append(
            Change(
                table.slots_key(job.payer),
                "SET #open.#job = :until",
                {"until": job.slot_until, "most": limits.concurrent},
                {"open": "open", "job": job.id},
                "size(#open) < :most",
            )
        )
    if job.month:
        writes.append(
            Change(
                table.budget_key(job.payer, job.month),
                "ADD #committed :hold",
                {"hold": job.hold, "room": (limits.budget or 0) - job.hold},
                {"committed": "committed"},
                "attribute_not_exists(#committed) OR #committed <= :room",
            )
        )
        writes.append(Put(table.entry_key(job.team, job.id, "hold"), {"micro_dollars": job.hold, "key": job.payer}))
    return writes


def give_back(job: Job, spent: int) -> list[Put | Change]:
    """Return the writes that free the job's slot and replace its hold by what was spent."""
    writes: list[Put | Change] = []
    if job.slot_until:
        writes.append(Change(table.slots_key(job.payer), "REMOVE #open.#job", {}, {"open": "open", "job": job.id}))
    if job.month:
        writes.append(
            Change(
                table.budget_key(job.payer, job.month),
                "ADD #committed :difference, #spent :spent",
                {"difference": spent - job.hold, "spent": spent},
                {"committed": "committed", "spent": "spent"},
            )
        )
        row = {"micro_dollars": spent, "key": job.payer, "at": int(time.time())}
        writes.append(Put(table.entry_key(job.team, job.id, "settlement"), row))
    return writes


def ends_soon(job: Job) -> bool:
    """Return whether the lease on the job's slot has to be renewed, because the job is driven and has not ended."""
    return 0 < job.slot_until < time.time() + LEASE_GRACE / 2


def renewed(job: Job) -> tuple[int, Change]:
    """Return the end of a new lease on the job's slot, and the write that renews it."""
    until = max(job.late_at, int(time.time())) + LEASE_GRACE
    names = {"open": "open", "job": job.id}
    return until, Change(table.slots_key(job.payer), "SET #open.#job = :until", {"until": until}, names)


def refused(write: Put | Change, limits: Limits) -> RateLimited:
    """Return the error for the caller when this write of `take` failed."""
    if write.key.sk == "slots":
        message = f"This key may have {limits.concurrent} videos in progress at once. Try again when one is finished."
        return RateLimited(message, code="concurrency_limit", headers={"retry-after": "10"})
    return _over_budget(limits)


def _over_budget(limits: Limits) -> RateLimited:
    dollars = (limits.budget or 0) / 1_000_000
    message = f"This video would exceed the key's budget of ${dollars:.2f} a month. Nothing was created."
    return RateLimited(message, code="insufficient_quota", headers=NO_RETRY)


def drop_expired(payer: str) -> bool:
    """Free the slots whose lease has expired. Return True if there were any."""
    now = int(time.time())
    slots: dict[str, int] = (table.get(table.slots_key(payer)) or {"open": {}})["open"]
    expired = [(job, until) for job, until in slots.items() if until <= now]
    for first in range(0, len(expired), AT_ONCE):
        _free(payer, expired[first : first + AT_ONCE])
    return bool(expired)


def _free(payer: str, slots: Iterable[tuple[str, int]]) -> None:
    """Free these slots, unless another process frees some of them at this moment."""
    named = {f"j{i}": slot for i, slot in enumerate(slots)}
    change = Change(
        table.slots_key(payer),
        "REMOVE " + ", ".join(f"#open.#{name}" for name in named),
        {name: until for name, (_, until) in named.items()},
        {"open": "open"} | {name: job for name, (job, _) in named.items()},
        " AND ".join(f"#open.#{name} = :{name}" for name in named),
    )
    with contextlib.suppress(table.RowChanged):
        table.change(change)

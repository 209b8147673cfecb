"""Finds jobs that no execution drives, and has them driven or ended.

An execution can end before its job: an operator stops it, its last step fails as well, or its history is full. And it
may never have been started. Step Functions says at once when an execution has ended (`one`). Once an hour all jobs that
have not ended are looked at (`all_jobs`), because that event can be lost.
"""

from __future__ import annotations

import time

from understudy.background import retries
from understudy.jobs import transitions
from understudy.jobs.job import QUIET_SECONDS, Job
from understudy.store import executions, table
from understudy.telemetry import logger, needs_attention

TRIES = 3  # at a job that changes meanwhile
PAUSE = 0.1  # seconds between two look-ups: Step Functions takes 10 to 15 of them a second


def all_jobs(deadline: float) -> None:
    """Look after every job that was quiet for long.

    The next sweep goes on if the time does not suffice; `deadline` is in `time.monotonic()` seconds.
    """
    for key in table.unfinished(int(time.time()) - QUIET_SECONDS):
        if time.monotonic() > deadline:
            logger.warning("the sweep ran out of time")
            break
        row = table.get(key)
        job = Job.of(row) if row else None
        if job is None or not job.quiet:
            continue
        time.sleep(PAUSE)
        try:
            _look_after(job, executions.status(executions.job_name(job.id, job.run)))
        except table.RowChanged:
            continue  # somebody drives it
        except Exception:  # noqa: BLE001 - the other jobs are looked after all the same
            needs_attention("step_died", "job not swept", video=job.id, state=job.state)


def one(team: str, record: str, name: str, status: str) -> None:
    """Look after the job whose execution `name` has ended with this status.

    Step Functions may still say that the execution runs. A step that ran when it was stopped may change the job
    meanwhile.
    """
    for _ in range(TRIES):
        job = Job.find(team, record)
        if job is None or job.done or name != executions.job_name(job.id, job.run):
            return
        try:
            _look_after(job, status)
        except table.RowChanged:
            continue
        return


def _look_after(job: Job, status: str | None) -> None:
    """Have a job driven whose execution has this status, or end it. Do nothing if the execution runs."""
    if status == "RUNNING":
        transitions.touch(job)
        return
    logger.warning("no execution drives this job", extra={"video": job.id, "state": job.state, "execution": status})
    if status == "ABORTED":
        retries.stop(job, "stopped", "An operator stopped this video.")
    elif status is None:
        transitions.drive(job, job.run)
    elif job.run < retries.MOST_RUNS:
        transitions.drive(job, job.run + 1)
    else:
        needs_attention("job_not_driven", "job closed", video=job.id, state=job.state)
        retries.given_up(job)

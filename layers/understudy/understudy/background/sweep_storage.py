"""Takes off what has ended of the counts of what teams store, and deletes what dead makers of characters have left."""

from __future__ import annotations

import time

from understudy.characters import making
from understudy.files import storage
from understudy.store import table
from understudy.telemetry import logger, needs_attention


def all_teams(deadline: float) -> None:
    """Look after the counts of every team.

    The next sweep goes on if the time does not suffice; `deadline` is in `time.monotonic()` seconds.
    """
    for row in storage.rows():
        if time.monotonic() > deadline:
            logger.warning("the sweep of what teams store ran out of time")
            return
        try:
            storage.drop_ended(row)
            making.clear(row)
        except Exception:  # noqa: BLE001 - the other teams are looked after all the same
            needs_attention("step_died", "storage not swept", team=storage.team_of(row[table.PARTITION]))

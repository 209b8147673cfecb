"""Once an hour the counts of what teams store are looked after, with what dead makers of characters have left."""

from __future__ import annotations

import pytest

from tests.fakes.stage import Stage
from understudy.background import sweep_storage
from understudy.characters import making
from understudy.files import storage
from understudy.store import table


def ended(stage: Stage, *teams: str) -> None:
    """Let each team have an open upload whose end has passed."""
    for team in teams:
        storage.take(team, storage.ending("uploads", 1, int(stage.clock.now) - 2 * storage.HOUR))


def left(*teams: str) -> list[int]:
    return [(table.get(table.storage_key(team)) or {})["uploads"] for team in teams]


def test_all_teams_are_looked_after(stage: Stage) -> None:
    ended(stage, "blue", "red", "green")
    stage.sweep()
    assert left("blue", "red", "green") == [0, 0, 0]


def test_a_team_that_cannot_be_helped_does_not_keep_the_others_waiting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended(stage, "blue", "red")
    clear = making.clear

    def fail(row: table.Row) -> None:
        if row[table.PARTITION] == "team#blue":
            raise OSError("S3 is down")
        clear(row)

    monkeypatch.setattr(making, "clear", fail)
    stage.sweep()
    assert left("blue", "red") == [0, 0]
    assert "storage not swept" in caplog.text


def test_without_time_the_next_sweep_goes_on(stage: Stage) -> None:
    ended(stage, "blue", "red")
    sweep_storage.all_teams(stage.clock.now - 1)
    assert left("blue", "red") == [1, 1]
    sweep_storage.all_teams(stage.clock.now + 1)
    assert left("blue", "red") == [0, 0]

"""`understudy storage`: what each team stores."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.fakes.stage import NAMES, Stage
from understudy.files import storage as counts
from understudy_cli import aws_options, storage
from understudy_cli.main import main

MEBIBYTE = 1024**2


@pytest.fixture(autouse=True)
def stored(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_options, "outputs", lambda *_: {"TableName": NAMES["table"]})
    counts.take("red", {"characters": 1, "bytes": 2 * MEBIBYTE})
    counts.take(
        "blue", {"characters": 2, "bytes": 3 * MEBIBYTE} | counts.ending("uploads", 4, int(stage.clock.now) + 1)
    )
    stage.create()  # of the team blue: a job is no team


def test_lines_for_programs() -> None:
    ran = CliRunner().invoke(main, ["storage"])
    assert ran.output.splitlines() == [f"blue\t2\t4\t{3 * MEBIBYTE}", f"red\t1\t0\t{2 * MEBIBYTE}"]


def test_one_team() -> None:
    assert CliRunner().invoke(main, ["storage", "--team", "red"]).output == f"red\t1\t0\t{2 * MEBIBYTE}\n"
    assert CliRunner().invoke(main, ["storage", "--team", "green"]).output == ""


def test_a_table_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit):
        main(["storage"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("Team", "Open uploads", "blue", "3.0 MiB", "2.0 MiB")), shown

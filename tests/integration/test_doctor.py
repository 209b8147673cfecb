"""`understudy doctor`, `understudy jobs` and `understudy smoke`, installed, against the deployed stack."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.settings import ROOT
from tests.integration.live import PATIENCE, Film

if TYPE_CHECKING:
    from tests.integration.live import Api, Stack


def understudy(stack: Stack, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command as an operator does, with the API key in the environment."""
    environment = {"PATH": os.environ.get("PATH", ""), "PORT": str(stack.settings.port)}
    return subprocess.run(
        [Path(sys.executable).with_name("understudy"), *arguments, "--local"],
        cwd=ROOT,
        env={**environment, "UNDERSTUDY_API_KEY": stack.key},
        capture_output=True,
        text=True,
        check=False,
    )


def states(table: str) -> dict[str, str]:
    """Return the state of each check in the table."""
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines() if line.startswith("│")]
    return {name: state for _, name, state, *_ in rows if state}


def test_doctor(stack: Stack) -> None:
    """The tests' deployments file has one deployment whose secret nobody made, and doctor finds it."""
    ran = understudy(stack, "doctor")
    found = states(ran.stdout)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "understudy/nobody-has-it" in ran.stdout
    assert found.pop("key of keyless") == "failure"
    keys = {name: state for name, state in found.items() if name.startswith("key of ")}
    assert len(keys) > 10
    assert set(keys.values()) == {"ok"}
    for name in ("region", "credentials", "clock", "stack", "concurrency", "jobs", "deployments file"):
        assert found[name] == "ok", ran.stdout
    assert found["keys at providers"] == "not checked"


def test_doctor_of_a_stack_that_does_not_exist(stack: Stack) -> None:
    ran = understudy(stack, "doctor", "--stack", "nowhere")
    found = states(ran.stdout)
    assert (ran.returncode, found["credentials"], found["stack"]) == (1, "ok", "failure"), ran.stdout
    assert found["dead letters"] == found["alarms"] == found["alarm topic"] == "not checked"
    assert found["jobs"] == found["given up"] == "not checked"


def test_a_job_is_shown_by_its_id_and_by_its_record(stack: Stack, api: Api) -> None:
    video = api.video(prompt="Nobody reads this prompt")
    by_id = understudy(stack, "jobs", "show", video["id"])
    assert by_id.returncode == 0, by_id.stderr
    facts = dict(line.split(maxsplit=1) for line in by_id.stdout.partition("\n\n")[0].splitlines())
    assert (facts["model"], facts["operation"], facts["run"]) == (video["model"], "create", "1")
    assert f"Execution {facts['job']} is " in by_id.stdout
    assert "Started. First step in 1 s." in by_id.stdout
    assert "Nobody reads" not in by_id.stdout
    api.wait(video["id"])
    until = time.monotonic() + PATIENCE
    while "SUCCEEDED" not in (by_record := understudy(stack, "jobs", "show", facts["job"]).stdout):
        assert time.monotonic() < until, by_record  # the video is completed before its last step ends
    assert "completed, 100 %" in by_record
    assert "Nothing is left to do." in by_record


def test_a_job_that_does_not_exist(stack: Stack) -> None:
    ran = understudy(stack, "jobs", "show", "0" * 28)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"Error: Stack 'understudy' has no job {'0' * 28}. ")


def test_a_job_is_listed_until_it_ends(stack: Stack, api: Api) -> None:
    video = api.video(prompt="A fox")
    record = understudy(stack, "jobs", "show", video["id"]).stdout.split()[1]
    listed = understudy(stack, "jobs", "open")
    assert listed.returncode == 0, listed.stderr
    ended = api.get(f"/videos/{video['id']}").json()["status"] == "completed"
    assert ended or record in listed.stdout
    api.wait(video["id"])
    assert record not in understudy(stack, "jobs", "open").stdout


def test_smoke(stack: Stack, luna_clip: Path, tmp_path: Path) -> None:
    """A character, a video, an edit and an extension are real films, and the transcript has no secret."""
    ran = understudy(
        stack, "smoke", "--model", "sora-2", "--character", luna_clip, "--yes", "--output", tmp_path / "out"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "The price is at most $" in ran.stdout
    lengths = [
        Film.of((tmp_path / "out" / f"{name}.mp4").read_bytes()).seconds for name in ("video", "edit", "extension")
    ]
    assert lengths == pytest.approx([4, 4, 5], abs=0.2)
    transcript = (tmp_path / "out" / "transcript.md").read_text("utf-8")
    assert "| POST /videos/extensions | 200 |" in transcript
    for secret in (stack.key, "X-Amz-", "Signature"):
        assert secret not in transcript


def test_smoke_says_what_failed(stack: Stack, tmp_path: Path) -> None:
    ran = understudy(stack, "smoke", "--model", "keyless", "--yes", "--output", tmp_path)
    assert ran.returncode == 1
    assert "Error: video: 502: " in ran.stderr
    assert "(x-request-id: " in ran.stderr
    assert "502" in (tmp_path / "transcript.md").read_text("utf-8")

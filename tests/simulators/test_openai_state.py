"""Accounts and their keys, and the state after a restart."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from local.simulators.process import Simulator, SimulatorError
from local.simulators.shared import footage


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_accounts_are_apart(http: httpx.Client, luna: Path) -> None:
    video = http.post("/videos", json={"prompt": "x"}).json()["id"]
    clip = {"video": luna.read_bytes()}
    character = http.post("/videos/characters", data={"name": "Luna"}, files=clip).json()["id"]
    other = bearer("sim-b")
    for path in (f"/videos/{video}", f"/videos/{video}/content", f"/videos/characters/{character}"):
        assert http.get(path, headers=other).status_code == 404
    assert http.delete(f"/videos/{video}", headers=other).status_code == 404
    body = {"prompt": "Luna runs", "characters": [{"id": character}]}
    assert http.post("/videos", json=body, headers=other).status_code == 404
    assert http.post("/videos", json=body).status_code == 200


def test_ids_are_given_out_as_ordered(http: httpx.Client, simulator: Simulator) -> None:
    simulator.settings(ids={"a": ["char_x", "video_xyz789"], "b": ["video_b"]})
    made = [http.post("/videos", json={"prompt": "x"}).json()["id"] for _ in range(2)]
    assert made[0] == "video_xyz789"
    assert made[1] not in {"video_b", "char_x"}
    assert http.get("/videos/video_xyz789").status_code == 200
    assert simulator.settings()["ids"] == {"a": ["char_x"], "b": ["video_b"]}


def test_an_order_is_answered_as_queued_however_fast_jobs_are(http: httpx.Client, simulator: Simulator) -> None:
    simulator.settings(queued_seconds=0.0, run_seconds=0.0)
    answer = http.post("/videos", json={"prompt": "x"}).json()
    assert (answer["status"], answer["progress"]) == ("queued", 0)
    assert http.get(f"/videos/{answer['id']}").json()["status"] == "completed"


def test_keys_of_one_account(http: httpx.Client, simulator: Simulator) -> None:
    video = http.post("/videos", json={"prompt": "x"}, headers=bearer("sim-a.1")).json()["id"]
    for key in ("sim-a", "sim-a.1", "sim-a.2"):
        assert http.get(f"/videos/{video}", headers=bearer(key)).status_code == 200
    simulator.revoke(key="sim-a.1")
    assert http.get(f"/videos/{video}", headers=bearer("sim-a.1")).json()["error"]["code"] == "invalid_api_key"
    assert http.get(f"/videos/{video}", headers=bearer("sim-a.2")).status_code == 200
    simulator.revoke(account="a")
    assert http.get(f"/videos/{video}", headers=bearer("sim-a.2")).status_code == 401
    simulator.revoke(account="a", restore=True)
    assert http.get(f"/videos/{video}", headers=bearer("sim-a.2")).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, bearer("sk-real"), bearer("sim-"), {"api-key": ""}, {"Authorization": "Basic sim-a"}]
)
def test_bad_keys(anonymous: httpx.Client, simulator: Simulator, headers: dict[str, str]) -> None:
    answer = anonymous.post("/videos", json={"prompt": "x"}, headers=headers)
    assert answer.status_code == 401 and set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert "sk-real" not in answer.text and simulator.requests()[-1]["key"] is None


def test_restart(start_simulator: Callable[..., Simulator], luna: Path, tmp_path: Path) -> None:
    simulator = start_simulator()
    with httpx.Client(base_url=simulator.base_url, headers=bearer("sim-a"), timeout=20) as http:
        character = http.post("/videos/characters", data={"name": "Luna"}, files={"video": luna.read_bytes()}).json()
        body = {"prompt": "Luna runs", "characters": [{"id": character["id"]}]}
        first = http.post("/videos", json=body).json()["id"]
        while http.get(f"/videos/{first}").json()["status"] != "completed":
            time.sleep(0.02)
        done = http.get(f"/videos/{first}").json()
        simulator.settings(speed=0)
        second = http.post("/videos", json=body).json()["id"]
        simulator.revoke(key="sim-a.9")
        asked = len(simulator.requests())

        simulator.kill()
        simulator.start()
        assert len(simulator.requests()) == asked
        assert http.get(f"/videos/{first}").json() == done
        assert http.get(f"/videos/characters/{character['id']}").json() == character
        assert http.get(f"/videos/{first}", headers=bearer("sim-a.9")).status_code == 401
        assert [video["id"] for video in http.get("/videos").json()["data"]] == [second, first]
        while http.get(f"/videos/{second}").json()["status"] != "completed":
            time.sleep(0.02)
        (tmp_path / "second.mp4").write_bytes(http.get(f"/videos/{second}/content").content)
        assert footage.probe(tmp_path / "second.mp4").duration == pytest.approx(4, abs=0.05)


def test_helper_attaches_and_explains(start_simulator: Callable[..., Simulator], tmp_path: Path) -> None:
    running = start_simulator()
    again = Simulator(running.state).attach()
    assert again.port == running.port and again.counts()["requests"] == 0
    running.stop()
    with pytest.raises(SimulatorError, match="no simulator answers"):
        Simulator(running.state).attach()
    with pytest.raises(SimulatorError, match="no_such_setting"):
        Simulator(tmp_path / "bad", arguments=["--set", "no_such_setting=1"]).start()


def test_settings_on_the_command_line(start_simulator: Callable[..., Simulator]) -> None:
    simulator = start_simulator(arguments=["--models", "one,two", "--set", "poll_after_ms=700"], speed=3.0)
    settings = simulator.settings()
    assert (settings["models"], settings["poll_after_ms"], settings["speed"]) == (["one", "two"], 700, 3.0)
    with httpx.Client(base_url=simulator.base_url, headers=bearer("sim-a")) as http:
        assert [model["id"] for model in http.get("/models").json()["data"]] == ["one", "two"]
        video = http.post("/videos", json={"prompt": "x", "model": "two"}).json()["id"]
        assert http.get(f"/videos/{video}").headers["openai-poll-after-ms"] == "700"


def test_no_orphan_outlives_its_parent(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from local.simulators.process import Simulator;"
        "print(Simulator(Path(sys.argv[1])).start().port, flush=True); os._exit(1)"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=root, capture_output=True, text=True, timeout=30, check=False
    )
    port, until = int(parent.stdout), time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.05)
    pytest.fail("the simulator is still there")

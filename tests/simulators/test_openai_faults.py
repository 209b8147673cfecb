"""Faults on request: what the client sees, and what the simulator has made nevertheless."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI

from local.simulators.process import Simulator, SimulatorError

CREATE = {"method": "POST", "path": "/videos$"}
SENSELESS = [
    {"action": "alter"},
    {"action": "answer", "replace": {"a": "b"}},
    {"action": "alter", "replace": {"(": ""}},
]


def outcomes(simulator: Simulator) -> list[tuple[str, bool]]:
    return [(record["outcome"], record["created"] is not None) for record in simulator.requests()]


def test_answer_instead_of_work(http: httpx.Client, simulator: Simulator) -> None:
    body = {"error": {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    simulator.fault(**CREATE, action="answer", status=429, headers={"Retry-After": "3"}, body=body, times=2)
    for _ in range(2):
        answer = http.post("/videos", json={"prompt": "x"})
        assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (429, "3", body)
    assert http.post("/videos", json={"prompt": "x"}).status_code == 200
    assert outcomes(simulator) == [("answered", False), ("answered", False), ("answered", True)]
    assert simulator.faults()[0]["fired"] == 2


def test_html_instead_of_json(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(action="answer", status=503, headers={"Content-Type": "text/html"}, body="<h1>Unavailable</h1>")
    answer = http.get("/videos")
    assert (answer.status_code, answer.headers["content-type"], answer.text[:4]) == (503, "text/html", "<h1>")


def test_reset_before_and_after_the_work(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(**CREATE, action="reset")
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):  # by how much of the body was sent by then
        http.post("/videos", json={"prompt": "x"})
    assert outcomes(simulator) == [("reset", False)] and simulator.jobs() == []
    simulator.fault(**CREATE, action="reset", when="after")
    with pytest.raises(httpx.ReadError):
        http.post("/videos", json={"prompt": "x"})
    assert outcomes(simulator)[1:] == [("reset", True)] and len(simulator.jobs()) == 1


def test_wrong_answer_after_the_work(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(**CREATE, action="answer", when="after", status=500, body="lost")
    assert http.post("/videos", json={"prompt": "x"}).status_code == 500
    assert len(simulator.jobs()) == 1


def test_half_an_answer(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(**CREATE, action="half")
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/videos", json={"prompt": "x"})
    assert outcomes(simulator) == [("half", True)]


def test_late_answer(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(**CREATE, delay=0.6)
    with pytest.raises(httpx.ReadTimeout):
        http.post("/videos", json={"prompt": "x"}, timeout=0.2)
    assert len(simulator.jobs(least=1)) == 1  # the work is done before the delay
    started = time.monotonic()
    simulator.fault(**CREATE, delay=0.3, when="before")
    assert http.post("/videos", json={"prompt": "x"}).status_code == 200
    assert time.monotonic() - started >= 0.3


def test_only_what_matches_is_struck(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(method="POST", account="b", action="answer", status=402)
    simulator.fault(method="GET", path="/videos/[^/]+$", action="answer", status=500, skip=2)
    made = http.post("/videos", json={"prompt": "x"})
    assert made.status_code == 200
    polls = [http.get(f"/videos/{made.json()['id']}").status_code for _ in range(4)]
    assert polls == [200, 200, 500, 200]
    assert http.post("/videos", json={"prompt": "x"}, headers={"Authorization": "Bearer sim-b"}).status_code == 402


def test_faults_can_be_taken_back(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(action="answer", status=500, times=None)
    assert [http.get("/videos").status_code for _ in range(3)] == [500, 500, 500]
    simulator.clear_faults()
    assert http.get("/videos").status_code == 200


@pytest.mark.parametrize(
    "order", [{"acton": "reset"}, {}, {"action": "half", "when": "before"}, {"path": "("}, *SENSELESS]
)
def test_senseless_orders_are_refused(simulator: Simulator, order: dict[str, object]) -> None:
    with pytest.raises(SimulatorError):
        simulator.fault(**order)
    assert simulator.faults() == []


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_the_sdk_repeats_a_lost_create(client: OpenAI, simulator: Simulator) -> None:
    """A gateway must prevent this: the official client retries and so orders three videos."""
    simulator.fault(**CREATE, action="reset", when="after", times=None)
    with pytest.raises(openai.APIConnectionError):
        client.videos.create(prompt="x")
    assert len(simulator.jobs()) == 3
    counts = [record["headers"]["x-stainless-retry-count"] for record in simulator.requests()]
    assert counts == ["0", "1", "2"]


def test_death_after_the_submit(start_simulator: Callable[..., Simulator]) -> None:
    simulator = start_simulator()
    simulator.fault(**CREATE, action="die")
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{simulator.base_url}/videos", json={"prompt": "x"}, headers={"Authorization": "Bearer sim-a"})
    assert simulator.wait_dead() == 70
    simulator.restart()
    (job,) = simulator.jobs()
    (record,) = simulator.requests()
    assert (record["outcome"], record["created"]) == ("died", job["id"])


def test_another_word_in_the_real_answer(http: httpx.Client, simulator: Simulator) -> None:
    made = http.post("/videos", json={"prompt": "x"}).json()
    simulator.fault(method="GET", action="alter", replace={'"status": "\\w+"': '"status": "simmering"'})
    odd, plain = (http.get(f"/videos/{made['id']}").json() for _ in range(2))
    assert odd["status"] == "simmering"
    assert plain["status"] != "simmering"
    assert odd["id"] == plain["id"]


def test_a_fault_about_one_order_strikes_no_other(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(about="a heron", action="answer", status=500, method="GET", times=None)
    simulator.fault(about="a heron", action="answer", status=429, method="POST", skip=1)
    heron, stork = (http.post("/videos", json={"prompt": text}).json()["id"] for text in ("a heron", "a stork"))
    assert [http.get(f"/videos/{one}").status_code for one in (heron, stork, heron)] == [500, 200, 500]
    assert http.get(f"/videos/{heron}/content").status_code == 500
    assert http.get(f"/videos/{heron}x").status_code == 404
    form = [("prompt", (None, text)) for text in ("a stork",)], [("prompt", (None, "a heron flies"))]
    assert [http.post("/videos", files=fields).status_code for fields in form] == [200, 429]
    assert len(simulator.jobs()) == 3


def test_it_goes_along_with_the_addresses_that_are_answered(tmp_path: Path) -> None:
    with Simulator(tmp_path, speed=50, module="local.simulators.kling") as kling:
        kling.fault(about="a heron", method="GET", path="^/outputs/", action="answer", status=403)
        headers = {"Authorization": "Bearer sim-a"}
        with httpx.Client(base_url=kling.url, timeout=20) as client:
            files = {}
            for prompt in ("a heron", "a stork"):
                order = {"prompt": prompt, "options": {"external_task_id": f"our-{prompt[2:]}"}}
                made = client.post("/text-to-video/kling-2.5-turbo", json=order, headers=headers).json()["data"]
                query = {"external_task_ids": made["external_id"]}
                while not (task := client.get("/tasks", params=query, headers=headers).json()["data"][0]).get(
                    "outputs"
                ):
                    time.sleep(0.02)
                files[prompt] = task["outputs"][0]["url"]
            assert [client.get(files[prompt]).status_code for prompt in ("a stork", "a heron", "a heron")] == [
                200,
                403,
                200,
            ]


def test_a_body_that_cannot_be_read_is_about_nothing(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(about="a heron", action="answer", status=500)
    broken = http.post("/videos", content=b"{a heron", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    assert simulator.faults()[0]["matched"] == 0

"""Running out of our own time says nothing against a provider: it opens no circuit and costs no job.

Otherwise one caller, whose request is slow, would switch failover off for every team.
"""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.clock import Clock
from tests.fakes.stage import Stage
from tests.fakes.upstream import Answering, Upstream, lose, refuse
from understudy.deployments import circuits
from understudy.errors import OutOfTime, Reason, Refused, from_refusal

SECONDS = 25  # from a call to its deadline, in the stage


def late(clock: Clock, then: Answering, seconds: float = SECONDS) -> Answering:
    """Return a function that lets this time pass and then answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        clock.advance(seconds)
        return then(request)

    return answer


def is_open(deployment_id: str) -> bool:
    try:
        circuits.guarded(deployment_id, lambda: None)
    except circuits.Open:
        return True
    return False


def test_what_the_caller_reads() -> None:
    error = from_refusal(OutOfTime())
    assert (error.status, error.code, error.passing, error.retried) == (504, "out_of_time", True, True)
    assert "Nothing was created" in error.message


def test_time_that_the_first_deployment_used_up_is_not_the_seconds_fault(
    stage: Stage, upstream: Upstream, clock: Clock
) -> None:
    upstream.script = [late(clock, refuse(503))]
    reply = stage.create()
    assert (reply.status, reply.error["code"]) == (504, "out_of_time")
    assert reply.headers.get("x-should-retry") != "false"
    (asked,) = upstream.heard
    (other,) = {"one", "two"} - {asked.host.partition(".")[0]}
    assert not is_open(other)
    assert stage.listed() == []  # no job, and no hold
    again = stage.create()
    assert again.status == 200
    assert upstream.submits()[-1].host.startswith(other)


def test_a_connection_of_the_last_moment_opens_no_circuit(stage: Stage, upstream: Upstream, clock: Clock) -> None:
    """The first deployment leaves 2 s. The second one's connection is cut by the deadline, not by its server."""
    upstream.script = [late(clock, refuse(503), SECONDS - 2), lose(httpx.ConnectTimeout)]
    reply = stage.create()
    assert (reply.status, reply.error["code"]) == (504, "out_of_time")
    asked = [one.host.partition(".")[0] for one in upstream.heard]
    assert [is_open(one) for one in asked] == [True, False]


def test_a_dead_server_still_opens_its_circuit(stage: Stage, upstream: Upstream) -> None:
    upstream.script = [lose(httpx.ConnectTimeout)]
    assert stage.create().status == 200
    asked = [one.host.partition(".")[0] for one in upstream.heard]
    assert [is_open(one) for one in asked] == [True, False]


@pytest.mark.parametrize("seconds", [8, 16, SECONDS - 1, SECONDS + 1])
def test_a_slow_image_switches_nothing_off_for_others(
    stage: Stage, upstream: Upstream, clock: Clock, seconds: float
) -> None:
    """The caller decides how long the server of an `image_url` takes."""
    png = httpx.Response(200, content=b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01")
    upstream.rules["GET", "slow.example", ".png"] = late(clock, lambda request: png, seconds)
    stage.create(input_reference={"image_url": "https://slow.example/a.png"})
    assert not is_open("one")
    assert not is_open("two")
    stage.sign_in("green")
    upstream.script = [refuse(503)]  # one of the two is down, and the other takes over
    assert stage.create().status == 200


def test_a_job_in_the_background_goes_on(stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of time while the order is prepared: the job is retried, at the same price, and is made once."""
    from understudy.providers._openai import OpenAIShaped

    submit, tries = OpenAIShaped.submit, 0

    def short(*given: object) -> object:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise OutOfTime
        return submit(*given)  # type: ignore[arg-type]

    stage.milliseconds = 5000  # too little to send the order within the call
    made = stage.create(model="solo")
    assert made.status == 200, made
    monkeypatch.setattr(OpenAIShaped, "submit", short)
    upstream.instant = True
    stage.run()
    assert stage.show(made.body["id"])["status"] == "completed"
    assert len(upstream.submits()) == 1


@pytest.mark.parametrize("refused", [OutOfTime(), Refused(Reason.UNAVAILABLE, "The provider could not be reached.")])
def test_only_a_providers_own_trouble_opens_its_circuit_in_the_background(
    stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    from understudy.providers._openai import OpenAIShaped

    asked: list[str] = []

    def refuse_once(self: object, account: object, order: object) -> object:
        asked.append(account.base_url)  # type: ignore[attr-defined]
        raise refused

    stage.milliseconds = 5000
    stage.create()
    monkeypatch.setattr(OpenAIShaped, "submit", refuse_once)
    stage.work()
    (host,) = asked
    assert is_open("one" if "one" in host else "two") == (type(refused) is Refused)

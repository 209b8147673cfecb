"""One intended call is one order: a model of clients, functions and a provider, in which anything may come between.

Each request runs in a thread of its own, and stops before each call to AWS and to the provider. The model decides which
request goes on, which dies, whose response is lost, who gives up waiting, and what the provider answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.fakes.clock import START
from tests.fakes.dynamodb import DynamoDB
from tests.fakes.edges import Edges, Killed
from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import Answering, Upstream, lose, refuse
from tests.unit.conftest import cold_start
from understudy.access import keys
from understudy.jobs.retry_count import CountedAttempt

MAX_RETRIES = 2  # of the official clients
GATEWAY_SECONDS, FUNCTION_SECONDS = 29, 28  # after which a request has no function, and after which that ends
QUICK, THOROUGH = 50, 1000
ACTIONS = (
    *(["a request goes on"] * 4),
    *(["the response arrives"] * 2),
    "the response is lost",
    "the function dies",
    "the videos are finished",
    "the video is polled",
    "the video is polled by another",
    "time passes",
    *["busy", "away", "moderation", "lost"],  # what the provider answers the next order
)
LEAVING = (*(["the client leaves"] * 3), "the request is lost")
LIMITS = keys.Limits(concurrent=2, requests_per_minute=4)


class Request:
    """A request that runs when it is told to, from one call to the outside world to the next."""

    def __init__(self, world: World, send: Callable[[], Reply]) -> None:
        self._world, self._send = world, send
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._dead = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sent, self._begun = world.stage.clock.now, 0.0
        self.reply: Reply | None = None
        self.ordered = False  # the provider has taken the order of this request

    @property
    def answered(self) -> bool:
        """Whether the response has a video, or says that nothing was made and is one that the clients retry."""
        reply = self.reply
        return reply is not None and (reply.status == 200 or (reply.status != 409 and retried(reply)))

    @property
    def running(self) -> bool:
        return self.reply is None and not self._dead

    def go_on(self) -> None:
        """Run until the next call to the outside world, or to the end."""
        now = self._world.stage.clock.now
        if not self._begun and now > self._sent + GATEWAY_SECONDS:
            self._dead = True
            return
        if not self._begun:
            self._begun = now
            self._world.requests[self._thread.name] = self
            self._thread.start()
        else:
            self._go.release()
        assert self._stopped.acquire(timeout=60)

    def kill(self) -> None:
        """Let the function die where it is. A request that has not begun never arrives."""
        self._dead = True
        if self._begun and self.reply is None:
            self._go.release()
            self._thread.join(60)

    def stop(self) -> None:
        """Stop the thread, because the code is about to call the outside world."""
        self._stopped.release()
        self._go.acquire()
        if self._dead or self._world.stage.clock.now > self._begun + FUNCTION_SECONDS:
            self._dead = True
            raise Killed

    def _run(self) -> None:
        try:
            self.reply = self._send()
        except Killed:
            pass
        finally:
            self._stopped.release()


def retried(reply: Reply) -> bool:
    """Return whether the official clients send the call again after this response."""
    wanted = reply.headers.get("x-should-retry")
    return wanted == "true" or (wanted is None and reply.status in {409, 429, 500, 502, 503, 504})


@dataclass
class World:
    """What outlives an example: the backend, the provider, and the requests by thread."""

    stage: Stage
    upstream: Upstream
    dynamodb: DynamoDB
    requests: dict[str, Request]

    def begin(self) -> None:
        """Make the world as it was at first, so that an example does the same whenever it runs."""
        cold_start()
        self.stage.clock.now = START
        for kept in (self.dynamodb.items, self.requests, self.upstream.videos, self.stage.executions.all):
            kept.clear()
        self.upstream.heard.clear()
        self.stage.calls.clear()

    def touch(self, name: str) -> None:
        """Replace `Edges.touch`: a request stops here; all else goes on."""
        request = self.requests.get(threading.current_thread().name)
        if request is not None:
            request.stop()


@dataclass
class Call:
    """What a client wants once. The state is `running`, `done`, or `failed`."""

    requests: list[Request]
    count: int = 0
    state: str = "running"
    id: str = ""

    @property
    def request(self) -> Request:
        return self.requests[-1]


class Clients(RuleBasedStateMachine):
    """Clients that make the same call with the same API key, at the same time."""

    world: World
    any_loss = True  # also a response that says that the call is refused for good

    def __init__(self) -> None:
        super().__init__()
        self.world.begin()
        self.other = self.key = self.world.stage.sign_in("blue")
        self.calls: list[Call] = []
        self.answers: list[Answering] = []  # of the provider, to the next orders
        self.orders = 0
        self.world.upstream.rules["POST", "*", "/videos"] = self.order

    def order(self, request: httpx.Request) -> httpx.Response:
        """Be the provider: take the order, or what the model wants."""
        response = self.answers.pop(0)(request) if self.answers else self.world.upstream.serve(request)
        if response.status_code == 200:
            self.taken()
        return response

    def taken(self) -> None:
        self.orders += 1
        self.world.requests[threading.current_thread().name].ordered = True

    def send(self, count: int) -> Request:
        headers = {"x-stainless-retry-count": str(count)}
        return Request(self.world, lambda: self.world.stage.create(headers=headers, model="solo"))

    def some(self, number: int, *states: str) -> Call | None:
        found = [call for call in self.calls if call.state in states]
        return found[number % len(found)] if found else None

    def begin(self) -> None:
        self.calls.append(Call([self.send(0)]))

    def try_again(self, call: Call) -> None:
        """The client has no response that ends the call: it sends the call again, unless it has done that twice."""
        if call.count == MAX_RETRIES:
            call.state = "failed"
            return
        call.count += 1
        call.requests.append(self.send(call.count))

    @initialize(calls=st.integers(1, 3), limited=st.booleans())
    def start(self, calls: int, limited: bool) -> None:
        self.key = self.world.stage.sign_in("blue", limits=LIMITS if limited else None)
        for _ in range(calls):
            self.begin()

    @rule(action=st.sampled_from(ACTIONS), number=st.integers(0, 9))
    def act(self, action: str, number: int) -> None:
        """Let something happen. It is one rule, because hypothesis leaves out some of several rules in each example."""
        stage, call = self.world.stage, self.some(number, "running")
        match action:
            case "a request goes on":
                self.go_on(number)
            case "the response arrives" | "the response is lost" if call:
                self.end(call, lost=action == "the response is lost")
            case "the client leaves" if call:  # the request may go on, or arrive late
                self.try_again(call)
            case "the request is lost" if call:
                call.request.kill()
                self.try_again(call)
            case "the function dies" if call:  # the gateway says so, and that a retry is not right
                call.request.kill()
                call.state = "failed"
            case "the client begins" if all(call.state != "running" for call in self.calls):
                self.begin()
            case "the videos are finished":
                self.world.upstream.finish()
                stage.run(60)
            case "the video is polled" | "the video is polled by another" if done := self.some(number, "done"):
                stage.caller = self.key if action == "the video is polled" else self.other
                stage.show(done.id)
                stage.caller = self.key
            case "time passes":
                stage.clock.advance(2 * (number + 1))
            case "busy" | "away" | "moderation" | "lost":
                self.answers = [self.answering(action)]
        self.check()

    def go_on(self, number: int) -> None:
        """A request goes on for some steps, also if its client has left."""
        running = [one for call in self.calls for one in call.requests if one.running]
        for _ in range(1 + number % 5):
            if running and running[number % len(running)].running:
                running[number % len(running)].go_on()

    def end(self, call: Call, *, lost: bool) -> None:
        """The request goes on to its end, and the client gets the response, or loses the connection."""
        while call.request.running:
            call.request.go_on()
        reply = call.request.reply
        if reply is None:  # the function has died at its time-out: the gateway's answer forbids a retry
            call.state = "failed"
        elif lost and (self.any_loss or call.request.answered):
            self.try_again(call)
        elif reply.status == 200:
            call.state, call.id = "done", reply.body["id"]
        elif retried(reply):
            self.try_again(call)
        else:
            call.state = "failed"

    def answering(self, name: str) -> Answering:
        """Return the answer of the provider to the next order."""

        def lost(request: httpx.Request) -> httpx.Response:
            self.taken()
            self.world.upstream.serve(request)
            return lose()(request)

        answers = {"busy": refuse(429), "away": refuse(503), "moderation": refuse(400, "moderation_blocked")}
        return answers.get(name, lost)

    def check(self) -> None:
        """No order but for a call that was ordered, that has a video, or that was refused and is sent again."""
        wanted = [any(one.ordered or one.answered for one in call.requests) for call in self.calls]
        assert self.orders <= sum(wanted)

    def teardown(self) -> None:
        for request in [one for call in self.calls for one in call.requests]:
            while request.running:
                request.go_on()
        self.check()
        for call in self.calls:
            if call.state == "done":
                self.world.stage.show(call.id)
        self.world.upstream.rules.clear()


class ClientsThatLeave(Clients):
    """Clients that may also give up waiting. Then requests of one call run side by side, or arrive late or never."""

    @rule(action=st.sampled_from([*ACTIONS, *LEAVING]), number=st.integers(0, 9))
    def act(self, action: str, number: int) -> None:
        super().act(action, number)


class OneCall(ClientsThatLeave):
    """One client that wants one video, and may give up waiting."""

    @initialize()
    def start(self) -> None:
        super().start(1, limited=False)


class OneClient(Clients):
    """A client that makes the same call again and again, one after the other: each is a video of its own.

    If a final refusal is lost, its retry may get the video before it, if nobody has looked at that.
    """

    any_loss = False

    @initialize(limited=st.booleans())
    def start(self, limited: bool) -> None:
        super().start(1, limited)

    @rule(action=st.sampled_from([*ACTIONS, "the client begins", "the client begins"]), number=st.integers(0, 9))
    def act(self, action: str, number: int) -> None:
        super().act(action, number)

    def teardown(self) -> None:
        super().teardown()
        made = [call.id for call in self.calls if call.state == "done"]
        assert len(set(made)) == len(made)


@pytest.fixture
def world(
    stage: Stage, upstream: Upstream, dynamodb: DynamoDB, edges: Edges, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    world = World(stage, upstream, dynamodb, {})
    monkeypatch.setattr(edges, "touch", world.touch)
    yield world


def explore(world: World, machine: type[Clients], examples: int, **more: Any) -> None:
    """Look for a counterexample. The settings leave time aside, for on a busy machine it means nothing."""
    found = type(machine.__name__, (machine,), {"world": world})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        found,
        settings=settings(
            max_examples=examples, deadline=None, stateful_step_count=40, suppress_health_check=checks, **more
        ),
    )


@pytest.mark.parametrize("machine", [Clients, ClientsThatLeave, OneCall, OneClient])
def test_no_call_is_paid_twice(world: World, machine: type[Clients], pytestconfig: pytest.Config) -> None:
    explore(world, machine, THOROUGH if pytestconfig.getoption("--all") else QUICK)


def test_the_model_finds_the_fault_if_a_retry_does_not_check_the_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = CountedAttempt._next_version
    monkeypatch.setattr(CountedAttempt, "_next_version", lambda self, **_: write(self, checked=False))
    with pytest.raises(AssertionError):
        explore(world, OneCall, QUICK, derandomize=True, phases=[Phase.generate], database=None)

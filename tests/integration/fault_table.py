"""The faults of a provider as a table: the fault, what the caller sees, what is ordered, what is charged.

`rows` makes the rows for each `Server`; `MODERATION` has each provider's own forms of moderation. To add a provider,
add its simulator, two deployments in `deployments.toml` (`faults-NAME`, and `deaf-NAME` whose server never answers), a
`Server` in `fault_servers.py`, and its rows of `MODERATION`.

`test_faults.py` runs the rows against the deployed stack. `tests/unit/background/test_patience.py` runs the rows that
take hours, with a simulated clock. `scripts/faults.py` generates `docs/faults.md` from the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.integration.fault_servers import (
    GEMINI,
    KLING,
    MINIMAX,
    OPENAI,
    REST,
    RUNWAY,
    SERVERS,
    XAI,
    Json,
    Server,
    answer,
    nested,
    says,
)

When = Literal["ordering", "preparing", "waiting", "fetching"]
Charged = Literal["nothing", "held", "price"]

HTML: Json = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>It works!</html>"}
GATEWAY: Json = {"status": 502, "headers": {"Content-Type": "text/html"}, "body": "<html>Bad Gateway</html>"}
MINUTE = 60


@dataclass(frozen=True)
class Sees:
    """What the caller sees: how the video ends, or the status with which the call is refused."""

    status: int | Literal["completed", "failed"]
    code: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True)
class Row:
    """A fault of a provider.

    `hooks` are sent to the simulator (`local/simulators/shared/faults.py`). `prompt` contains words that the simulator
    recognises. With `connects` False, the server accepts no connection. `hours` marks a row that takes too long for the
    deployed stack. `back_after` is the number of seconds after which the faults are removed. `pause` is the number of
    seconds that the provider's first answer asks the gateway to wait. `image` adds a picture to the order. `refusals`
    is the number of refusals before the order is accepted.
    """

    server: Server
    fault: str
    when: When
    sees: Sees
    ordered: int = 1
    charged: Charged = "nothing"
    hooks: tuple[Json, ...] = ()
    prompt: str = ""
    connects: bool = True
    hours: bool = False
    back_after: int | None = None
    pause: float = 0.0
    image: bool = False
    refusals: int = 0
    mark: str = ""  # what its prompt is known by, in one run

    @property
    def id(self) -> str:
        return f"{self.server.name}: {self.fault}"

    @property
    def slow(self) -> bool:
        """Whether the call that orders the video takes long."""
        return not self.connects or any(hook.get("delay") for hook in self.hooks)

    @property
    def model(self) -> str:
        """The model name that the caller sends."""
        return f"{'faults' if self.connects else 'deaf'}-{self.server.name}"

    @property
    def account(self) -> str:
        """The simulator's account that receives the order."""
        return f"faults-{self.server.name}"

    @property
    def text(self) -> str:
        """The prompt."""
        return f"A heron {self.mark} {self.prompt}".strip()

    @property
    def micro_dollars(self) -> int:
        """The amount that the row's API key has spent at the end."""
        return {"nothing": 0, "held": self.server.hold, "price": self.server.price}[self.charged]


COMPLETED, MODERATED = Sees("completed"), Sees("failed", "moderation_blocked")
REFUSED, LOST = Sees(400, "moderation_blocked"), Sees(502, "outcome_unknown")


def _lost(server: Server, sees: Sees, **facts: Any) -> Json:
    """Return the fields of a row whose order was sent and whose answer was lost."""
    if server.findable:
        return {"when": "ordering", "sees": COMPLETED, "charged": "price", **facts}
    return {"when": "ordering", "sees": sees, "charged": "held", **facts}


def _ordering(one: Server) -> Iterator[Row]:
    after, always = {"when": "after"}, {"times": None}
    away, busy = Sees(503, "provider_unavailable"), Sees(429, "rate_limit_exceeded")
    yield Row(one, "time-out before anything was sent", "ordering", away, ordered=0, connects=False)
    yield Row(
        one,
        "time-out after the order was sent",
        hooks=({**one.order, **after, "delay": 40.0},),
        **_lost(one, Sees(504, "outcome_unknown")),
    )
    yield Row(
        one,
        "reset after the order was taken",
        hooks=({**one.order, **after, "action": "reset"},),
        **_lost(one, LOST),
    )
    not_taken: Json = {"sees": Sees("failed", "outcome_unknown"), "hours": True} if one.findable else {"sees": LOST}
    yield Row(
        one,
        "reset before the order was taken",
        "ordering",
        ordered=0,
        charged="nothing" if one.findable else "held",
        hooks=({**one.order, "action": "reset"},),
        **not_taken,
    )
    yield Row(one, "half an answer", hooks=({**one.order, "action": "half"},), **_lost(one, LOST))
    again = replace(busy, retry_after=f"{REST}")
    yield Row(one, "429 with Retry-After", "ordering", again, 0, hooks=(answer(one.order, one.resting, **always),))
    yield Row(one, "429 without", "ordering", busy, 0, hooks=(answer(one.order, one.busy, **always),))
    yield Row(one, "503 in its own words", "ordering", away, 0, hooks=(answer(one.order, one.down, **always),))
    yield Row(one, "502 by a balancer", hooks=(answer(one.order, GATEWAY, **after),), **_lost(one, LOST))
    yield Row(one, "HTML for JSON, with a 200", hooks=(answer(one.order, HTML, **after),), **_lost(one, LOST))
    arrears = Sees(502, "provider_arrears")
    yield Row(one, "our account cannot pay", "ordering", arrears, 0, hooks=(answer(one.order, one.broke, **always),))


def _preparing(one: Server) -> Iterator[Row]:
    def row(fault: str, *hooks: Json, **facts: Any) -> Row:
        given: Json = {"sees": COMPLETED, "charged": "price", **facts}
        return Row(one, fault, "preparing", hooks=hooks, image=True, **given)

    if not one.slow_files:
        return
    yield row("orders: 429 with Retry-After", answer(one.order, one.resting), refusals=1, pause=REST)
    yield row("orders: 503 in its own words", answer(one.order, one.down, times=2), refusals=2)
    lost = Sees("failed", "outcome_unknown")
    reset = {**one.order, "when": "after", "action": "reset"}
    yield row("orders: reset after it was taken", reset, sees=lost, charged="held")
    arrears = Sees("failed", "provider_arrears")
    broke = answer(one.order, one.broke)
    yield row("orders: our account cannot pay", broke, sees=arrears, ordered=0, charged="nothing")


def _waiting(one: Server) -> Iterator[Row]:
    def row(fault: str, *hooks: Json, **facts: Any) -> Row:
        given: Json = {"sees": COMPLETED, "charged": "price", **facts}
        return Row(one, fault, "waiting", hooks=tuple({**one.poll, **hook} for hook in hooks), **given)

    def said(what: Json, **more: Any) -> Json:
        return answer({}, what, **more)

    yield row("polls: 429 with Retry-After", said(one.resting), pause=REST)
    yield row("polls: 429 without", said(one.busy))
    yield row("polls: 5xx", said(GATEWAY), said(one.down))
    yield row("polls: reset, then half an answer", {"action": "reset"}, {"action": "half"})
    yield row("polls: HTML for JSON, with a 200", said(HTML))
    yield row("polls: a status that nobody knows", {**one.odd, "times": 2})
    yield row("polls: twice a 5xx, then once not there", said(GATEWAY, times=2), said(one.unknown))
    lost = Sees("failed", "provider_lost_video")
    minute: Json = {"back_after": MINUTE, "hours": True}
    yield row("polls: for a minute it does not know the job", said(one.unknown, times=None), **minute)
    yield row("polls: it no longer knows the job", said(one.unknown, times=None), sees=lost, charged="held", hours=True)
    late = Sees("failed", "provider_timeout")
    yield row("the job never ends", prompt="sticks-forever", sees=late, charged="held", hours=True)
    yield row("away for twenty minutes", said(one.down, times=None), back_after=20 * MINUTE, hours=True)
    yield row("away for good", said(one.down, times=None), sees=late, charged="held", hours=True)


def _fetching(one: Server) -> Iterator[Row]:
    def row(fault: str, *hooks: Json, **facts: Any) -> Row:
        given: Json = {"sees": COMPLETED, "charged": "price", **facts}
        return Row(one, fault, "fetching", hooks=tuple({**one.fetch, **hook} for hook in hooks), **given)

    def said(what: Json, **more: Any) -> Json:
        return answer({}, what, **more)

    yield row("the file's address has died", said(one.dead, times=2))
    page = said(HTML | {"headers": {"Content-Type": "video/mp4"}})
    yield row("HTML for the file, called video/mp4, then half of it", page, {"action": "half"})
    yield row("the file: 5xx, then a reset", said(GATEWAY), {"action": "reset"})
    gone = Sees("failed", "output_unavailable")
    yield row("the file is gone for good", said(one.dead, times=None), sees=gone, charged="price", hours=True)


def _moderated(one: Server, how: str, sees: Sees, *hooks: Json, prompt: str = "", **facts: Any) -> Row:
    when: When = "ordering" if sees is REFUSED else "waiting"
    ordered = 0 if sees is REFUSED else 1
    return Row(one, f"moderation: {how}", when, sees, ordered, hooks=hooks, prompt=prompt, **facts)


_WITHHELD = "Generated video rejected by content moderation."
_XAI_BILLED = {"code": "invalid-argument", "error": _WITHHELD, "usage": {"cost_in_usd_ticks": 2_800_000_000}}

MODERATION: tuple[Row, ...] = (
    _moderated(OPENAI, "a 400 that says so", REFUSED, prompt="forbidden"),
    _moderated(
        OPENAI,
        "a 400 by its code only",
        REFUSED,
        answer(OPENAI.order, says(400, nested("This is against our policies.", "content_policy"))),
    ),
    _moderated(OPENAI, "a job that failed", MODERATED, prompt="refused-later"),
    _moderated(XAI, "a 403 about guidelines", REFUSED, prompt="forbidden"),
    _moderated(XAI, "done, with a flag and no address", MODERATED, prompt="refused-later"),
    _moderated(XAI, "a poll refused, and billed", MODERATED, answer(XAI.poll, says(400, _XAI_BILLED)), charged="price"),
    _moderated(
        XAI,
        "a poll refused by a code",
        MODERATED,
        answer(XAI.poll, says(400, {"code": "imagine:content-moderated", "error": _WITHHELD})),
    ),
    _moderated(
        XAI,
        "an internal error by its words",
        MODERATED,
        answer(XAI.poll, says(200, {"status": "failed", "error": {"code": "internal_error", "message": _WITHHELD}})),
    ),
    _moderated(GEMINI, "a 400 with SAFETY as its reason", REFUSED, prompt="forbidden"),
    _moderated(GEMINI, "completed, with words and no video", MODERATED, prompt="refused-later"),
    _moderated(
        GEMINI,
        "a poll refused: input blocked",
        MODERATED,
        answer(
            GEMINI.poll,
            says(
                400,
                {"error": {"code": "invalid_request", "message": "Input blocked: The prompt could not be processed."}},
            ),
        ),
    ),
    _moderated(
        GEMINI,
        "a failed step",
        MODERATED,
        answer(
            GEMINI.poll,
            says(
                200,
                {"id": "v1", "status": "failed", "errors": [{"code": "safety", "message": "The output was blocked."}]},
            ),
        ),
    ),
    _moderated(
        RUNWAY,
        "a 400 about moderation",
        REFUSED,
        answer(RUNWAY.order, says(400, {"error": "The prompt did not pass our moderation."})),
    ),
    _moderated(RUNWAY, "SAFETY.INPUT at the end", MODERATED, prompt="forbidden"),
    _moderated(RUNWAY, "SAFETY.OUTPUT at the end", MODERATED, prompt="refused-later"),
    _moderated(KLING, "code 1301 inside a 400", REFUSED, prompt="forbidden"),
    _moderated(
        KLING,
        "code 1300 inside a 400",
        REFUSED,
        answer(KLING.order, says(400, {"code": 1300, "message": "Trigger the platform's policy"})),
    ),
    _moderated(KLING, "a failed task, of risk control", MODERATED, prompt="refused-later"),
    _moderated(MINIMAX, "code 1026 inside a 422", REFUSED, prompt="forbidden"),
    _moderated(
        MINIMAX,
        "code 1026 inside a 200",
        REFUSED,
        answer(MINIMAX.order, says(200, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}})),
    ),
    _moderated(MINIMAX, "a failed task, code 1027", MODERATED, prompt="refused-later"),
    _moderated(
        MINIMAX,
        "a failed task, by its words",
        MODERATED,
        answer(
            MINIMAX.poll,
            says(200, {"task": {"status": "failed", "error": {"message": "The output has sensitive content."}}}),
        ),
    ),
)


def rows() -> list[Row]:
    """Return the whole table, provider by provider."""
    return [
        row
        for server in SERVERS
        for row in (
            *_ordering(server),
            *_preparing(server),
            *(one for one in MODERATION if one.server is server),
            *_waiting(server),
            *_fetching(server),
        )
    ]


ROWS = rows()

# Three servers whose rows cover every path through our code: OpenAI cannot be asked about an order whose answer was
# lost, Kling can (`findable`), and `run_job` sends Gemini's files (`slow_files`). tests/unit/providers has the other
# servers' wording of the same faults; their rows run in `make test-all`.
RING = [row for row in ROWS if row.server in (OPENAI, KLING, GEMINI)]

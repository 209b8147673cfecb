"""The providers of the fault table: each provider's requests, and its wording of the answers that the rows need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

HOLD = 200_000  # micro-dollars for the 4 seconds that every row orders, by the options of the deployments
REST = 4  # seconds for which a provider wants to be left alone


@dataclass(frozen=True)
class Server:
    """A provider; `order`, `poll` and `fetch` are its requests (method, path), the other JSON fields are its answers.

    `bill` is the cost in micro-dollars that the provider reports for a video of the rows. With None the provider
    reports no cost, and the price of the delivered video is booked. `hold` is the reserved amount. `findable` means
    that the provider can be asked about an order whose answer was lost. `slow_files` means that `run_job` sends an
    order with a file.
    """

    name: str
    order: Json
    poll: Json
    fetch: Json
    busy: Json  # 429
    resting: Json  # the same, and not to be asked again before REST seconds have passed
    down: Json  # 503, said by itself and not by a balancer
    broke: Json  # our account there cannot pay
    unknown: Json  # of a job: it is not there
    dead: Json  # of a file: its address is not good any more
    odd: Json  # of a job: a status that nobody knows
    bill: int | None = None
    hold: int = HOLD
    findable: bool = False
    slow_files: bool = False

    @property
    def price(self) -> int:
        """The cost of a video of the rows, in micro-dollars."""
        return self.hold if self.bill is None else self.bill


def answer(request: Json, said: Json, **more: Any) -> Json:
    """Return the fault that gives this answer to this request."""
    return {**request, "action": "answer", **said, **more}


def says(status: int, body: Any, **headers: str) -> Json:
    """Return an answer with this status, body and headers."""
    return {"status": status, "body": body, "headers": headers}


def resting(status: int, body: Any) -> Json:
    return says(status, body, **{"Retry-After": f"{REST}"})


def minimax(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message, "http_code": "0"}}


def nested(message: str, code: str) -> Json:
    return {"error": {"message": message, "type": "x", "param": None, "code": code}}


def google(code: int, status: str, message: str, **more: Any) -> Json:
    return {"error": {"code": code, "status": status, "message": message, **more}}


_RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{REST}s"}

OPENAI = Server(
    "openai",
    order={"method": "POST", "path": "/videos$"},
    poll={"method": "GET", "path": "/videos/[^/]+$"},
    fetch={"method": "GET", "path": "/content$"},
    busy=says(429, nested("Rate limit reached.", "rate_limit_exceeded")),
    resting=resting(429, nested("Rate limit reached.", "rate_limit_exceeded")),
    down=says(503, nested("The engine is overloaded.", "overloaded")),
    broke=says(429, nested("You exceeded your current quota.", "insufficient_quota")),
    unknown=says(404, nested("Video not found.", "not_found")),
    dead=says(404, nested("The video has expired.", "not_found")),
    odd={"action": "alter", "replace": {'"status": "\\w+"': '"status": "simmering"'}},
)
XAI = Server(
    "xai",
    order={"method": "POST", "path": "/videos/generations$"},
    poll={"method": "GET", "path": "^/v1/videos/[^/]+$"},
    fetch={"method": "GET", "path": "^/vidgen/"},
    busy=says(429, nested("Too many requests.", "rate_limit_exceeded")),
    resting=resting(429, nested("Too many requests.", "rate_limit_exceeded")),
    down=says(503, {"error": "Service temporarily unavailable."}),
    broke=says(403, {"code": "permission-denied", "error": "Your team has used all available credits."}),
    unknown=says(404, {"code": "not-found", "error": "The request was not found."}),
    dead=says(403, {"code": "permission-denied", "error": "The address has expired."}),
    odd=says(200, {"status": "simmering", "progress": 5}) | {"action": "answer"},
    bill=280_000,
    hold=280_000,  # it has no option for prices
)
GEMINI = Server(
    "gemini",
    order={"method": "POST", "path": "/interactions$"},
    poll={"method": "GET", "path": "/interactions/[^/]+$"},
    fetch={"method": "GET", "path": ":download$"},
    busy=says(429, google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.")),
    resting=says(
        429, google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.", details=[_RETRY_INFO])
    ),  # no header was ever seen
    down=says(503, google(503, "UNAVAILABLE", "The model is overloaded.")),
    broke=says(429, google(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.")),
    unknown=says(400, {"error": {"code": "invalid_request", "message": "Invalid interaction name."}}),
    dead=says(403, google(403, "PERMISSION_DENIED", "You do not have permission to access the File.")),
    odd={"action": "alter", "replace": {'"status": "\\w+"': '"status": "simmering"'}},
    slow_files=True,
)
RUNWAY = Server(
    "runwayml",
    order={"method": "POST", "path": "/(text|image)_to_video$"},
    poll={"method": "GET", "path": "^/v1/tasks/"},
    fetch={"method": "GET", "path": "^/outputs/"},
    busy=says(429, {"error": "You have reached your daily task limit."}),
    resting=resting(429, {"error": "You have reached your daily task limit."}),
    down=says(503, {"error": "Service unavailable."}),
    broke=says(400, {"error": "You do not have enough credits to run this task."}),
    unknown=says(404, {"error": "An asset or task with this ID was not found."}),
    dead=says(403, {"error": "The signature of this address has expired."}),
    odd={"action": "alter", "replace": {'"status": "\\w+"': '"status": "SIMMERING"'}},
    bill=480_000,
    slow_files=True,
)
KLING = Server(
    "kling",
    order={"method": "POST", "path": "^/omni-video/"},
    poll={"method": "GET", "path": "^/tasks$"},
    fetch={"method": "GET", "path": "^/outputs/"},
    busy=says(429, {"code": 1302, "message": "The API request is too fast."}),
    resting=resting(429, {"code": 1302, "message": "The API request is too fast."}),
    down=says(503, {"code": 5001, "message": "The server is temporarily unavailable."}),
    broke=says(429, {"code": 1102, "message": "Account balance not enough."}),
    unknown=says(200, {"code": 0, "message": "SUCCEED", "data": []}),
    dead=says(403, "<Error><Code>AccessDenied</Code></Error>"),
    odd={"action": "alter", "replace": {'"status": "\\w+"': '"status": "simmering"'}},
    bill=448_000,
    findable=True,
)
MINIMAX = Server(
    "minimax",
    order={"method": "POST", "path": "^/v2/video_generation$"},
    poll={"method": "GET", "path": "^/v2/query/video_generation/"},
    fetch={"method": "GET", "path": "^/videos/"},
    busy=says(429, minimax("rate_limit_error", "rate limit, please retry later (1002)")),
    resting=resting(429, minimax("rate_limit_error", "rate limit, please retry later (1002)")),
    down=says(503, minimax("server_error", "service unavailable (1000)")),
    broke=says(402, minimax("insufficient_balance_error", "insufficient balance (1008)")),
    unknown=says(500, minimax("server_error", "record not found (1000)")),
    dead=says(403, "<Error><Code>AccessDenied</Code></Error>"),
    odd={"action": "alter", "replace": {'"status": "\\w+"': '"status": "simmering"'}},
    bill=320_000,
)
SERVERS = (OPENAI, XAI, GEMINI, RUNWAY, KLING, MINIMAX)

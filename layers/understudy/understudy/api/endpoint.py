"""What all HTTP functions share: one route, the caller, the body, errors in the envelope, one log line.

    endpoint = Endpoint("GET", "/videos/{video_id}")

    @endpoint
    def handler(call: Call) -> Response: ...

The decorated function becomes the Lambda handler. It raises ApiError for what the caller should know; whatever else
escapes it is a 500 that tells nothing, and the log line tells the rest.

There is nothing to route: the gateway has done that, and a function has one route (docs/adr/0018).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from understudy.access import keys
from understudy.api import snapstart
from understudy.errors import (
    NO_RETRY,
    ApiError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TooLarge,
    UnsupportedMediaType,
)
from understudy.ids import Kind, ManagedId
from understudy.settings import settings
from understudy.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from understudy.access.rate_limit import Admission, CallKind
    from understudy.api.requests import Body
    from understudy.jobs.idempotency import Attempt

    T = TypeVar("T", bound=Body)

MARGIN_SECONDS = 3.0  # our answer has to precede the gateway's
MAX_LIMIT = 100
Event = Mapping[str, Any]  # as a REST API hands it to a function
Handler = Callable[[Event, "LambdaContext"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Response:
    """What a function answers: a JSON body, or a redirect (`location`)."""

    body: Mapping[str, Any] | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Call:
    """One HTTP call. Everything is read on first use."""

    def __init__(self, event: Event, context: LambdaContext, kind: CallKind | None) -> None:
        self._event, self._kind = event, kind
        self.deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS

    @cached_property
    def caller(self) -> keys.Caller:
        """Who is asking. Raises Unauthenticated when no authorizer stood in front."""
        return keys.from_authorizer(self._event["requestContext"].get("authorizer") or {})

    @cached_property
    def admission(self) -> Admission:
        """The call, counted against the key's limits. Raises RateLimited and Unauthenticated."""
        from understudy.access import rate_limit

        return rate_limit.admit(self.caller, self._kind or "touch")

    def check_model(self, model: str) -> None:
        """Raises PermissionDenied for a model that the key may not use."""
        if not self.caller.may_use(model):
            allowed = ", ".join(sorted(self.caller.models))
            message = f"This API key may not use the model {model[:80]!r}. It may use: {allowed}."
            raise PermissionDenied(message, param="model", code="model_not_allowed")

    @cached_property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name."""
        return {name.lower(): value for name, value in (self._event.get("headers") or {}).items()}

    @cached_property
    def query(self) -> dict[str, str]:
        return self._event.get("queryStringParameters") or {}

    def text(self, name: str) -> str:
        """A path parameter as it came."""
        return str((self._event.get("pathParameters") or {}).get(name, ""))

    def decode(self, text: str, kind: Kind) -> ManagedId:
        """A managed id from the path or the body. Raises NotFound for whatever is not the caller's."""
        from understudy.store.secrets import id_codec

        return id_codec().decode(text, kind, team=self.caller.team)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The body, whatever shape it came in. Raises InvalidRequest, TooLarge and UnsupportedMediaType."""
        from understudy.api import bodies
        from understudy.api.text import BodyError

        event = self._event
        body = event.get("body") or ""
        try:
            data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        except ValueError:  # also of what is not ASCII, and of half a surrogate pair
            raise InvalidRequest("The body is not valid base64.", code="malformed_body") from None
        try:
            return bodies.parse(data, self.headers.get("content-type"))
        except BodyError as error:
            kinds: dict[int, type[ApiError]] = {413: TooLarge, 415: UnsupportedMediaType}
            raise kinds.get(error.status, InvalidRequest)(error.message, param=error.param, code=error.code) from None

    def body(self, kind: type[T]) -> T:
        """The typed body. Raises InvalidRequest for the first thing that is wrong with it."""
        from understudy.api.requests import validate

        return validate(kind, self.fields)

    def attempt(self, operation: str, **path: str) -> Attempt:
        """This arrival of a call that costs money; `path` holds what the URL adds to the body."""
        from understudy.jobs import idempotency

        return idempotency.attempt(self.caller, operation, self.fields | path, self.headers)

    def paging(self, kind: Kind) -> tuple[int, bool, str | None]:
        """`limit`, `order` and `after` of a list call: how many, newest first, beyond which record."""
        limit = self.query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and int(limit) <= MAX_LIMIT):
            raise InvalidRequest(f"limit: must be a whole number from 0 to {MAX_LIMIT}.", param="limit")
        order = self.query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise InvalidRequest('order: must be "asc" or "desc".', param="order")
        after = self.query.get("after")
        return int(limit), order == "desc", self.decode(after, kind).record if after else None


class Endpoint:
    """One route of the API as a Lambda function.

    `counts`: the call makes something, or changes or signs something, and is counted against its key's limits.
    `documentation` goes to the OpenAPI description (scripts/openapi.py).
    """

    def __init__(self, method: str, path: str, counts: CallKind | None = None, **documentation: Any) -> None:
        self.method, self.path, self.counts, self.documentation = method, path, counts, documentation

    def __call__(self, function: Callable[[Call], Response]) -> Handler:
        """The Lambda handler around `function`."""

        def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
            started = time.perf_counter()
            logger.set_correlation_id(_request_id(event))
            answer = self._answer(event, context, function)
            milliseconds = round((time.perf_counter() - started) * 1000)
            logger.info(
                "call",
                extra={"route": f"{self.method} {self.path}", "status": answer["statusCode"], "ms": milliseconds},
            )
            return answer

        snapstart.prepare()
        handler.__doc__ = function.__doc__
        handler.endpoint = self  # type: ignore[attr-defined]
        return handler

    def _answer(self, event: Event, context: LambdaContext, function: Callable[[Call], Response]) -> dict[str, Any]:
        try:
            if (event.get("httpMethod"), event.get("resource")) != (self.method, self.path):
                raise NotFound("Unknown route.", code="unknown_url")
            call = Call(event, context, self.counts)
            limits = call.admission.headers if self.counts else {}
            answer = function(call)
            body = "" if answer.body is None else json.dumps(answer.body)
            return _proxied(event, answer.status, body, limits | answer.headers)
        except ApiError as error:
            # Not `param`: it may be the caller's own word, and of a prompt sent in the wrong shape the first one.
            logger.info("refused", extra={"status": error.status, "code": error.code})
            return _refused(event, error)
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer
            logger.exception("unexpected")
            return _refused(event, _unexpected(event))


def _unexpected(event: Event) -> ApiError:
    message = "Something went wrong here. The request id in x-request-id finds it in the log."
    return ApiError(message, headers={} if event.get("httpMethod") == "GET" else NO_RETRY)  # reading again is free


def _refused(event: Event, error: ApiError) -> dict[str, Any]:
    return _proxied(event, error.status, json.dumps(error.envelope()), error.headers)


def _proxied(event: Event, status: int, body: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """An answer as the gateway takes it from a function."""
    common = {
        "content-type": "application/json",
        "cache-control": "private, no-store",
        "x-request-id": _request_id(event),
        "access-control-allow-origin": settings().allowed_origin,
    }
    return {
        "statusCode": status,
        "multiValueHeaders": {name: [value] for name, value in {**common, **headers}.items()},
        "body": body,
        "isBase64Encoded": False,
    }


def _request_id(event: Event) -> str:
    return str((event.get("requestContext") or {}).get("requestId") or "")
